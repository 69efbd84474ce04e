"""One small real training (two env runners, two SUMO processes each) that many tests look at."""

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from tests_support import SMALL, roadsense


@pytest.fixture(scope="session")
def run_dir(tmp_path_factory, dataset_dir) -> Path:
    """A finished run: 2,400 steps in three iterations, three evaluation episodes."""
    root = tmp_path_factory.mktemp("run") / "finished"
    done = roadsense(
        "train",
        "--dataset_dir",
        dataset_dir,
        "--output_dir",
        root,
        *SMALL,
        "--total_timesteps",
        2400,
        "--checkpoint_every",
        800,
        "--eval_episodes",
        3,
        "--learning_rate_final",
        1e-4,
    )
    assert done.returncode == 0, done.stderr
    (root.parent / "stdout.txt").write_text(done.stdout)
    return root
