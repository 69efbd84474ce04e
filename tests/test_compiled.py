"""Machine code is kept from process to process, but never longer than the sources that it was made of."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import roadsense

CODE = "from roadsense.env.reward import step_terms; from roadsense.env import ledger; print(ledger.PROBE(20.0))"
PROBE = """

@compiled
def PROBE(speed_mps: float) -> float:
    return step_terms(speed_mps, 20.0, 0.0, 0.0, 40.0, 0.0, 0.0, False)[0]
"""


def probed(root: Path) -> float:
    done = subprocess.run(
        [sys.executable, "-c", CODE], env=os.environ | {"PYTHONPATH": str(root)}, cwd=root, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    return float(done.stdout)


def test_a_formula_changed_in_the_file_of_a_called_function_is_the_one_that_runs(tmp_path):
    package = tmp_path / "roadsense"
    shutil.copytree(Path(roadsense.__file__).parent, package, ignore=shutil.ignore_patterns("__pycache__"))
    ledger, reward = package / "env" / "ledger.py", package / "env" / "reward.py"
    ledger.write_text(ledger.read_text() + PROBE)
    before = probed(tmp_path)
    assert list((package / "env" / "__pycache__").glob("ledger.PROBE*.nbc")), "the machine code is kept"
    line = "    progress = min(1.0,"
    assert reward.read_text().count(line) == 1
    reward.write_text(reward.read_text().replace(line, "    progress = 7.0 * min(1.0,"))
    assert probed(tmp_path) == 7.0 * before
