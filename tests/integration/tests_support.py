"""Running the command line as a user would, from tests."""

import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

TIMEOUT_S = 240


@dataclass(frozen=True)
class Finished:
    returncode: int
    stdout: str
    stderr: str


def environment() -> dict[str, str]:
    """A driver of these tests never joins a cluster that somebody else has running."""
    return os.environ | {"RAY_USAGE_STATS_ENABLED": "0", "RAY_ADDRESS": "local"}


def roadsense(*args: object, cwd: Path | None = None, env: dict[str, str] | None = None) -> Finished:
    command = [sys.executable, "-m", "roadsense", *map(str, args)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=TIMEOUT_S, cwd=cwd, env=env or environment())
    return Finished(done.returncode, done.stdout, done.stderr)


def start(*args: object, cwd: Path | None = None) -> subprocess.Popen:
    """A command that the test will signal; it leads a process group of its own."""
    command = [sys.executable, "-m", "roadsense", *map(str, args)]
    return subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, cwd=cwd, env=environment(), start_new_session=True
    )


def wait_for_line(process: subprocess.Popen, text: str, timeout_s: float = 90.0) -> list[str]:
    """Read output until a line holds `text`; fails when the process ends first."""
    lines = []
    deadline = time.monotonic() + timeout_s
    for line in process.stdout:
        lines.append(line)
        if text in line:
            return lines
        if time.monotonic() > deadline:
            break
    os.killpg(process.pid, signal.SIGKILL)
    raise AssertionError(f"no line with {text!r} in:\n{''.join(lines)}")


SMALL = ("--num_env_runners", 2, "--num_envs_per_env_runner", 2, "--n_steps", 400, "--minibatch_size", 200, "--num_epochs", 2)


def metrics(root: Path) -> dict:
    return json.loads((root / "metrics.json").read_text())
