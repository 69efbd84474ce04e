"""A tiny ablation with real SUMO and Ray: stopped while its second training runs, gone on with by the same command."""

import signal
import sys
import time
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "integration"))
sys.path.insert(0, str(Path(__file__).parent))

from ablation_support import flags
from tests_support import roadsense, start, wait_for_line

from roadsense.scenario.generate import GenerateSettings, generate


@pytest.fixture(scope="session")
def few_scenarios(tmp_path_factory) -> Path:
    """A dataset of 4 train and 3 eval scenarios: an ablation drives the list with every policy."""
    directory = tmp_path_factory.mktemp("few") / "dataset"
    generate(GenerateSettings(output_dir=directory, seed=7, train_count=4, eval_count=3))
    return directory


@pytest.fixture(scope="session")
def ablation(tmp_path_factory, few_scenarios) -> Path:
    """The output directory, with what the second start said in second.txt and the progress before it in first.csv."""
    root = tmp_path_factory.mktemp("ablation") / "tiny"
    first = start(*flags(few_scenarios, root))
    wait_for_line(first, "no_age_seed_1: training", timeout_s=200)
    model = root / "runs" / "measured_seed_1" / "model_final.zip"
    assert model.exists()
    _wait_for_checkpoint(root / "runs" / "no_age_seed_1")
    first.send_signal(signal.SIGTERM)
    said = first.stdout.read()
    assert first.wait(120) == 143, said
    assert "the same command goes on with it" in said
    assert not (root / "ablation.json").exists()
    (root / "first.csv").write_text((root / "runs" / "no_age_seed_1" / "progress.csv").read_text())
    before = model.stat().st_mtime_ns
    second = roadsense(*flags(few_scenarios, root))
    assert second.returncode == 0, second.stderr
    assert model.stat().st_mtime_ns == before
    (root / "second.txt").write_text(second.stdout + second.stderr)
    return root


def _wait_for_checkpoint(run: Path) -> None:
    deadline = time.monotonic() + 200
    while not list(run.glob("checkpoints/step_*")):
        assert time.monotonic() < deadline, "no checkpoint was written"
        time.sleep(0.05)
