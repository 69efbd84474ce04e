"""A training that is stopped, killed, resumed or debugged, on real Ray and real SUMO."""

import contextlib
import csv
import json
import os
import shutil
import signal
import time
from pathlib import Path

import psutil
import pyarrow.parquet as pq
import pytest
from tests_support import SMALL, metrics, roadsense, start, wait_for_line

from roadsense.cli import main, train
from roadsense.cli.flags import Parser
from roadsense.scenario.generate import GenerateSettings, generate
from roadsense.training.plan import plan_training


@pytest.fixture
def copied_run(run_dir, tmp_path) -> Path:
    return Path(shutil.copytree(run_dir, tmp_path / "copy"))


def training_rows(root: Path) -> list[dict]:
    return [row for row in pq.read_table(root / "episodes.parquet").to_pylist() if row["phase"] == "train"]


def test_resume_goes_on_without_repeating_anything(run_dir, copied_run):
    done = roadsense("train", "--resume", copied_run, "--total_timesteps", 4000, "--eval_episodes", 1)
    assert done.returncode == 0, done.stderr
    assert metrics(copied_run)["training"]["training_timesteps"] >= 4000
    rows = list(csv.DictReader((copied_run / "progress.csv").open()))
    timesteps = [int(row["timesteps"]) for row in rows]
    assert timesteps == sorted(set(timesteps))
    assert [int(row["iteration"]) for row in rows] == list(range(1, len(rows) + 1))
    before, after = training_rows(run_dir), training_rows(copied_run)
    assert after[: len(before)] == before
    identities = [row["identity"] for row in after]
    assert len(set(identities)) == len(identities)
    assert {identity.split("/")[1] for identity in identities} == {"0", "1"}


def test_resume_refuses_other_settings(copied_run):
    done = roadsense("train", "--resume", copied_run, "--learning_rate", "0.1")
    assert (done.returncode, done.stdout) == (2, "")
    assert "learning_rate" in done.stderr and len(done.stderr.splitlines()) == 1


def test_resume_refuses_another_dataset(copied_run, tmp_path):
    assert roadsense("generate", "--output_dir", tmp_path / "other", "--train_count", 2, "--eval_count", 1).returncode == 0
    done = roadsense("train", "--resume", copied_run, "--dataset_dir", tmp_path / "other")
    assert done.returncode == 2
    assert "dataset" in done.stderr and len(done.stderr.splitlines()) == 1


@pytest.mark.parametrize(("number", "expected"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_a_signal_checkpoints_and_closes(dataset_dir, tmp_path, number, expected):
    root = tmp_path / "run"
    process = start("train", "--dataset_dir", dataset_dir, "--output_dir", root, *SMALL, "--total_timesteps", 1_000_000)
    wait_for_line(process, "steps/s")
    children = psutil.Process(process.pid).children(recursive=True)
    process.send_signal(number)
    output = process.communicate(timeout=90)[0]
    assert process.returncode == expected, output
    assert "--resume" in output
    assert len(list((root / "checkpoints").glob("step_*"))) == 1
    assert metrics(root)["training"]["stopped_early"]
    _, alive = psutil.wait_procs(children, timeout=10)
    assert alive == []


def test_a_killed_worker_is_replaced_and_repeats_nothing(dataset_dir, tmp_path):
    root = tmp_path / "run"
    process = start("train", "--dataset_dir", dataset_dir, "--output_dir", root, *SMALL, "--total_timesteps", 12_000, "--skip_eval")
    wait_for_line(process, "steps/s")
    workers = [child for child in psutil.Process(process.pid).children(recursive=True) if "ConvoyEnvRunner" in " ".join(child.cmdline())]
    assert len(workers) == 2
    simulators = workers[0].children(recursive=True)
    workers[0].kill()
    output = process.communicate(timeout=200)[0]
    assert process.returncode == 0, output
    assert psutil.wait_procs(simulators, timeout=10)[1] == []
    assert metrics(root)["training"]["worker_restarts"] == 1
    parts = sorted((root / "training_episodes").glob("*.parquet"))
    identities = [row["identity"] for part in parts for row in pq.read_table(part).to_pylist()]
    assert len(set(identities)) == len(identities)
    assert {identity.split("/")[1] for identity in identities} == {"0", "1"}


def test_everything_in_one_process_on_one_core(dataset_dir, tmp_path):
    """The smallest run of all, end to end: 100 steps and one evaluation episode."""
    core = min(os.sched_getaffinity(0))
    began_s = time.monotonic()
    with _on_core(core):
        done = roadsense(
            "train",
            "--dataset_dir",
            dataset_dir,
            "--output_dir",
            tmp_path / "run",
            "--local",
            "--total_timesteps",
            100,
            "--eval_episodes",
            1,
        )
    assert done.returncode == 0, done.stderr
    assert metrics(tmp_path / "run")["training"]["training_timesteps"] >= 100
    assert metrics(tmp_path / "run")["evaluation"]["eval_episodes"] == 1
    assert time.monotonic() - began_s < 120


def test_the_default_is_a_single_base_scenario(tmp_path):
    done = roadsense(
        "train", "--output_dir", tmp_path / "run", "--local", "--total_timesteps", 50, "--skip_eval", "--num_envs_per_env_runner", 1
    )
    assert done.returncode == 0, done.stderr
    assert "highway_fast" in metrics(tmp_path / "run")["config"]["sumo_cfg"]


@contextlib.contextmanager
def _on_core(core: int):
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {core})
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


def test_resume_refuses_another_version_unless_told(copied_run, capsys):
    state = sorted((copied_run / "checkpoints").iterdir())[-1] / "roadsense.json"
    content = json.loads(state.read_text())
    assert content["versions"]["ray"] == "2.60.0" and content["config"]["seed"] == 42
    state.write_text(json.dumps(content | {"versions": content["versions"] | {"ray": "2.59.1"}}))
    assert main(["train", "--resume", str(copied_run)]) == 2
    error = capsys.readouterr().err
    assert len(error.splitlines()) == 1 and "ray 2.59.1" in error and "2.60.0" in error and "--resume_anyway" in error
    assert plan_training(flags_of("--resume", copied_run, "--resume_anyway")).checkpoint is not None


def test_resume_anyway_takes_another_configuration_and_dataset(copied_run, tmp_path):
    generate(GenerateSettings(output_dir=tmp_path / "other", seed=9, train_count=2, eval_count=1))
    changed = flags_of("--resume", copied_run, "--learning_rate", 0.1, "--dataset_dir", tmp_path / "other", "--resume_anyway")
    assert changed.learning_rate == 0.1
    plan = plan_training(changed)
    assert plan.starting_state().dataset_hash == plan.dataset.hash != plan.checkpoint.state.dataset_hash
    assert plan.recorded_settings()["resume_anyway"] is False


def flags_of(*words):
    parser = Parser()
    train.add_flags(parser)
    return train.settings(parser.parse_args([str(word) for word in words]))
