"""A tiny ablation with real SUMO and Ray: stopped while its second training runs, gone on with by the same command."""

import signal
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "integration"))
sys.path.insert(0, str(Path(__file__).parent))

from ablation_support import flags
from tests_support import roadsense, start, wait_for_line


@pytest.fixture(scope="session")
def ablation(tmp_path_factory, dataset_dir) -> Path:
    """The output directory, with what the second start said in second.txt."""
    root = tmp_path_factory.mktemp("ablation") / "tiny"
    first = start(*flags(dataset_dir, root))
    wait_for_line(first, "no_age_seed_1: training", timeout_s=200)
    model = root / "runs" / "measured_seed_1" / "model_final.zip"
    assert model.exists()
    first.send_signal(signal.SIGTERM)
    first.stdout.close()
    assert first.wait(120) != 0
    assert not (root / "ablation.json").exists()
    before = model.stat().st_mtime_ns
    second = roadsense(*flags(dataset_dir, root))
    assert second.returncode == 0, second.stderr
    assert model.stat().st_mtime_ns == before
    (root / "second.txt").write_text(second.stdout + second.stderr)
    return root
