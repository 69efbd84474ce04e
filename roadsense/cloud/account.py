"""The project's machines and the AWS Budget in an account: found by tags, ended by tags."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import Any, Final

from roadsense.cloud.aws import asked, call, found
from roadsense.cloud.settings import PROJECT_TAG
from roadsense.errors import CloudError

BUDGET_NAME: Final = "roadsense-monthly"
LAUNCH_TAG: Final = "roadsense-launch"
_ALIVE: Final = ("pending", "running", "stopping", "stopped", "shutting-down")
_BILLING: Final = ("pending", "running", "stopping", "stopped")
_ALERTS_PERCENT: Final = (80.0, 100.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Machine:
    """One instance of the project."""

    instance_id: str
    state: str
    instance_type: str
    lifecycle: str  # "spot" or "on-demand"
    kind: str  # "head", "worker" or "single"
    zone: str
    launched_at: datetime
    launch_id: str | None


def account_id() -> str:
    """The account of the present credentials; raises CloudError without them."""
    return str(call("who am I", lambda session: session.client("sts").get_caller_identity()["Account"]))


def machines(region: str, launch_id: str | None = None) -> list[Machine]:
    """Every instance of the project that is not yet terminated, of one launch or of all.

    Raises:
        CloudError: AWS does not answer.
    """
    filters = [
        {"Name": f"tag:{PROJECT_TAG[0]}", "Values": [PROJECT_TAG[1]]},
        {"Name": "instance-state-name", "Values": list(_ALIVE)},
        *([{"Name": f"tag:{LAUNCH_TAG}", "Values": [launch_id]}] if launch_id is not None else []),
    ]

    def ask(session: Any) -> list[Machine]:
        pages = session.client("ec2", region_name=region).get_paginator("describe_instances").paginate(Filters=filters)
        return [_machine(each) for page in pages for reservation in page["Reservations"] for each in reservation["Instances"]]

    return sorted(call("listing the project's machines", ask), key=lambda machine: machine.launched_at)


def end_machines(region: str, launch_id: str | None = None, *, patience_s: float = 300.0) -> list[str]:
    """Terminate every machine of a launch, or of the project, and wait until AWS says that none bills any more; returns their ids.

    Raises:
        CloudError: AWS refuses, or machines are still there after `patience_s` seconds.
    """
    ended: set[str] = set()
    end = time.monotonic() + patience_s
    while True:
        left = [machine for machine in machines(region, launch_id) if machine.state in _BILLING]
        if not left:
            return sorted(ended)
        # Workers first: a head that still lives would replace nothing that it does not miss.
        ids = [machine.instance_id for machine in sorted(left, key=lambda machine: machine.kind == "head")]
        call("ending machines", partial(_terminate, region, ids))
        ended |= set(ids)
        if time.monotonic() > end:
            raise CloudError(f"{', '.join(ids)} still run after {patience_s:.0f} s; end them in the console of EC2, they bill")
        time.sleep(2.0)


def reported_spend_usd(account: str) -> float | None:
    """What AWS Budgets says this month has cost so far, hours late; None without a budget of ours or without an answer."""

    def ask(session: Any) -> float:
        budget = session.client("budgets", region_name="us-east-1").describe_budget(AccountId=account, BudgetName=BUDGET_NAME)["Budget"]
        return float(budget["CalculatedSpend"]["ActualSpend"]["Amount"])

    return asked(ask)


def ensure_budget(account: str, limit_usd: float, email: str | None) -> str:
    """Make the AWS Budget with its two warnings, if it is not there yet; returns what was done in one line.

    A budget warns hours late and stops nothing: the limit is kept by the ledger and by the machines' deadlines.

    Raises:
        CloudError: it does not exist and there is no address to send warnings to, or AWS refuses.
    """

    def look(session: Any) -> Any:
        return session.client("budgets", region_name="us-east-1").describe_budget(AccountId=account, BudgetName=BUDGET_NAME)["Budget"]

    there = found(look, "reading the AWS Budget")
    if there is not None:
        amount = float(there["BudgetLimit"]["Amount"])
        return f"AWS Budget {BUDGET_NAME} of ${amount:.0f} is there" + ("" if amount <= limit_usd else f": more than ${limit_usd:.0f}")
    if email is None:
        raise CloudError(f"there is no AWS Budget {BUDGET_NAME} yet and nobody to warn; give --email, and it is made now")
    budget = {
        "BudgetName": BUDGET_NAME,
        "BudgetLimit": {"Amount": f"{limit_usd:g}", "Unit": "USD"},
        "TimeUnit": "MONTHLY",
        "BudgetType": "COST",
    }
    warnings = [
        {
            "Notification": {
                "NotificationType": "ACTUAL",
                "ComparisonOperator": "GREATER_THAN",
                "Threshold": percent,
                "ThresholdType": "PERCENTAGE",
            },
            "Subscribers": [{"SubscriptionType": "EMAIL", "Address": email}],
        }
        for percent in _ALERTS_PERCENT
    ]

    def make(session: Any) -> None:
        client = session.client("budgets", region_name="us-east-1")
        client.create_budget(AccountId=account, Budget=budget, NotificationsWithSubscribers=warnings)

    call("making the AWS Budget", make)
    return f"AWS Budget {BUDGET_NAME} of ${limit_usd:.0f} made; warnings at 80 and 100 % go to {email}"


def _terminate(region: str, ids: list[str], session: Any) -> None:
    session.client("ec2", region_name=region).terminate_instances(InstanceIds=ids)


def _machine(described: Mapping[str, Any]) -> Machine:
    tags: Mapping[str, str] = {tag["Key"]: tag["Value"] for tag in _sequence(described.get("Tags"))}
    return Machine(
        instance_id=described["InstanceId"],
        state=described["State"]["Name"],
        instance_type=described["InstanceType"],
        lifecycle=described.get("InstanceLifecycle", "on-demand"),
        kind=tags.get("ray-node-type", "single"),
        zone=described["Placement"]["AvailabilityZone"],
        launched_at=described["LaunchTime"],
        launch_id=tags.get(LAUNCH_TAG),
    )


def _sequence(value: Any) -> Sequence[Any]:
    return value if isinstance(value, list) else []
