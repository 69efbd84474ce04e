"""The job on the machines: train -> upload -> end the machines, whether or not anybody still watches.

`roadsense pipeline --job LAUNCH_FILE ...`, which `roadsense cloud run` submits, runs this. The training is a child process in a session of
its own, and so is this keeper, so that a laptop that goes to sleep takes nothing along; whoever called only follows the log.

When the results cannot be brought to the bucket the machines stay, until their deadline, and the log says so.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from roadsense.artifacts.cost import cost_environment, cost_so_far
from roadsense.cloud.account import end_machines
from roadsense.cloud.launch_file import UPLOAD_FAILED, UPLOAD_FAILED_LINE, JobResult, Launch, read_launch, result_key, started_key
from roadsense.cloud.mirror import RunMirror
from roadsense.cloud.object_store import ObjectStore
from roadsense.cloud.spot_watcher import InstanceMetadata, Notice, watch
from roadsense.errors import RoadSenseError

_FOLLOW_EVERY_S: Final = 0.5
_END_BEFORE_DEADLINE_S: Final = 420.0  # to stop, save and upload before the machines end by themselves


def run_job(launch_path: Path, words: Sequence[str]) -> int:
    """Start the keeper apart from this terminal, show its log until it has ended, and return the job's exit code.

    Args:
        launch_path: the launch file.
        words: the command line of `roadsense` without `--job`.

    Raises:
        RunDirectoryError: the launch file is missing or refused.
    """
    launch = read_launch(launch_path)
    log = Path.cwd() / f"roadsense_job_{launch.launch_id}.log"
    command = [sys.executable, "-m", "roadsense.cloud.job", str(launch_path.expanduser()), str(log), *words]
    with log.open("ab") as out:
        keeper = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=out, stderr=subprocess.STDOUT, start_new_session=True)
    for number in (signal.SIGINT, signal.SIGTERM):
        # Asked to stop, the caller asks the job; hanging up (SIGHUP) ends the caller alone.
        signal.signal(number, lambda number, _frame: keeper.send_signal(number))
    return _follow(log, keeper)


def keep_job(launch: Launch, log: Path, words: Sequence[str]) -> int:
    """Train, upload, end the machines; returns the exit code of the training, or UPLOAD_FAILED."""
    run_directory = Path("runs") / launch.address.rsplit("/", 1)[-1]
    costs = cost_environment(launch.started_at, launch.usd_per_hour, launch.usd_per_hour_at_most)
    os.environ.update(costs)
    try:
        ObjectStore(launch.address).write(started_key(launch.launch_id), f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}\n".encode())
        code, message = _train(launch, words)
    except RoadSenseError as problem:
        code, message = problem.exit_code, f" ({problem})"
    print(f"job: training ended with exit code {code}{message}", flush=True)  # noqa: T201 - its log
    try:
        _upload(launch, run_directory, log, code, message)
    except (RoadSenseError, OSError) as problem:
        print(  # noqa: T201
            f"{UPLOAD_FAILED_LINE} ({problem}); the machines stay until {launch.deadline:%Y-%m-%d %H:%M} UTC so that "
            f"{run_directory.absolute()} can be saved by hand, and end then",
            flush=True,
        )
        return UPLOAD_FAILED
    if launch.mode == "cluster":
        print("job: ending the cluster's machines", flush=True)  # noqa: T201
        _end_cluster(launch)
    return code


def _train(launch: Launch, words: Sequence[str]) -> tuple[int, str]:
    """The training as a child; asked to stop on a signal, before the deadline, and when the single machine is about to be taken."""
    environment = os.environ | ({"RAY_ADDRESS": "local"} if launch.mode == "single" else {})
    environment.pop("RAY_JOB_ID", None)
    try:
        child = subprocess.Popen([sys.executable, "-m", "roadsense", *words], stdin=subprocess.DEVNULL, env=environment)
    except OSError as problem:
        return 70, f" ({problem})"
    reasons: list[str] = []

    def stop(reason: str) -> None:
        reasons.append(reason)
        if child.poll() is None and len(reasons) == 1:
            child.send_signal(signal.SIGTERM)

    def pass_on(number: int, _frame: object) -> None:
        stop(f"signal {number}")

    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, pass_on)
    if launch.mode == "single":
        threading.Thread(target=_stop_on_notice, args=(stop,), daemon=True).start()
    while child.poll() is None:
        if not reasons and (launch.deadline - datetime.now(UTC)).total_seconds() < _END_BEFORE_DEADLINE_S:
            stop("the deadline is near")
        time.sleep(_FOLLOW_EVERY_S)
    return child.returncode, f", stopped: {reasons[0]}" if reasons else ""


def _stop_on_notice(stop: Callable[[str], None]) -> None:
    def react(notice: Notice) -> bool:
        if notice.kind == "interruption":
            stop(f"spot {notice.kind}")
        return True

    watch(InstanceMetadata(), react)


def _upload(launch: Launch, run_directory: Path, log: Path, code: int, message: str) -> None:
    """What the training's own mirror has not brought over, then the log, then the result, by which everybody knows that it is complete."""
    store = ObjectStore(launch.address)
    if run_directory.is_dir():
        RunMirror(run_directory, launch.address).complete(store)
    if log.exists():
        store.put(log, f"jobs/{launch.launch_id}.log")
    cost = cost_so_far()
    result = JobResult(
        launch_id=launch.launch_id,
        exit_code=code,
        ended_at=datetime.now(UTC),
        cost_usd=0.0 if cost is None else cost.cost_usd,
        cost_usd_at_most=0.0 if cost is None else cost.cost_usd_at_most,
        message=message,
    )
    store.write(result_key(launch.launch_id), result.model_dump_json(indent=2).encode())


def _end_cluster(launch: Launch) -> None:
    """By EC2's API; without an answer of it by stopping Ray, which the guard of every machine takes as its end after five minutes."""
    try:
        end_machines(launch.region, launch.launch_id)
    except RoadSenseError as problem:
        print(f"job: {problem}; stopping Ray instead, so that the machines' guards end them", flush=True)  # noqa: T201
        ray = Path(sys.executable).with_name("ray")
        subprocess.run([str(ray), "stop"], check=False, stdin=subprocess.DEVNULL)


def _follow(log: Path, keeper: subprocess.Popen[bytes]) -> int:
    """Show what is written to the log until the keeper has ended."""
    with log.open("rb") as lines:
        while True:
            ended = keeper.poll() is not None
            part = lines.read()
            if part:
                sys.stdout.buffer.write(part)
                sys.stdout.flush()
            elif ended:
                return int(keeper.returncode)
            else:
                time.sleep(_FOLLOW_EVERY_S)


if __name__ == "__main__":
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    sys.exit(keep_job(read_launch(Path(sys.argv[1])), Path(sys.argv[2]), sys.argv[3:]))
