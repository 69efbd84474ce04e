"""The job on the machines: it uploads and ends them, also when training fails, when the laptop is gone, and not when the upload fails."""

import os
import signal
import subprocess
import sys
import time
from datetime import UTC, datetime, timedelta

import boto3
import pytest
from cloud_support import BUCKET

from roadsense.cli.pipeline import without_job
from roadsense.cloud import job
from roadsense.cloud.launch_file import UPLOAD_FAILED, JobResult, Launch, result_key
from roadsense.cloud.object_store import ObjectStore
from roadsense.cloud.settings import PRESETS
from roadsense.cloud.single import single_request

ADDRESS = f"s3://{BUCKET}/runs/one"


def launch(**changes):
    now = datetime.now(UTC)
    values = {
        "launch_id": "l1", "mode": "cluster", "region": "us-east-1", "address": ADDRESS, "started_at": now - timedelta(hours=1),
        "deadline": now + timedelta(hours=1), "usd_per_hour": 0.25, "usd_per_hour_at_most": 0.5, "env_runners": 2,
    } | changes  # fmt: skip
    return Launch(**values)


@pytest.fixture(autouse=True)
def _own_environment():
    """A job tells its training what it costs through the environment; here it shares the process with other tests."""
    before = dict(os.environ)
    yield
    os.environ.clear()
    os.environ.update(before)


@pytest.fixture
def machines(aws):
    """A head and a worker of the launch, and a machine of somebody else's."""
    ec2 = boto3.client("ec2")
    ours = [{"Key": "project", "Value": "roadsense"}, {"Key": "roadsense-launch", "Value": "l1"}]
    for tags in (ours, ours, [{"Key": "project", "Value": "other"}]):
        wanted = [{"ResourceType": "instance", "Tags": tags}]
        ec2.run_instances(ImageId="ami-12c6146b", MinCount=1, MaxCount=1, TagSpecifications=wanted)

    def states():
        return sorted(i["State"]["Name"] for r in ec2.describe_instances()["Reservations"] for i in r["Instances"])

    return states


def result():
    return JobResult.model_validate_json(ObjectStore(ADDRESS).read(result_key("l1")))


def test_a_failed_training_is_uploaded_and_the_machines_end(machines, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "runs" / "one").mkdir(parents=True)
    (tmp_path / "runs" / "one" / "progress.csv").write_text("half a run")
    (tmp_path / "log").write_text("what was shown")
    assert job.keep_job(launch(), tmp_path / "log", ["train", "--no_such_flag"]) == 2
    assert machines() == ["running", "terminated", "terminated"], "only this launch's"
    assert result().exit_code == 2
    assert 0.2 < result().cost_usd < result().cost_usd_at_most < 0.6
    store = ObjectStore(ADDRESS)
    assert store.read("progress.csv") == b"half a run" and store.read("jobs/l1.log") == b"what was shown"


def test_an_upload_that_fails_leaves_the_machines_and_says_so(gate, machines, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setitem(ObjectStore.__init__.__kwdefaults__, "patience_s", 0.5)
    monkeypatch.setattr(job, "_train", lambda launch, words: (gate.shut(), (0, ""))[1])
    assert job.keep_job(launch(), tmp_path / "log", []) == UPLOAD_FAILED
    assert "job: UPLOAD FAILED" in capsys.readouterr().out
    gate.open()
    assert machines() == ["running", "running", "running"]


CALLER = """
import sys
from pathlib import Path
from roadsense.cloud.job import run_job
run_job(Path(sys.argv[1]), ["generate", "--train_count", "2", "--eval_count", "1", "--output_dir", "data"])
"""


@pytest.mark.parametrize("number", [signal.SIGHUP, signal.SIGKILL])
def test_the_job_goes_on_when_the_terminal_is_gone(machines, tmp_path, number):
    (tmp_path / "launch.json").write_text(launch().model_dump_json())
    caller = subprocess.Popen([sys.executable, "-c", CALLER, str(tmp_path / "launch.json")], cwd=tmp_path, start_new_session=True)
    end = time.monotonic() + 60
    while not list(tmp_path.glob("roadsense_job_*.log")):
        assert time.monotonic() < end
        time.sleep(0.1)
    os.killpg(caller.pid, number)
    caller.wait(timeout=30)
    while not ObjectStore(ADDRESS).exists(result_key("l1")) or machines() != ["running", "terminated", "terminated"]:
        assert time.monotonic() < end + 60
        time.sleep(0.5)
    assert result().exit_code == 0


def test_a_job_is_stopped_before_the_deadline(aws, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    near = launch(deadline=datetime.now(UTC) + timedelta(seconds=60))
    began = time.monotonic()
    code, message = job._train(near, ["generate", "--train_count", "5000", "--eval_count", "1", "--output_dir", str(tmp_path / "data")])
    assert time.monotonic() - began < 30 and code != 0 and "deadline" in message


def test_the_word_job_does_not_reach_the_job():
    assert without_job(["pipeline", "--job", "l.json", "--seed", "1"]) == ["pipeline", "--seed", "1"]
    assert without_job(["--job=l.json", "--run_id", "pipeline"]) == ["pipeline", "--run_id", "pipeline"]


def test_the_words_of_a_recipe_reach_the_job(monkeypatch):
    """An experiment calls the command line with words of its own in front; they are not in the process's arguments."""
    from roadsense.cli import main, pipeline

    handed = []
    monkeypatch.setattr(pipeline, "run_job", lambda file, words: handed.append((file, words)) or 0)
    assert main(["pipeline", "--recipe", "--job", "l.json", "--seed", "1"]) == 0
    assert [(str(file), words) for file, words in handed] == [("l.json", ["pipeline", "--recipe", "--seed", "1"])]


def test_the_single_machine_arms_its_end_first_and_ends_itself(repository, aws):
    """Its boot script was never run: it needs Docker and a registry."""
    from roadsense.cloud.cluster_file import read_cluster_file

    content = read_cluster_file(repository / "cluster.yaml")
    request = single_request(
        content, launch(mode="single"), PRESETS["c6i.xlarge"], ["--seed", "a b"], "us-east-1a", "sg-1", "reg/roadsense:1"
    )
    boot = request["UserData"]
    assert subprocess.run(["bash", "-n"], input=boot, text=True).returncode == 0
    assert boot.index("shutdown -h") < boot.index("docker run") < boot.rindex("shutdown -h now")
    assert "roadsense-guard" not in boot and "'a b'" in boot and "pipeline --recipe --job /launch/roadsense_launch.json" in boot
    assert request["InstanceMarketOptions"]["MarketType"] == "spot"
    boto3.client("ec2").run_instances(**(request | {"ImageId": "ami-12c6146b", "SecurityGroupIds": [], "IamInstanceProfile": {}}))
