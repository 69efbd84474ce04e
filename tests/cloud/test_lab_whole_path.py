"""The whole path with unmodified Ray on a fake EC2 of network namespaces (lab/README.md): launch, spot loss, end; loss of the head, resume.

Needs root, sshd, rsync and iproute2. Nothing of it can reach an address outside.
"""

import json
import os
import re
import shutil
import sys
import tempfile
import time
from pathlib import Path

import pytest
import yaml
from lab_support import DIFFERENCES, differences, lab_cluster

sys.path.insert(0, str(Path(__file__).parent / "lab"))

from lab import Lab, missing_tools

from roadsense.cloud.cluster_file import read_cluster_file

STATUS = """import boto3, json
found = []
for page in boto3.client("ec2").describe_instances()["Reservations"]:
    for each in page["Instances"]:
        kind = {tag["Key"]: tag["Value"] for tag in each.get("Tags", [])}.get("ray-node-type")
        found.append([each["InstanceId"], each["State"]["Name"], kind, each.get("InstanceLifecycle", "on-demand")])
print(json.dumps(found))"""
KEYS = """import boto3, json
pages = boto3.client("s3").get_paginator("list_objects_v2").paginate(Bucket="roadsense-training-results")
print(json.dumps([each["Key"] for page in pages for each in page.get("Contents", [])]))"""
READ = """import boto3, sys
print(boto3.client("s3").get_object(Bucket="roadsense-training-results", Key=sys.argv[1])["Body"].read().decode())"""
END = "import boto3, sys; boto3.client('ec2').terminate_instances(InstanceIds=sys.argv[1:])"
JOB = [
    "--train_count", "6", "--eval_count", "2", "--eval_episodes", "1", "--skip_check", "--n_steps", "400", "--minibatch_size", "200",
    "--num_epochs", "2", "--num_envs_per_env_runner", "1",
]  # fmt: skip

# Six minutes, so `make test` leaves them to .ci/run, which asks for all marks.
ASKED_FOR = os.environ.get("ROADSENSE_NO_SKIP") == "1" or os.environ.get("ROADSENSE_LAB") == "1"
needs_lab = pytest.mark.skipif(
    os.geteuid() != 0 or bool(missing_tools()) or not ASKED_FOR,
    reason=f"needs ROADSENSE_LAB=1, root and Debian's openssh-server, rsync, iproute2 (missing: {missing_tools()})",
)


def test_the_lab_runs_the_projects_cluster_file_and_no_other(repository):
    ours = read_cluster_file(repository / "cluster.yaml")
    found = differences(ours, lab_cluster(repository))
    starts = {path for path in found if path[0] in ("head_start_ray_commands", "worker_start_ray_commands")}
    assert len(starts) == 2
    docker = {path for path in found if path[0] == "docker"}
    assert found - starts - docker == {path for path in DIFFERENCES if path != ("docker",)}


@pytest.fixture
def lab(repository):
    """The lab, with the cluster file in the laptop's folder (short paths: Ray's sockets lie below them)."""
    top = Path(tempfile.mkdtemp(prefix="rslab"))
    made = None
    try:
        made = Lab(top / "lab")
        made.folder = top / "laptop"
        (made.folder / "experiments").mkdir(parents=True)
        shutil.copy(repository / "experiments" / "ppo_convoy.py", made.folder / "experiments")
        (made.folder / "cluster.yaml").write_text(yaml.safe_dump(lab_cluster(repository), sort_keys=False))
        yield made
    finally:
        if made is not None:
            made.down()
        shutil.rmtree(top, ignore_errors=True) if os.environ.get("ROADSENSE_KEEP_LAB") != "1" else print("lab kept:", top)


def cloud_run(lab, *words):
    """`roadsense cloud run` on the laptop, in the background; its output goes to `output.txt` in the laptop's folder."""
    roadsense = Path(sys.executable).with_name("roadsense")
    command = [roadsense, "cloud", "run", "--email", "me@example.org", "--max_hours", "1", *words]
    with (lab.folder / "output.txt").open("wb") as out:
        process = lab.laptop(*command, cwd=lab.folder, stdout=out)
    process.output = lab.folder / "output.txt"
    return process


def wait_for(what, condition, process, timeout_s=700):
    end = time.monotonic() + timeout_s
    while not (value := condition()):
        if process.poll() is not None or time.monotonic() > end:
            raise AssertionError(f"never happened: {what}; output:\n{process.output.read_text()[-6000:]}")
        time.sleep(3)
    print(f"{time.strftime('%T')} {what}: {str(value)[:100]}", flush=True)
    return value


def running(lab, kind):
    return [name for name, state, node_kind, _ in json.loads(lab.python(STATUS)) if state == "running" and node_kind == kind]


def stored(lab, pattern):
    return [key for key in json.loads(lab.python(KEYS)) if re.search(pattern, key)]


def rows(lab):
    """Iterations in the bucket's progress.csv, and the workers of the last one."""
    found = stored(lab, r"runs/[^/]+/progress.csv$")
    lines = lab.python(READ, found[0]).strip().splitlines() if found else []
    return len(lines) - 1


def finish(process, timeout_s=700):
    process.wait(timeout=timeout_s)
    return process.returncode, process.output.read_text()


@needs_lab
@pytest.mark.root
@pytest.mark.cloudlab
@pytest.mark.timeout(1800)
def test_launch_spot_notice_loss_of_a_worker_and_the_end(lab):
    """No periodic checkpoint comes in this run, so those that appear were written because a node was draining.

    Many epochs make its iterations so long that the run outlives the notice by a minute, however fast the machine.
    """
    process = cloud_run(lab, "--total_timesteps", "48000", "--", *JOB, "--num_epochs", "60", "--checkpoint_every", "1000000")
    wait_for("two iterations are in the bucket", lambda: rows(lab) >= 2, process)
    victims = running(lab, "worker")
    assert len(victims) == 2
    assert stored(lab, r"checkpoints/step_\d+/roadsense.json") == []
    lab.notice(victims[0], 20)
    wait_for("checkpoint while the node drains", lambda: stored(lab, r"checkpoints/step_\d+/roadsense.json"), process, 60)
    wait_for("the worker is taken", lambda: victims[0] not in running(lab, "worker") and "gone", process, 60)
    seen = rows(lab)
    wait_for("training goes on", lambda: rows(lab) >= seen + 3 and rows(lab), process)
    code, output = finish(process)
    assert code == 0, output[-6000:]
    assert all(state == "terminated" for _, state, _, _ in json.loads(lab.python(STATUS)))
    assert {lifecycle for _, _, kind, lifecycle in json.loads(lab.python(STATUS)) if kind == "worker"} == {"spot"}
    for name in ("model_final.zip", "metrics.json", "episodes.parquet", "training.log"):
        assert stored(lab, rf"runs/[^/]+/{name}$"), name
    assert stored(lab, r"tensorboard/events")
    metrics = json.loads(lab.python(READ, stored(lab, "metrics.json$")[0]))
    assert 0 < metrics["training"]["cost"]["cost_usd"] <= metrics["training"]["cost"]["cost_usd_at_most"] < 1
    assert metrics["training"]["training_timesteps"] >= 48000
    assert list(lab.folder.glob("runs/*/model_final.zip")), "collected on the laptop"
    entry = json.loads(lab.python(READ, stored(lab, "^ledger/")[0]))
    assert 0 < entry["settled_usd"] < entry["worst_case_usd"]


@needs_lab
@pytest.mark.root
@pytest.mark.cloudlab
@pytest.mark.timeout(1800)
def test_loss_of_the_head_and_resume(lab):
    process = cloud_run(lab, "--total_timesteps", "200000", "--", *JOB, "--checkpoint_every", "800")
    wait_for("a checkpoint is in the bucket", lambda: stored(lab, r"checkpoints/step_\d+/roadsense.json"), process)
    head = running(lab, "head")[0]
    lab.python(END, head)
    code, output = finish(process)
    assert code == 2, output[-6000:]
    address = re.search(r"roadsense cloud run --resume (s3://\S+)", output)[1]
    assert all(state == "terminated" for _, state, _, _ in json.loads(lab.python(STATUS)))
    newest = max(int(re.search(r"step_(\d+)", key)[1]) for key in stored(lab, r"checkpoints/step_\d+/roadsense.json"))
    process = cloud_run(lab, "--resume", address, "--total_timesteps", str(newest + 1600))
    code, output = finish(process)
    assert code == 0, output[-6000:]
    assert "resumed from: step_" in output
    metrics = json.loads(lab.python(READ, stored(lab, "metrics.json$")[0]))
    assert newest + 1600 <= metrics["training"]["training_timesteps"] < 200000
    assert all(state == "terminated" for _, state, _, _ in json.loads(lab.python(STATUS)))


HOST = "import sys; from pathlib import Path; from roadsense.cloud.sagemaker import main; sys.exit(main(Path(sys.argv[1])))"


@needs_lab
@pytest.mark.root
@pytest.mark.cloudlab
@pytest.mark.timeout(1800)
def test_two_sagemaker_hosts_form_one_cluster(lab):
    """Each with its own processes and files; the second ends by itself when the first is done."""
    hosts = ["172.31.255.254", "algo-2"]
    given = {
        "train_count": "6", "eval_count": "2", "eval_episodes": "1", "skip_check": "true", "n_steps": "400", "minibatch_size": "200",
        "num_epochs": "1", "num_envs_per_env_runner": "1", "num_env_runners": "3", "total_timesteps": "1200",
    }  # fmt: skip
    processes = []
    for host in hosts:
        root = lab.folder / host
        config = root / "input" / "config"
        config.mkdir(parents=True)
        (config / "hyperparameters.json").write_text(json.dumps(given))
        (config / "resourceconfig.json").write_text(json.dumps({"current_host": host, "hosts": hosts}))
        processes.append(lab.laptop(sys.executable, "-c", HOST, root, cwd=lab.folder))
    output = processes[0].communicate(timeout=900)[0]
    assert processes[0].returncode == 0, output[-4000:]
    assert processes[1].wait(timeout=200) == 0
    assert "joined the Ray cluster" in output
    assert (lab.folder / hosts[0] / "model" / "model_final.zip").exists()
