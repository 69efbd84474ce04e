"""`roadsense cloud plan | run | status | down | doctor`."""

from __future__ import annotations

import argparse
from datetime import UTC, datetime, timedelta
from pathlib import Path

from rich.console import Console
from rich.table import Table

from roadsense.cli.findings import print_findings
from roadsense.cli.flags import add_settings_flags, settings_from_flags
from roadsense.cloud.account import end_machines, machines
from roadsense.cloud.cluster_file import read_cluster_file
from roadsense.cloud.doctor import examine
from roadsense.cloud.launch import LaunchPlan, open_ledger, plan_launch, run_launch
from roadsense.cloud.prices import look_up
from roadsense.cloud.settings import CloudSettings
from roadsense.errors import BudgetError, UsageError
from roadsense.evaluation.table import table_console
from roadsense.findings import exit_code_of

_ACTIONS = {
    "plan": "machines, prices, predicted hours, worst case, and what is left this month; starts nothing",
    "run": "start machines, train, collect, end them; refused (exit code 3) when the worst case exceeds what is left",
    "status": "machines of the project and what they have cost so far",
    "down": "end every machine of the project",
    "doctor": "what the account lacks, and how to make it",
}
# A launch that has just been written down may not have machines yet; what is older and has none is over.
_SETTLE_AFTER = timedelta(minutes=15)


def add_flags(parser: argparse.ArgumentParser) -> None:
    """The action, the launch's settings, and after -- the flags of the pipeline."""
    parser.add_argument("action", choices=_ACTIONS, metavar="ACTION", help="; ".join(f"{name}: {text}" for name, text in _ACTIONS.items()))
    add_settings_flags(parser, CloudSettings)
    parser.add_argument("--resume", metavar="ADDRESS", help="s3:// address of a run to go on with")
    parser.add_argument("--script", type=Path, default=Path("experiments/ppo_convoy.py"), help="recipe that ray submit copies to the head")
    parser.epilog = "After -- come flags of roadsense pipeline for the job: roadsense cloud run -- --seed 7"


def run(flags: argparse.Namespace) -> int:
    """Do one of the actions."""
    settings = settings_from_flags(CloudSettings, flags)
    console = table_console()
    if flags.job_flags and flags.action != "run":
        raise UsageError(f"cloud {flags.action} takes no flags of the job; they belong to cloud run")
    if flags.action == "doctor":
        return _doctor(settings, console)
    if flags.action == "plan":
        plan = plan_launch(settings)
        _show_plan(plan, console)
        if plan.estimate.worst_case_usd > plan.left_usd:
            raise BudgetError(f"cloud run would refuse: ${plan.estimate.worst_case_usd:.2f} at worst, ${max(0.0, plan.left_usd):.2f} left")
        return 0
    if flags.action == "status":
        return _status(settings, console)
    if flags.action == "down":
        return _down(settings, console)
    if flags.resume is not None and not flags.resume.startswith("s3://"):
        raise UsageError(f"--resume {flags.resume}: a machine of AWS needs an s3:// address; roadsense train --resume goes on here")
    plan = plan_launch(settings)
    _show_plan(plan, console)
    return run_launch(plan, flags.job_flags, flags.resume, flags.script, lambda line: console.print(line, soft_wrap=True, markup=False))


def _show_plan(plan: LaunchPlan, console: Console) -> None:
    figures = plan.estimate
    table = Table("machine", "number", "on demand $/h", "spot quote $/h", "by zone", "from", box=None)
    workers = figures.machines - (0 if figures.head is None else 1)
    priced = [(figures.worker, workers, "spot")] + ([(figures.head, 1, "on demand")] if figures.head is not None else [])
    for price, number, kind in priced:
        quote = "--" if price.spot_usd_per_hour is None else f"{price.spot_usd_per_hour:.4f}"
        zones = ", ".join(f"{zone[-1]} {usd:.4f}" for zone, usd in price.spot_by_zone.items()) or "no quote that can be believed"
        table.add_row(
            price.instance_type,
            f"{number} {kind}",
            f"{price.on_demand_usd_per_hour:.4f}",
            quote,
            zones if kind == "spot" else "",
            price.source,
        )
    console.print(table)
    console.print(
        f"{plan.settings.total_timesteps:,} steps by {figures.env_runners} env runners: {figures.predicted_hours:.2f} hours predicted, "
        f"machines end after {figures.max_hours:.2f}\n"
        f"expected ${figures.expected_usd:.2f}, worst case ${figures.worst_case_usd:.2f} "
        f"({figures.max_hours:.2f} h + margin, on-demand prices, disks, addresses, S3)\n"
        f"this month: ${plan.spent_usd:.2f} launched so far, ${max(0.0, plan.left_usd):.2f} left of ${plan.settings.monthly_limit_usd:.2f}",
        soft_wrap=True,
    )


def _status(settings: CloudSettings, console: Console) -> int:
    region = _region(settings)
    now = datetime.now(UTC)
    there = machines(region)
    table = Table("instance", "state", "kind", "type", "zone", "launch", "hours", "at most $", box=None)
    for machine in there:
        hours = (now - machine.launched_at).total_seconds() / 3600
        usd = _usd(machine.instance_type, region, hours)
        table.add_row(
            machine.instance_id, machine.state, f"{machine.kind} {machine.lifecycle}", machine.instance_type, machine.zone,
            machine.launch_id or "by hand", f"{hours:.2f}", usd,
        )  # fmt: skip
    console.print(table if there else "no machine of the project is there")
    ledger = open_ledger(settings)
    for entry in ledger.entries():
        if entry.settled_usd is None:
            console.print(
                f"launch {entry.launch_id} ({entry.kind}) is open: counts ${entry.worst_case_usd:.2f}, "
                f"ends by {entry.deadline:%Y-%m-%d %H:%M} UTC",
                soft_wrap=True,
            )
    spent = ledger.spent_usd()
    console.print(f"this month: ${spent:.2f} of ${settings.monthly_limit_usd:.2f}", soft_wrap=True)
    return 0


def _usd(instance_type: str, region: str, hours: float) -> str:
    try:
        return f"{hours * look_up(instance_type, region).on_demand_usd_per_hour:.2f}"
    except BudgetError:
        return "unknown"


def _down(settings: CloudSettings, console: Console) -> int:
    ended = end_machines(_region(settings))
    console.print(f"ended: {', '.join(ended)}" if ended else "no machine of the project was there", soft_wrap=True)
    now = datetime.now(UTC)
    ledger = open_ledger(settings)
    for entry in ledger.entries():
        if entry.settled_usd is None and now - entry.started_at > _SETTLE_AFTER:
            share = min(1.0, (now - entry.started_at) / max(entry.deadline - entry.started_at, timedelta(minutes=1)))
            ledger.settle(entry.launch_id, entry.worst_case_usd * share)
            console.print(f"launch {entry.launch_id} is over: at most ${entry.worst_case_usd * share:.2f}", soft_wrap=True)
    return 0


def _doctor(settings: CloudSettings, console: Console) -> int:
    findings = examine(settings)
    print_findings(console, findings)
    return exit_code_of(findings)


def _region(settings: CloudSettings) -> str:
    return str(read_cluster_file(settings.cluster_yaml)["provider"]["region"])
