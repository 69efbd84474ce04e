"""Prices, predictions, the ledger and the refusal: the monthly limit holds even if the launching process dies."""

import json
import os
import re
import signal
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import boto3
import pytest
from botocore.stub import Stubber
from cloud_support import BUCKET

from roadsense.cli import main
from roadsense.cloud import launch as launches
from roadsense.cloud import prices
from roadsense.cloud.account import BUDGET_NAME, ensure_budget
from roadsense.cloud.estimate import estimate
from roadsense.cloud.ledger import Ledger, LedgerEntry
from roadsense.cloud.settings import CloudSettings
from roadsense.errors import BudgetError, CloudError
from roadsense.scaling.measured import packaged

NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)


def entry(launch_id, usd, started=NOW, hours=2.0):
    return LedgerEntry(
        launch_id=launch_id, kind="test", started_at=started, deadline=started + timedelta(hours=hours), worst_case_usd=usd
    )  # fmt: skip


@pytest.fixture
def ledger(tmp_path):
    return Ledger(tmp_path / "ledger", None)


def test_a_launch_counts_its_worst_case_until_it_is_settled(ledger):
    assert ledger.reserve(entry("a", 12.0), 20.0) == pytest.approx(8.0)
    with pytest.raises(BudgetError, match=r"could cost \$8\.01, and \$8\.00 are left of \$20\.00"):
        ledger.reserve(entry("b", 8.01), 20.0)
    ledger.settle("a", 0.5)
    assert ledger.spent_usd(NOW) == 0.5
    ledger.reserve(entry("b", 8.01), 20.0)
    ledger.settle("b", 99.0)
    assert ledger.spent_usd(NOW) == pytest.approx(8.51), "settling never raises a launch above its worst case"


def test_what_aws_reports_counts_where_it_is_more(ledger):
    with pytest.raises(BudgetError):
        ledger.reserve(entry("a", 5.0), 20.0, reported_usd=15.5)


@pytest.mark.parametrize("usd", [float("inf"), float("nan")])
def test_a_worst_case_that_is_no_figure_is_refused(ledger, usd):
    strange = LedgerEntry.model_construct(**(entry("a", 1.0).model_dump() | {"worst_case_usd": usd}))
    with pytest.raises(BudgetError):
        ledger.reserve(strange, 20.0)


def test_a_launch_over_the_end_of_the_month_counts_in_both(ledger):
    late = datetime(2026, 11, 30, 23, 30, tzinfo=UTC)
    ledger.reserve(entry("a", 12.0, late), 20.0)
    assert ledger.spent_usd(NOW) == ledger.spent_usd(datetime(2026, 12, 1, tzinfo=UTC)) == 12.0
    assert ledger.spent_usd(datetime(2027, 1, 1, tzinfo=UTC)) == 0.0


def test_an_entry_that_nobody_can_read_stops_everything(ledger, tmp_path):
    ledger.reserve(entry("a", 1.0), 20.0)
    next((tmp_path / "ledger").glob("*.json")).write_text("{")
    with pytest.raises(BudgetError):
        ledger.reserve(entry("b", 1.0), 20.0)


def test_another_laptop_sees_the_launch_in_the_bucket(aws, tmp_path):
    here, there = (Ledger(tmp_path / name, f"s3://{BUCKET}") for name in ("here", "there"))
    here.reserve(entry("a", 15.0), 20.0)
    with pytest.raises(BudgetError, match=r"\$5\.00 are left"):
        there.reserve(entry("b", 6.0), 20.0)
    here.settle("a", 1.0)
    assert there.spent_usd(NOW) == 1.0


def test_without_the_bucket_nobody_knows_and_nothing_is_launched(gate, tmp_path):
    ledger = Ledger(tmp_path / "ledger", f"s3://{BUCKET}")
    gate.shut()
    ledger._store._patience_s = 0
    with pytest.raises(BudgetError, match="nobody knows"):
        ledger.reserve(entry("a", 1.0), 20.0)


RESERVE_AND_HANG = """
import sys, time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from roadsense.cloud.ledger import Ledger, LedgerEntry
now = datetime.now(UTC)
entry = LedgerEntry(launch_id="dead", kind="test", started_at=now, deadline=now + timedelta(hours=1), worst_case_usd=19.0)
Ledger(Path(sys.argv[1]), None).reserve(entry, 20.0)
print("reserved", flush=True)
time.sleep(600)
"""


def test_the_limit_holds_when_the_driver_is_killed(tmp_path):
    driver = subprocess.Popen([sys.executable, "-c", RESERVE_AND_HANG, str(tmp_path)], stdout=subprocess.PIPE, text=True)
    assert driver.stdout.readline() == "reserved\n"
    os.kill(driver.pid, signal.SIGKILL)
    driver.wait()
    with pytest.raises(BudgetError, match=r"\$1\.00 are left"):
        Ledger(tmp_path, None).reserve(entry("next", 1.01, datetime.now(UTC)), 20.0)


def test_a_spot_quote_that_makes_no_sense_is_not_believed(aws):
    """moto quotes 0.00001 and its pricing API fails: the table's on-demand price stands for both."""
    price = prices.look_up("c6i.xlarge", "us-east-1")
    assert price.on_demand_usd_per_hour == price.expected_spot_usd_per_hour == 0.17
    assert price.spot_usd_per_hour is None and price.source.startswith("table")


def test_quotes_and_list_prices_of_aws_are_used(aws, monkeypatch):
    """The answers of AWS by botocore's Stubber, in the shape of its service description; moto's pricing API is broken."""
    pricing, ec2 = boto3.client("pricing"), boto3.client("ec2")
    dimension = {"pricePerUnit": {"USD": "0.1800000000"}}
    product = {"terms": {"OnDemand": {"X": {"priceDimensions": {"Y": dimension}}}}}
    quote = {"InstanceType": "c6i.xlarge", "ProductDescription": "Linux/UNIX", "Timestamp": NOW}
    quotes = [
        quote | {"AvailabilityZone": f"us-east-1{zone}", "SpotPrice": usd} for zone, usd in (("a", "0.071"), ("b", "0.066"), ("f", "9.0"))
    ]

    class Session:
        def __init__(self, attempts=4):
            pass

        def client(self, name, **_):
            return {"pricing": pricing, "ec2": ec2}[name]

    monkeypatch.setattr("roadsense.cloud.aws.session", Session)
    with Stubber(pricing) as stub_pricing, Stubber(ec2) as stub_ec2:
        stub_pricing.add_response("get_products", {"FormatVersion": "aws_v1", "PriceList": [json.dumps(product)]})
        stub_ec2.add_response("describe_spot_price_history", {"SpotPriceHistory": quotes})
        price = prices.look_up("c6i.xlarge", "us-east-1")
    assert price.on_demand_usd_per_hour == 0.18 and price.source == "pricing API"
    assert price.spot_by_zone == {"us-east-1a": 0.071, "us-east-1b": 0.066} and price.spot_usd_per_hour == 0.071


def test_a_machine_without_a_price_is_not_launched(aws):
    with pytest.raises(BudgetError, match=r"nobody knows what c99\.mega costs"):
        prices.look_up("c99.mega", "us-east-1")


def test_the_worst_case_covers_every_machine_at_its_list_price(aws):
    figures = estimate(CloudSettings(max_hours=2.0), "us-east-1")
    machines_usd = 2.25 * (0.096 + 2 * 0.17)
    assert machines_usd < figures.worst_case_usd < machines_usd + 0.15
    assert figures.machines == 3 and figures.env_runners == 8
    # 500,000 steps: sampling by 8 runners, then learning, 0.4 h around; waiting and the network take less than half as long again
    costs = packaged().costs()
    least_s = 500_000 / (costs.sampling_steps_per_s * 8) + 500_000 * costs.learning_s_per_step
    assert 0.4 + least_s / 3600 < figures.predicted_hours < 0.4 + 1.5 * least_s / 3600
    assert figures.usd_after(100.0) == figures.worst_case_usd


def test_the_budget_warns_at_80_and_100_percent(aws):
    assert "made" in ensure_budget("123456789012", 15.0, "me@example.org")
    assert "is there" in ensure_budget("123456789012", 15.0, None)
    client = boto3.client("budgets")
    assert client.describe_budget(AccountId="123456789012", BudgetName=BUDGET_NAME)["Budget"]["BudgetLimit"]["Amount"] == "15"
    found = client.describe_notifications_for_budget(AccountId="123456789012", BudgetName=BUDGET_NAME)["Notifications"]
    assert sorted(each["Threshold"] for each in found) == [80.0, 100.0]


def test_without_a_budget_and_an_address_nothing_is_launched(aws):
    with pytest.raises(CloudError, match="--email"):
        ensure_budget("123456789012", 15.0, None)


@pytest.fixture
def laptop(aws, tmp_path, monkeypatch, repository):
    """A user's folder and home; Ray's command line is noted instead of run."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    (tmp_path / "cluster.yaml").write_text((repository / "cluster.yaml").read_text())
    called = []

    def ray(verb, words, say, *, check=True):
        called.append(verb)
        if (outcome := ray.outcomes.get(verb)) is not None:
            outcome()
        return 0

    ray.outcomes = {}
    ray.called = called
    monkeypatch.setattr(launches, "_ray", ray)
    return ray


def test_cloud_plan_shows_the_money_and_starts_nothing(laptop, capsys):
    assert main(["cloud", "plan"]) == 0
    shown = capsys.readouterr().out
    for word in ("c6i.xlarge", "m6i.large", "worst case $", "left of $20.00", "hours predicted"):
        assert word in shown
    assert laptop.called == [] and boto3.client("ec2").describe_instances()["Reservations"] == []


def test_cloud_run_refuses_with_its_own_code_and_starts_nothing(laptop, capsys):
    assert main(["cloud", "run", "--email", "me@example.org", "--max_hours", "60", "--max_workers", "8"]) == 3
    assert "could cost $" in capsys.readouterr().err
    assert laptop.called == []
    assert boto3.client("ec2").describe_instances()["Reservations"] == []


def test_machines_are_ended_whatever_happens_and_the_job_is_missed(laptop, capsys):
    """`ray submit` comes back without a result, as when the head was lost: down, and the way to go on."""

    def submit():
        tags = [{"Key": "project", "Value": "roadsense"}, {"Key": "roadsense-launch", "Value": newest_launch()}]
        spot = [{"ResourceType": "instance", "Tags": tags}]
        boto3.client("ec2").run_instances(ImageId="ami-12c6146b", MinCount=1, MaxCount=1, TagSpecifications=spot)

    laptop.outcomes["submit"] = submit
    assert main(["cloud", "run", "--email", "me@example.org"]) == 2
    assert laptop.called == ["up", "submit", "down"]
    assert "--resume s3://" in capsys.readouterr().err
    states = {i["State"]["Name"] for r in boto3.client("ec2").describe_instances()["Reservations"] for i in r["Instances"]}
    assert states == {"terminated"}, "what ray down misses is found by its tags"


def newest_launch():
    return max(path.name for path in Path(os.environ["XDG_STATE_HOME"], "roadsense", "launches").iterdir())


def test_ray_up_that_fails_ends_what_it_started(laptop, capsys):
    def up():
        raise CloudError("ray up ended with 1")

    laptop.outcomes["up"] = up
    assert main(["cloud", "run", "--email", "me@example.org"]) == 2
    assert laptop.called == ["up", "down"]
    capsys.readouterr()
    main(["cloud", "plan"])
    spent = float(re.search(r"\$([0-9.]+) launched so far", capsys.readouterr().out)[1])
    assert 0 < spent < 0.3, "a launch that came to nothing counts what it can have cost, not its worst case"


def test_a_machine_that_is_there_already_stops_a_launch(laptop, capsys):
    tags = [{"ResourceType": "instance", "Tags": [{"Key": "project", "Value": "roadsense"}]}]
    boto3.client("ec2").run_instances(ImageId="ami-12c6146b", MinCount=1, MaxCount=1, TagSpecifications=tags)
    assert main(["cloud", "run", "--email", "me@example.org"]) == 2
    assert "already there" in capsys.readouterr().err
    assert laptop.called == []
    assert main(["cloud", "status"]) == 0 and "by hand" in capsys.readouterr().out
    assert main(["cloud", "down"]) == 0
    assert main(["cloud", "status"]) == 0 and "no machine" in capsys.readouterr().out


def test_the_doctor_says_what_is_missing_and_how_to_make_it(laptop, capsys, repository):
    assert main(["cloud", "doctor"]) == 1
    shown = capsys.readouterr().out
    for remedy in (
        "aws iam create-role",
        "aws iam create-instance-profile",
        "make_security_group.py",
        "make_bucket.py",
        "push_image.sh",
        "--email",
    ):
        assert remedy in shown
    for script, flags in (("make_security_group.py", ["--address", "203.0.113.7/32"]), ("make_bucket.py", [])):
        done = subprocess.run([sys.executable, str(repository / "deploy" / script), *flags], capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
    iam = boto3.client("iam")
    policy = (repository / "deploy" / "trust_policy.json").read_text()
    iam.create_role(RoleName="RoadSense-Trainer-Role", AssumeRolePolicyDocument=policy)
    iam.put_role_policy(
        RoleName="RoadSense-Trainer-Role", PolicyName="roadsense", PolicyDocument=(repository / "deploy" / "iam_policy.json").read_text()
    )
    iam.create_instance_profile(InstanceProfileName="RoadSense-Trainer-Role")
    iam.add_role_to_instance_profile(InstanceProfileName="RoadSense-Trainer-Role", RoleName="RoadSense-Trainer-Role")
    boto3.client("ecr").create_repository(repositoryName="roadsense")
    main(["cloud", "doctor"])
    missing = [line for line in capsys.readouterr().out.splitlines() if line.startswith("MISSING")]
    assert [line.split()[1] for line in missing] == ["image", "image", "AWS"]


def test_the_world_in_the_security_group_is_found(laptop, capsys):
    ec2 = boto3.client("ec2")
    group = ec2.create_security_group(GroupName="roadsense-cluster", Description="x", VpcId=ec2.describe_vpcs()["Vpcs"][0]["VpcId"])[
        "GroupId"
    ]
    rule = {"IpProtocol": "tcp", "FromPort": 22, "ToPort": 22, "IpRanges": [{"CidrIp": "0.0.0.0/0"}]}
    ec2.authorize_security_group_ingress(GroupId=group, IpPermissions=[rule])
    main(["cloud", "doctor"])
    assert "open to the world on 22" in capsys.readouterr().out
