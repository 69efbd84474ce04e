"""The driver is killed with SIGKILL at random moments: everything that it started is gone within ten seconds."""

import os
import random
import signal
import subprocess
import sys
import time

import psutil
import pytest

# Moments in seconds after the start: from the first imports, over Ray's and SUMO's start, into sampling and learning.
MOMENTS_S = sorted(random.Random(20261120).uniform(0.5, 25.0) for _ in range(10))
GONE_WITHIN_S = 10.0


def launch(dataset_dir, root):
    command = [
        sys.executable, "-m", "roadsense", "train", "--dataset_dir", str(dataset_dir), "--output_dir", str(root), "--num_env_runners", "2",
        "--num_envs_per_env_runner", "2", "--n_steps", "200", "--total_timesteps", "10000000",
    ]  # fmt: skip
    return subprocess.Popen(
        command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True, env=os.environ | {"RAY_ADDRESS": "local"}
    )


def descendants_until(process, moment_s) -> dict[int, psutil.Process]:
    """Everything that the driver started up to a moment, also what has left its process tree meanwhile."""
    seen = {}
    deadline = time.monotonic() + moment_s
    while time.monotonic() < deadline:
        for child in psutil.Process(process.pid).children(recursive=True):
            seen[child.pid] = child
        time.sleep(0.05)
    return seen


@pytest.mark.timeout(600)
def test_nothing_survives_the_driver(dataset_dir, tmp_path):
    simulators_seen = 0
    for number, moment_s in enumerate(MOMENTS_S):
        process = launch(dataset_dir, tmp_path / str(number))
        seen = descendants_until(process, moment_s)
        simulators_seen += sum(child.is_running() and child.name() == "sumo" for child in seen.values())
        process.send_signal(signal.SIGKILL)
        process.wait()
        _, alive = psutil.wait_procs(list(seen.values()), timeout=GONE_WITHIN_S)
        left = [f"{child.pid} {' '.join(child.cmdline())[:100]}" for child in alive]
        for child in alive:
            child.kill()
        assert left == [], f"after a kill at {moment_s:.1f} s"
    assert simulators_seen > 0, "no moment was late enough to meet a simulator: the test would prove nothing"
