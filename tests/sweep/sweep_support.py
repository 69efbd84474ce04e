"""Small sweeps on real Ray and real SUMO."""

import contextlib
import os
import signal
import subprocess
import sys
import time

import psutil
from tests_support import environment

# Six-second episodes, all of them with an early hazard, and a batch of 200 steps.
TINY = (
    "--num_envs_per_env_runner", 1, "--n_steps", 200, "--minibatch_size", 100, "--num_epochs", 1, "--checkpoint_every", 200,
    "--set", "task.horizon_s=6", "--set", "task.warm_up_s=2", "--set", "task.hazard.probability=1", "--set", "task.hazard.onset_s.low=0.5",
    "--set", "task.hazard.onset_s.high=2", "--set", "task.distraction.lead_s.high=0.5", "--rung_episodes", 6, "--rounds", 2,
)  # fmt: skip
GONE_WITHIN_S = 10.0
# Between two of Tune's snapshots: a small trial would be over before the next one otherwise.
OFTEN = {"TUNE_GLOBAL_CHECKPOINT_S": "0.5"}


def start(*args) -> subprocess.Popen:
    command = [sys.executable, "-m", "roadsense", "sweep", *map(str, args)]
    return subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=environment() | OFTEN, start_new_session=True
    )


def kill_after(process: subprocess.Popen, enough, root) -> list[str]:
    """Read lines until `enough(lines)`, SIGKILL two of Tune's snapshots later; what it had started and is left ten seconds after that."""
    lines, seen, names = [], {}, set()

    def look() -> None:
        children = psutil.Process(process.pid).children(recursive=True)
        seen.update({child.pid: child for child in children})
        names.update(map(name_of, children))  # now: the simulator of a small trial is soon gone, and its name with it

    try:
        for line in process.stdout:
            lines.append(line)
            look()
            if enough(lines):
                break
        else:
            raise AssertionError("ended before it could be killed:\n" + "".join(lines))
        wait_for_snapshots(root, 2)
        look()
        assert any("sumo" in name for name in names)
    finally:
        process.kill()
        process.wait()
        process.stdout.close()
    _, alive = psutil.wait_procs(list(seen.values()), timeout=GONE_WITHIN_S)
    left = [f"{child.pid} {name_of(child)}" for child in alive]
    for child in alive:
        with contextlib.suppress(psutil.Error):
            child.kill()
    return left


def wait_for_snapshots(root, count: int, timeout_s: float = 120.0) -> None:
    """So that Tune knows what the last line has told of."""
    seen, deadline_s = set(), time.monotonic() + timeout_s
    while len(seen) <= count:
        assert time.monotonic() < deadline_s, "no snapshot"
        seen |= {path.stat().st_mtime_ns for path in (root / "tune").glob("experiment_state-*.json")}
        time.sleep(0.1)


def name_of(child: psutil.Process) -> str:
    with contextlib.suppress(psutil.Error):
        return child.name()
    return ""


def run(*args, timeout_s: float = 600) -> tuple[int, str]:
    """(exit code, all output) of a sweep."""
    process = start(*args)
    try:
        output, _ = process.communicate(timeout=timeout_s)
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
    return process.returncode, output
