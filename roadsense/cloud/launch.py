"""`roadsense cloud run`: written down before it begins, ended whatever happens, settled when nothing is left."""

from __future__ import annotations

import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import FrameType
from typing import Any, Final

import yaml

from roadsense.artifacts.files import write_json
from roadsense.cloud.account import account_id, end_machines, ensure_budget, machines, reported_spend_usd
from roadsense.cloud.cluster_file import HEAD, read_cluster_file, render, require_sound, worker_cpus
from roadsense.cloud.estimate import Estimate, estimate
from roadsense.cloud.launch_file import (
    LAUNCH_FILE,
    LAUNCH_FOLDER,
    UPLOAD_FAILED,
    UPLOAD_FAILED_LINE,
    JobResult,
    Launch,
    new_launch_id,
    result_key,
    started_key,
    state_directory,
)
from roadsense.cloud.ledger import Ledger, LedgerEntry
from roadsense.cloud.mirror import fetch_run
from roadsense.cloud.object_store import ObjectStore
from roadsense.cloud.settings import PRESETS, CloudSettings
from roadsense.cloud.single import start_single, wait_for_single
from roadsense.errors import BudgetError, CloudError, RoadSenseError, UsageError

Say = Callable[[str], None]

_LOOK_EVERY_S: Final = 5.0
_INTERRUPTED: Final = 130
_TERMINATED: Final = 143
# What belongs to the launcher and not to the job.
_OWN_FLAGS: Final = ("--output_dir", "--mirror", "--run_id", "--resume", "--total_timesteps", "--num_env_runners", "--job")


@dataclass(frozen=True, slots=True, kw_only=True)
class LaunchPlan:
    """A checked launch; nothing has been written or asked to start."""

    settings: CloudSettings
    content: dict[str, Any]  # of cluster.yaml
    region: str
    estimate: Estimate
    spent_usd: float

    @property
    def left_usd(self) -> float:
        """Of this month's limit, before the launch."""
        return self.settings.monthly_limit_usd - self.spent_usd


def plan_launch(settings: CloudSettings) -> LaunchPlan:
    """Read and check cluster.yaml, prices and ledger.

    Raises:
        BudgetError: price, hours or ledger cannot be told. ConfigError, CloudError: the cluster file is not sound.
    """
    content = read_cluster_file(settings.cluster_yaml)
    require_sound(content, settings.cluster_yaml)
    provider = content["provider"]
    zones = tuple(provider.get("availability_zone", "").split(",")) if provider.get("availability_zone") else ()
    head_type = content["available_node_types"]["head"]["node_config"]["InstanceType"]
    preset = PRESETS[settings.preset]
    cpus = worker_cpus(content, preset.worker_type, preset.worker_vcpus)
    figures = estimate(settings, provider["region"], zones, head_type, cpus)
    spent = open_ledger(settings).spent_usd()
    return LaunchPlan(settings=settings, content=content, region=provider["region"], estimate=figures, spent_usd=spent)


def run_launch(plan: LaunchPlan, job_flags: Sequence[str], resume: str | None, script: Path, say: Say) -> int:
    """Start machines, run the job, collect the results, end the machines; returns the job's exit code.

    Raises:
        BudgetError: the worst case is more than the month has left. CloudError: AWS, Ray or the bucket failed; machines are ended first.
    """
    settings = plan.settings
    _refuse_own_flags(job_flags)
    if plan.estimate.preset.head_type is None:
        raise UsageError(f"--preset {settings.preset} is a SageMaker job; submit it with python deploy/sagemaker_job.py")
    account = account_id()
    if running := machines(plan.region):
        ids = ", ".join(machine.instance_id for machine in running)
        raise CloudError(f"machines of the project are already there ({ids}); wait, or end them with roadsense cloud down")
    say(ensure_budget(account, settings.budget_usd, settings.email))
    now = datetime.now(UTC)
    launch = _describe(plan, now, resume)
    entry = LedgerEntry(
        launch_id=launch.launch_id,
        kind=f"{settings.preset} {launch.mode}",
        started_at=launch.started_at,
        deadline=launch.deadline,
        worst_case_usd=plan.estimate.worst_case_usd,
    )
    ledger = open_ledger(settings)
    reported = reported_spend_usd(account) or 0.0
    left = ledger.reserve(entry, settings.monthly_limit_usd, reported)
    say(f"launch {launch.launch_id}: at most ${entry.worst_case_usd:.2f}, ends by {launch.deadline:%H:%M} UTC; ${left:.2f} stay")
    folder = state_directory() / "launches" / launch.launch_id
    write_json(folder / LAUNCH_FOLDER / LAUNCH_FILE, launch.model_dump(mode="json"))
    words = _job_words(settings, launch, job_flags, resume)
    code = None
    try:
        with _interruptible():
            code = _single(plan, launch, folder, words, say) if settings.single else _cluster(plan, launch, folder, words, script, say)
    finally:
        # Also after a failure: a launch that came to nothing must not count its worst case for the rest of the month.
        if code != UPLOAD_FAILED:
            _settle(plan, launch, ledger, say)
    if code == UPLOAD_FAILED:
        say(f"the results are not in the bucket: the machines stay until {launch.deadline:%H:%M} UTC, and end then; roadsense cloud status")
    return code


def _settle(plan: LaunchPlan, launch: Launch, ledger: Ledger, say: Say) -> None:
    """Lower a launch to what it can have cost, if AWS says that no machine of it is left; else its worst case stands."""
    try:
        left = [machine for machine in machines(plan.region, launch.launch_id) if machine.state != "shutting-down"]
    except CloudError as problem:
        say(f"nobody knows whether machines are left ({problem}), so the worst case stands; roadsense cloud down")
        return
    if left:
        say(f"{', '.join(machine.instance_id for machine in left)} still run, so the worst case stands; roadsense cloud down")
        return
    hours = (datetime.now(UTC) - launch.started_at).total_seconds() / 3600
    ledger.settle(launch.launch_id, plan.estimate.usd_after(hours))
    say(f"no machine is left; {hours:.2f} hours, at most ${plan.estimate.usd_after(hours):.2f}")


def _cluster(plan: LaunchPlan, launch: Launch, folder: Path, words: Sequence[str], script: Path, say: Say) -> int:
    cluster_file = folder / "cluster.yaml"
    preset = plan.estimate.preset
    workers = plan.settings.max_workers or preset.max_workers
    made = render(
        plan.content,
        launch_id=launch.launch_id,
        deadline=launch.deadline,
        worker_type=preset.worker_type,
        worker_vcpus=launch.env_runners // workers,
        max_workers=workers,
    )
    made["file_mounts"] = made.get("file_mounts", {}) | {f"~/{LAUNCH_FOLDER}": str((folder / LAUNCH_FOLDER).absolute())}
    cluster_file.write_text(yaml.safe_dump(made, sort_keys=False), encoding="utf-8")
    code = UPLOAD_FAILED
    keep = False
    try:
        _ray("up", [str(cluster_file), "--yes", "--no-config-cache"], say)
        # Ray joins these words with blanks and gives them to a shell on the head.
        job = ["--job", f"~/{LAUNCH_FOLDER}/{LAUNCH_FILE}", *(shlex.quote(word) for word in words)]
        submitted = _ray("submit", [str(cluster_file), str(script), "--no-config-cache", "--", *job], say, check=False)
        keep = submitted == UPLOAD_FAILED
        if keep:
            return UPLOAD_FAILED
        result = _wait_for_result(plan.region, launch, say)
        if result is None:
            raise CloudError(
                f"the job left no result in {launch.address} (ray submit ended with {submitted}: the head may have been lost); "
                f"go on with: roadsense cloud run --resume {launch.address}"
            )
        _show(launch, result, say)
        code = result.exit_code
    finally:
        if not keep:
            _down(cluster_file, plan.region, launch, say)
    return code


def _single(plan: LaunchPlan, launch: Launch, folder: Path, words: Sequence[str], say: Say) -> int:
    keep = False
    try:
        say(start_single(plan.content, launch, plan.estimate.preset, words, folder))
        wait_for_single(plan.region, launch, lambda: job_result(launch) is not None, say)
        result = job_result(launch)
        if result is None:
            raise CloudError(
                f"the machine is gone and left no result in {launch.address}: taken by AWS, or its deadline came; "
                f"go on with: roadsense cloud run --single --resume {launch.address}"
            )
        _show(launch, result, say)
        return result.exit_code
    finally:
        if not keep:
            end_machines(plan.region, launch.launch_id)


def _wait_for_result(region: str, launch: Launch, say: Say) -> JobResult | None:
    """The job's result, waited for while its head lives: the laptop may have slept, or the network may have gone, while the job went on."""
    told = False
    while (result := job_result(launch)) is None:
        alive = [each for each in machines(region, launch.launch_id) if each.kind == HEAD and each.state in ("pending", "running")]
        if not alive or not ObjectStore(launch.address).exists(started_key(launch.launch_id)):
            return job_result(launch)
        if not told:
            say("the connection is gone, but the job goes on by itself; waiting for its result")
            told = True
        time.sleep(_LOOK_EVERY_S)
    return result


def job_result(launch: Launch) -> JobResult | None:
    """What the job has left in the bucket; None as long as it has left nothing."""
    store = ObjectStore(launch.address)
    key = result_key(launch.launch_id)
    return JobResult.model_validate_json(store.read(key)) if store.exists(key) else None


def _show(launch: Launch, result: JobResult, say: Say) -> None:
    """Collect the run directory, and say what came of it."""
    target = Path("runs") / launch.address.rsplit("/", 1)[-1]
    try:
        fetch_run(launch.address, target)
        say(f"run directory: {target.absolute()}")
    except RoadSenseError as problem:
        say(f"the results stay in {launch.address}: {problem}")
    cost = f"${result.cost_usd:.2f} by the spot prices at launch, at most ${result.cost_usd_at_most:.2f}"
    say(f"job ended with exit code {result.exit_code}{result.message}; cost until then: {cost}")


def _down(cluster_file: Path, region: str, launch: Launch, say: Say) -> None:
    """`ray down`, then by tags whatever it has missed; raises CloudError while a machine is left."""
    _ray("down", [str(cluster_file), "--yes"], say, check=False)
    missed = end_machines(region, launch.launch_id)
    if missed:
        say(f"ended what ray down left: {', '.join(missed)}")


def _ray(verb: str, words: Sequence[str], say: Say, *, check: bool = True) -> int:
    """Ray's own command line, its output shown; with `check` a failure raises CloudError."""
    command = [str(Path(sys.executable).with_name("ray")), verb, *words]
    say("$ ray " + " ".join([verb, *words]))
    process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    upload_failed = False
    with process:
        for line in process.stdout or ():
            sys.stdout.buffer.write(line)
            sys.stdout.flush()
            # Ray does not pass on the exit code of what it has run.
            upload_failed = upload_failed or line.startswith(UPLOAD_FAILED_LINE.encode())
    code = UPLOAD_FAILED if upload_failed else process.returncode
    if check and code != 0:
        raise CloudError(f"ray {verb} ended with {code}; what it printed above says why, and roadsense cloud doctor what may be missing")
    return code


def _describe(plan: LaunchPlan, now: datetime, resume: str | None) -> Launch:
    launch_id = new_launch_id(now)
    figures = plan.estimate
    return Launch(
        launch_id=launch_id,
        mode="single" if plan.settings.single else "cluster",
        region=plan.region,
        address=resume.rstrip("/") if resume else f"s3://{plan.settings.bucket}/runs/{launch_id}",
        started_at=now,
        deadline=now + timedelta(hours=figures.max_hours),
        usd_per_hour=figures.usd_per_hour_expected,
        usd_per_hour_at_most=figures.usd_per_hour_worst,
        env_runners=figures.env_runners,
    )


def _job_words(settings: CloudSettings, launch: Launch, job_flags: Sequence[str], resume: str | None) -> list[str]:
    where = ["--resume", launch.address] if resume else ["--output_dir", launch.address]
    return [*where, "--total_timesteps", str(settings.total_timesteps), "--num_env_runners", str(launch.env_runners), *job_flags]


def _refuse_own_flags(job_flags: Sequence[str]) -> None:
    for word in job_flags:
        if word.split("=")[0] in _OWN_FLAGS:
            raise UsageError(f"{word.split('=')[0]} is set by the launch; give it before the --, or leave it out")


def open_ledger(settings: CloudSettings) -> Ledger:
    """The ledger of this machine and of the bucket; raises BudgetError while the bucket does not answer."""
    bucket = ObjectStore(f"s3://{settings.bucket}", patience_s=5.0)
    try:
        bucket.list("ledger")
    except CloudError as problem:
        raise BudgetError(f"the ledger cannot be read ({problem}); nothing is launched until it can") from None
    return Ledger(settings.ledger_dir or state_directory() / "ledger", f"s3://{settings.bucket}")


@contextmanager
def _interruptible() -> Iterator[None]:
    """SIGTERM ends the block like Ctrl-C, so that machines are ended on the way out; while they are, neither is listened to."""

    def stop(number: int, _frame: FrameType | None) -> None:
        for each in (signal.SIGINT, signal.SIGTERM):
            signal.signal(each, signal.SIG_IGN)
        raise SystemExit(_TERMINATED if number == signal.SIGTERM else _INTERRUPTED)

    before = {number: signal.signal(number, stop) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
