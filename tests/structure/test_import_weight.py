"""`import roadsense` and `roadsense --help` stay light."""

import json
import subprocess
import sys

import pytest

HEAVY = {"ray", "torch", "traci", "libsumo", "boto3"}


def modules_after(statement: str) -> set[str]:
    code = f"{statement}\nimport sys, json\nprint(json.dumps(sorted(sys.modules)), file=sys.__stdout__)"
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    return set(json.loads(out.splitlines()[-1]))


@pytest.mark.parametrize(
    "statement",
    [
        "import roadsense",
        "import gymnasium, roadsense; gymnasium.spec('RoadSense-Convoy-v0')",
        "import contextlib, io, roadsense.cli\nwith contextlib.suppress(SystemExit), contextlib.redirect_stdout(io.StringIO()):\n roadsense.cli.main(['--help'])",
    ],
)
def test_nothing_heavy_is_loaded(statement):
    assert not HEAVY & modules_after(statement)


def test_scenarios_and_radio_need_neither_ray_nor_torch():
    assert not {"ray", "torch", "boto3"} & modules_after(
        "import roadsense.scenario.generate, roadsense.radio.radio, roadsense.env.convoy_env"
    )
