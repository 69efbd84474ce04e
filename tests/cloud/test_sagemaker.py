"""SageMaker's container contract, emulated: a real training under a folder that is laid out like /opt/ml."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from datetime import UTC, datetime
from pathlib import Path

import boto3
import pytest
from botocore.stub import ANY, Stubber

from roadsense.cloud.ledger import Ledger
from roadsense.cloud.sagemaker import METRICS, command_line, metric_definitions, metric_line
from roadsense.cloud.sagemaker_request import reserve_training_job, training_job_request
from roadsense.errors import BudgetError, UsageError

SMALL = {
    "num_env_runners": "1", "num_envs_per_env_runner": "2", "n_steps": "400", "minibatch_size": "200", "num_epochs": "2", "eval_episodes": "1",
    "skip_check": "true",
}  # fmt: skip
HOST = "import sys; from pathlib import Path; from roadsense.cloud.sagemaker import main; sys.exit(main(Path(sys.argv[1])))"


def opt_ml(root, dataset_dir, hyperparameters, hosts=("algo-1",), current="algo-1"):
    config = root / "input" / "config"
    config.mkdir(parents=True)
    (config / "hyperparameters.json").write_text(json.dumps(hyperparameters))
    (config / "resourceconfig.json").write_text(json.dumps({"current_host": current, "hosts": list(hosts)}))
    if dataset_dir is not None:
        (root / "input" / "data").mkdir()
        (root / "input" / "data" / "dataset").symlink_to(dataset_dir)
    return root


def host(root):
    env = os.environ | {"RAY_USAGE_STATS_ENABLED": "0"}
    return subprocess.Popen(
        [sys.executable, "-c", HOST, str(root)],
        env=env,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )


@pytest.mark.ci
def test_a_spot_job_is_interrupted_and_goes_on(tmp_path):
    """SIGTERM as managed spot sends it; then a new container finds the checkpoints that SageMaker has brought back, and nothing else."""
    given = SMALL | {"train_count": "6", "eval_count": "2"}  # no channel: the job generates its dataset
    job = opt_ml(tmp_path / "ml", None, given | {"total_timesteps": "100000", "checkpoint_every": "400"})
    first = host(job)
    lines = []
    for line in first.stdout:
        lines.append(line)
        if line.startswith("roadsense_metric") and "timesteps=1200" in line:
            break
    interrupted = time.monotonic()
    first.send_signal(signal.SIGTERM)
    rest, _ = first.communicate(timeout=110)
    assert time.monotonic() - interrupted < 110, "managed spot gives two minutes"
    assert first.returncode == 143, "".join(lines) + rest
    assert not (job / "output" / "failure").exists() and not (job / "model").exists()
    saved = max(int(path.name[5:]) for path in (job / "checkpoints" / "run" / "checkpoints").glob("step_*"))

    fresh = opt_ml(tmp_path / "ml2", None, given | {"total_timesteps": str(saved + 800), "checkpoint_every": "400"})
    (job / "checkpoints").rename(fresh / "checkpoints")
    shutil.rmtree(job)
    second = host(fresh)
    output, _ = second.communicate(timeout=240)
    assert second.returncode == 0, output
    assert "generated again: " in output
    assert f"resumed from: step_{saved:09d}" in output
    assert {"model_final.zip", "metrics.json", "provenance.json"} <= {path.name for path in (fresh / "model").iterdir()}
    reached = [float(found) for found in re.findall(r"^roadsense_metric .*\btimesteps=([^;]+);", output, re.MULTILINE)]
    assert reached and max(reached) >= saved + 800


def test_a_wrong_hyperparameter_is_the_reason_in_the_failure_file(dataset_dir, tmp_path):
    job = opt_ml(tmp_path / "ml", dataset_dir, {"learning_rat": "1e-3"})
    done = host(job)
    output, _ = done.communicate(timeout=100)
    assert done.returncode == 1
    reason = (job / "output" / "failure").read_text()
    assert "did you mean --learning_rate" in reason and "\n" not in reason, output


def test_a_job_without_its_configuration_says_so(tmp_path):
    done = host(tmp_path)
    done.communicate(timeout=60)
    assert done.returncode == 1
    assert "resourceconfig.json: no such file" in (tmp_path / "output" / "failure").read_text()


def test_hyperparameters_become_flags(tmp_path):
    given = {"total_timesteps": "\"5000\"", "skip_eval": "True", "gui": "false", "sagemaker_program": "x", "seed": "3"}  # fmt: skip
    words = command_line(opt_ml(tmp_path, None, given))
    assert words == [
        "pipeline",
        "--recipe",
        f"--output_dir={tmp_path}/checkpoints/run",
        "--total_timesteps=5000",
        "--skip_eval",
        "--seed=3",
    ]


def test_a_channel_is_what_is_trained_on(dataset_dir, tmp_path):
    assert f"--dataset_dir={tmp_path}/input/data/dataset" in command_line(opt_ml(tmp_path, dataset_dir, {}))


def test_the_tuner_finds_every_figure():
    line = metric_line(dict.fromkeys(METRICS.values(), 0.125) | {"eval_collision_rate": 0.5, "eval_mean_return": -1.5e-7})
    for definition in metric_definitions():
        found = re.search(definition["Regex"], line)
        assert found and float(found[1]) in (0.125, 0.5, -1.5e-7), definition


def request(**changes):
    values = {
        "name": "roadsense-x", "image": "1.dkr.ecr.us-east-1.amazonaws.com/roadsense:abc", "role_arn": "arn:aws:iam::123456789012:role/RoadSense-Trainer-Role",
        "bucket": "roadsense-training-results", "hyperparameters": {"seed": "7"}, "max_run_s": 7200, "max_wait_s": 14400,
        "dataset_address": "s3://roadsense-training-results/datasets/ds",
    } | changes  # fmt: skip
    return training_job_request(**values)


def test_sagemaker_would_take_the_request(aws):
    client = boto3.client("sagemaker")
    with Stubber(client) as stub:
        stub.add_response(
            "create_training_job",
            {"TrainingJobArn": "arn:aws:sagemaker:us-east-1:123456789012:training-job/x"},
            dict.fromkeys(request(), ANY),
        )
        client.create_training_job(**request())
    made = request()
    assert made["EnableManagedSpotTraining"] and made["CheckpointConfig"]["LocalPath"] == "/opt/ml/checkpoints"


def test_a_job_counts_against_the_month(aws, tmp_path):
    ledger = Ledger(tmp_path, None)
    now = datetime(2026, 11, 20, tzinfo=UTC)
    assert reserve_training_job(ledger, request(), "us-east-1", 20.0, now) == pytest.approx(2.1 * 1.836, abs=0.01)
    with pytest.raises(BudgetError):
        reserve_training_job(ledger, request(name="roadsense-y", max_run_s=36000, max_wait_s=36000), "us-east-1", 20.0, now)


@pytest.mark.parametrize("changes", [{"max_wait_s": 60}, {"max_run_s": 0}, {"dataset_address": "/local"}])
def test_what_sagemaker_would_refuse_is_refused_first(changes):
    with pytest.raises(UsageError):
        request(**changes)


def test_the_job_script_refuses_before_it_submits(aws, repository, tmp_path):
    script = [sys.executable, str(repository / "deploy" / "sagemaker_job.py"), "--cluster_yaml", str(repository / "cluster.yaml")]
    env = os.environ | {"XDG_STATE_HOME": str(tmp_path)}
    done = subprocess.run(
        [*script, "--max_run_hours", "50", "--email", "me@example.org"], env=env, capture_output=True, text=True, cwd=Path("/")
    )
    assert done.returncode == 3, done.stderr
    assert "could cost $" in done.stderr and "Traceback" not in done.stderr
