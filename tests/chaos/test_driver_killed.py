"""The driver is killed with SIGKILL at random moments: everything that it started is gone within ten seconds."""

import os
import random
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor

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


def kill_at(moment_s, dataset_dir, root) -> tuple[int, list[str]]:
    """(simulators that ran at the kill, what was left ten seconds after it)."""
    process = launch(dataset_dir, root)
    seen = descendants_until(process, moment_s)
    simulators = sum(child.is_running() and child.name() == "sumo" for child in seen.values())
    process.send_signal(signal.SIGKILL)
    process.wait()
    _, alive = psutil.wait_procs(list(seen.values()), timeout=GONE_WITHIN_S)
    left = [f"{child.pid} {' '.join(child.cmdline())[:60].strip()} after a kill at {moment_s:.1f} s" for child in alive]
    for child in alive:
        child.kill()
    return simulators, left


@pytest.mark.timeout(600)
def test_nothing_survives_the_driver(dataset_dir, tmp_path):
    with ThreadPoolExecutor(2) as pool:
        results = list(pool.map(lambda moment_s: kill_at(moment_s, dataset_dir, tmp_path / f"{moment_s:.3f}"), MOMENTS_S))
    assert [line for _, left in results for line in left] == []
    assert sum(simulators for simulators, _ in results) > 0, "no moment was late enough to meet a simulator: the test would prove nothing"
