"""The driver is killed with SIGKILL at random moments: everything that it started is gone within ten seconds."""

import contextlib
import os
import random
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor

import psutil
import pytest

# Ten moments: five after the start (first imports, Ray's start, workers), five after the first simulator was seen (sampling, learning).
_RANDOM = random.Random(20261120)
MOMENTS = [("start", _RANDOM.uniform(0.5, 12.0)) for _ in range(5)] + [("simulator", _RANDOM.uniform(0.0, 6.0)) for _ in range(5)]
GONE_WITHIN_S = 10.0
LONGEST_START_S = 120.0


def launch(dataset_dir, root):
    command = [
        sys.executable, "-m", "roadsense", "train", "--dataset_dir", str(dataset_dir), "--output_dir", str(root), "--num_env_runners", "2",
        "--num_envs_per_env_runner", "2", "--n_steps", "200", "--total_timesteps", "10000000",
    ]  # fmt: skip
    return subprocess.Popen(
        command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True, env=os.environ | {"RAY_ADDRESS": "local"}
    )


def is_simulator(child: psutil.Process) -> bool:
    with contextlib.suppress(psutil.NoSuchProcess):
        return child.name() == "sumo"
    return False


def descendants_until(process, after: str, delay_s: float) -> dict[int, psutil.Process]:
    """Everything that the driver started up to a moment, also what has left its process tree meanwhile."""
    seen = {}
    began_s = time.monotonic()
    deadline_s = began_s + (delay_s if after == "start" else LONGEST_START_S)
    while time.monotonic() < deadline_s:
        for child in psutil.Process(process.pid).children(recursive=True):
            if child.pid not in seen and after == "simulator" and is_simulator(child):
                deadline_s = min(deadline_s, time.monotonic() + delay_s)
            seen[child.pid] = child
        time.sleep(0.05)
    return seen


def kill_at(after: str, delay_s: float, dataset_dir, root) -> tuple[int, list[str]]:
    """(simulators that ran at the kill, what was left ten seconds after it)."""
    process = launch(dataset_dir, root)
    seen = descendants_until(process, after, delay_s)
    simulators = sum(child.is_running() and is_simulator(child) for child in seen.values())
    process.send_signal(signal.SIGKILL)
    process.wait()
    _, alive = psutil.wait_procs(list(seen.values()), timeout=GONE_WITHIN_S)
    left = [f"{child.pid} {' '.join(child.cmdline())[:60].strip()}, {delay_s:.1f} s after the {after}" for child in alive]
    for child in alive:
        child.kill()
    return simulators, left


@pytest.mark.timeout(600)
@pytest.mark.parametrize("moments", [pytest.param(MOMENTS, marks=pytest.mark.ci, id="ten"), pytest.param(MOMENTS[4:6], id="two")])
def test_nothing_survives_the_driver(dataset_dir, tmp_path, moments):
    with ThreadPoolExecutor(2) as pool:
        kills = [pool.submit(kill_at, after, delay_s, dataset_dir, tmp_path / f"{delay_s:.3f}") for after, delay_s in moments]
        results = [kill.result() for kill in kills]
    assert [line for _, left in results for line in left] == []
    met = [simulators for (after, _), (simulators, _) in zip(moments, results, strict=True) if after == "simulator"]
    assert all(met), "these kills were meant to meet simulators"
