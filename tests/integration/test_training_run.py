"""What a finished training leaves, on real Ray and real SUMO."""

import csv
import importlib.util
import json
import subprocess
import sys

import pyarrow.parquet as pq
import pytest
from tests_support import SMALL, metrics, roadsense

from roadsense.errors import RunDirectoryError
from roadsense.evaluation.reference import REFERENCE_POLICIES

FIGURES = {
    "eval_episodes", "avg_reward", "std_reward", "min_reward", "max_reward", "avg_length", "collisions", "collision_rate", "truncations",
    "truncation_rate", "scenarios_evaluated", "hazard_episodes", "hazard_collision_rate", "false_braking_rate",
}  # fmt: skip


def test_the_run_directory_is_complete(run_dir):
    for name in ("model_final.zip", "metrics.json", "manifest.json", "config.json", "progress.csv", "episodes.parquet", "provenance.json"):
        assert (run_dir / name).stat().st_size > 0, name
    assert [path.name[:5] for path in sorted((run_dir / "checkpoints").iterdir())] == ["step_"] * 3
    assert any((run_dir / "tensorboard").iterdir())


def test_metrics_hold_what_is_promised(run_dir):
    content = metrics(run_dir)
    assert set(content) >= {"run_id", "timestamp", "config", "training", "evaluation", "references"}
    assert set(content["config"]) >= {
        "dataset_dir",
        "sumo_cfg",
        "emulator_params",
        "seed",
        "total_timesteps",
        "learning_rate",
        "n_steps",
        "ent_coef",
    }
    assert content["training"]["training_timesteps"] >= 2400
    assert content["training"]["reward_trend"]
    assert set(content["evaluation"]) >= FIGURES
    assert content["evaluation"]["eval_episodes"] == 3
    assert set(content["references"]) == set(REFERENCE_POLICIES)


def test_progress_has_one_row_per_iteration(run_dir):
    rows = list(csv.DictReader((run_dir / "progress.csv").open()))
    assert len(rows) == 3
    assert [int(row["iteration"]) for row in rows] == [1, 2, 3]
    assert all(int(row["healthy_workers"]) == 2 for row in rows)


def test_the_step_size_falls_linearly_to_its_final_value(run_dir):
    rows = list(csv.DictReader((run_dir / "progress.csv").open()))
    learning_rates = [float(row["learning_rate"]) for row in rows]
    expected = [max(1e-4, 3e-4 - 2e-4 * int(row["timesteps"]) / 2400) for row in rows]
    assert learning_rates == pytest.approx(expected, rel=0.01)


def test_episodes_hold_training_and_evaluation_with_actions(run_dir):
    table = pq.read_table(run_dir / "episodes.parquet").to_pylist()
    training = [row for row in table if row["phase"] == "train"]
    assert training
    assert len(table) - len(training) == 3 * (1 + len(REFERENCE_POLICIES))
    assert all(len(row["actions"]) == row["steps"] for row in table)


def test_no_identity_is_drawn_twice_and_shards_do_not_overlap(run_dir):
    rows = [row for row in pq.read_table(run_dir / "episodes.parquet").to_pylist() if row["phase"] == "train"]
    identities = [row["identity"] for row in rows]
    assert len(set(identities)) == len(identities)
    by_worker = {}
    for row in rows:
        by_worker.setdefault(row["identity"].split("/")[2], set()).add(row["scenario_id"])
    assert set(by_worker) == {"0", "1"}
    assert not by_worker["0"] & by_worker["1"]


def test_provenance_names_commit_versions_and_hashes(run_dir):
    provenance = json.loads((run_dir / "provenance.json").read_text())
    assert provenance["packages"]["eclipse-sumo"] == "1.28.0"
    assert set(provenance) >= {"git_commit", "dataset_hash", "emulator_params_hash", "artifacts_sha256", "seed"}
    assert "model_final.zip" in provenance["artifacts_sha256"]


def test_the_policy_loads_without_ray(run_dir):
    code = (
        "import sys, numpy as np, roadsense\n"
        "from roadsense.peer_set import PeerSet\n"
        f"policy = roadsense.load_policy({str(run_dir / 'model_final.zip')!r})\n"
        "action = policy({'ego': np.zeros(3, np.float32), 'peers': PeerSet(np.zeros((0, 6), np.float32))})\n"
        "assert 0.0 <= action <= 1.0 and 'ray' not in sys.modules\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)


@pytest.mark.parametrize("row", [0, -1])
def test_recorded_episodes_replay_exactly(run_dir, row):
    count = pq.ParquetFile(run_dir / "episodes.parquet").metadata.num_rows
    done = roadsense("replay", "--run", run_dir, "--episode", row % count)
    assert done.returncode == 0, done.stderr
    assert "replayed exactly" in done.stdout


def test_a_replay_that_differs_says_so(run_dir, tmp_path):
    """The same actions under another task: the comparison must be able to fail."""
    copy = tmp_path / "copy"
    copy.mkdir()
    config = json.loads((run_dir / "config.json").read_text())
    config["task"]["reward"]["progress"] = 0.5
    (copy / "config.json").write_text(json.dumps(config))
    (copy / "episodes.parquet").symlink_to(run_dir / "episodes.parquet")
    done = roadsense("replay", "--run", copy, "--episode", 0)
    assert done.returncode == 1
    assert "episode_return" in done.stderr


def test_evaluating_a_run_gives_the_figures_of_its_training(run_dir, tmp_path):
    """Same policy, same list, other parallelism: the same numbers."""
    done = roadsense("evaluate", "--run", run_dir, "--eval_episodes", 3, "--output_dir", tmp_path / "out", "--num_workers", 1)
    assert done.returncode == 0, done.stderr
    assert metrics(tmp_path / "out")["evaluation"] == metrics(run_dir)["evaluation"]


def test_same_seed_and_workers_give_identical_weights_and_figures(run_dir, dataset_dir, tmp_path):
    again = tmp_path / "again"
    done = roadsense(
        "train", "--dataset-dir", dataset_dir, "--output-dir", again, *SMALL, "--total-timesteps", 2400,
        "--checkpoint-every", 800, "--eval-episodes", 3, "--learning-rate-final", 1e-4,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert (again / "model_final.zip").read_bytes() == (run_dir / "model_final.zip").read_bytes()
    assert metrics(again)["evaluation"] == metrics(run_dir)["evaluation"]


def test_the_policy_of_a_checkpoint_is_packaged_as_a_finished_training_does_it(run_dir, tmp_path, repository, monkeypatch):
    spec = importlib.util.spec_from_file_location("package_checkpoint", repository / "experiments" / "package_checkpoint.py")
    script = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(script)
    monkeypatch.chdir(run_dir.parent)
    assert script.run([run_dir.name, str(tmp_path / "policy.zip")]) == 0
    assert (tmp_path / "policy.zip").read_bytes() == (run_dir / "model_final.zip").read_bytes()
    with pytest.raises(RunDirectoryError, match=r"no checkpoint of at most 1 steps; kept are .*, .*, "):
        script.run([str(run_dir), str(tmp_path / "policy.zip"), "--step", "1"])
