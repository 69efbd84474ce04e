"""What no restart mends ends the training, in one line that names the cause."""

import pytest
from tests_support import environment, roadsense

BROKEN = """
def term(step):
    raise ZeroDivisionError("a mistake of the user's own")
"""


@pytest.mark.slow
@pytest.mark.timeout(400)
def test_own_code_that_always_fails_ends_the_training(dataset_dir, tmp_path):
    (tmp_path / "broken.py").write_text(BROKEN)
    done = roadsense(
        "train", "--dataset_dir", dataset_dir, "--output_dir", tmp_path / "run", "--num_env_runners", 2, "--num_envs_per_env_runner", 1, "--n_steps", 100,
        "--total_timesteps", 10_000, "--skip_eval", "--set", 'task.reward.extra={"broken:term": 1.0}',
        cwd=tmp_path, env=environment() | {"PYTHONPATH": str(tmp_path)},
    )  # fmt: skip
    assert done.returncode == 2, done.stderr
    last = done.stderr.strip().splitlines()[-1]
    assert last.startswith("roadsense: every worker fails again and again") and "ZeroDivisionError: a mistake of the user's own" in last
    assert "Traceback" not in done.stderr
