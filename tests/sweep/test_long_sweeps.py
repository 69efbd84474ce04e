"""Eight trials, population based training, budgets, a signal, and a node that is lost: minutes each, so only with `make soak`."""

import contextlib
import csv
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from ray.cluster_utils import Cluster
from sweep_support import TINY, kill_after, run, start
from tests_support import environment, metrics, roadsense

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1500)]
VARIED = ("--vary", "learning_rate=log(1e-4,1e-2)", "--vary", "ent_coef=log(1e-3,1e-1)", "--vary", "model.pool=max|mean|max+mean",
          "--vary", "training_radio_factor=uniform(1,3)", "--vary", "training_collision_weight=log(3,12)")  # fmt: skip


def trial_file(root, name):
    return json.loads((root / "trials" / name / "trial.json").read_text())


def identities(root):
    parts = sorted(root.glob("trials/*/training_episodes/*.parquet"))
    return [identity for part in parts for identity in pq.read_table(part, columns=["identity"])["identity"].to_pylist()]


def test_eight_trials_on_two_cores_killed_and_resumed_equal_an_evaluation_of_the_best(dataset_dir, tmp_path):
    root = tmp_path / "sweep"
    process = start(
        "--dataset_dir", dataset_dir, "--output_dir", root, *TINY, *VARIED, "--num_env_runners", 1, "--total_timesteps", 1800, "--first_rung", 200,
        "--trials", 6, "--base_seeds", 2, "--best", 2,
    )  # fmt: skip
    assert kill_after(process, lambda lines: sum(" steps, objective " in line for line in lines) >= 6, root) == []
    code, output = run("--resume", root, timeout_s=1200)
    assert code == 0, output
    table = json.loads((root / "table.json").read_text())
    assert len(table["trials"]) == 8
    assert {trial["status"] for trial in table["trials"]} <= {"finished", "stopped"}
    seen = identities(root)
    assert len(set(seen)) == len(seen) > 0
    best = table["judged"][0]
    done = roadsense("evaluate", "--run", root / "trials" / best["name"], "--rounds", 2, "--output_dir", tmp_path / "again")
    assert done.returncode == 0, done.stderr
    again = metrics(tmp_path / "again")["evaluation"]
    assert {key: again[key] for key in best["figures"]} == best["figures"]
    assert {key: again["intervals"][key] for key in best["figures"]} == best["intervals"]
    shown = roadsense("report", root / "trials" / best["name"], "--no_replays", "--output", tmp_path / "report.html")
    assert shown.returncode == 0, shown.stderr


def test_population_based_training_goes_on_from_the_better_ones_with_other_values(dataset_dir, tmp_path):
    root = tmp_path / "sweep"
    code, output = run(
        "--dataset_dir", dataset_dir, "--output_dir", root, *TINY, *VARIED, "--num_env_runners", 0, "--algorithm", "pbt", "--total_timesteps", 1000,
        "--first_rung", 200, "--trials", 4, "--base_seeds", 1, "--best", 1, "--seed", 3, timeout_s=1200,
    )  # fmt: skip
    assert code == 0, output
    taken = {path.parent.name: trial_file(root, path.parent.name) for path in root.glob("trials/*/trial.json")}
    heirs = {name: trial for name, trial in taken.items() if trial["taken_over"]}
    assert heirs, output
    for name, trial in heirs.items():
        assert not name.startswith("base_")
        donor, at = trial["taken_over"][-1]["trial"], trial["taken_over"][-1]["timesteps"]
        assert trial["drawn"] == trial["taken_over"][-1]["drawn"]
        assert donor != name
        assert not donor.startswith("base_")
        rows = list(csv.DictReader((root / "trials" / name / "progress.csv").open()))
        after = [float(row["learning_rate"]) for row in rows if int(row["timesteps"]) > at]
        assert after == pytest.approx([trial["drawn"]["learning_rate"]] * len(after), rel=1e-5), "the new value, not the donor's"
        log = (root / "trials" / name / "training.log").read_text()
        assert f"goes on at {at:,} steps of {donor}" in log
    seen = identities(root)
    assert len(set(seen)) == len(seen) > 0


def test_a_budget_ends_the_sweep_and_a_larger_one_goes_on(dataset_dir, tmp_path):
    root = tmp_path / "sweep"
    code, output = run(
        "--dataset_dir", dataset_dir, "--output_dir", root, *TINY, *VARIED, "--num_env_runners", 0, "--algorithm", "random", "--total_timesteps", 1000,
        "--first_rung", 200, "--trials", 3, "--base_seeds", 0, "--best", 1, "--stop_after_steps", 1200, timeout_s=1200,
    )  # fmt: skip
    assert code == 0, output
    table = json.loads((root / "table.json").read_text())
    assert table["stopped_by"] == "--stop_after_steps 1,200"
    assert "unfinished" in {trial["status"] for trial in table["trials"]}
    process = start("--resume", root, "--stop_after_steps", 1_000_000)
    for line in process.stdout:
        if " steps, objective " in line:
            process.send_signal(signal.SIGTERM)
            break
    output = process.communicate(timeout=300)[0]
    assert process.returncode == 143, output
    assert f"roadsense sweep --resume {root}" in output
    code, output = run("--resume", root, "--stop_after_steps", 1_000_000, timeout_s=1200)
    assert code == 0, output
    table = json.loads((root / "table.json").read_text())
    assert {trial["status"] for trial in table["trials"]} == {"finished"}
    assert {trial["timesteps"] for trial in table["trials"]} == {1000}
    seen = identities(root)
    assert len(set(seen)) == len(seen) > 0


@pytest.fixture
def cluster(monkeypatch):
    """A head without CPUs, as of cluster.yaml, and two nodes with one each."""
    monkeypatch.setenv("RAY_AUTH_MODE", "disabled")
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    place = tempfile.mkdtemp(prefix="rs")  # short: sockets lie below it
    monkeypatch.setenv("RAY_TMPDIR", place)
    started = Cluster()
    started.add_node(num_cpus=0, resources={"env_runners": 2}, include_dashboard=False)
    nodes = [started.add_node(num_cpus=1) for _ in range(2)]
    started.wait_for_nodes()
    yield started, nodes
    started.shutdown()
    shutil.rmtree(place, ignore_errors=True)


def test_a_lost_node_costs_env_runners_and_no_trial(cluster, dataset_dir, tmp_path):
    started, nodes = cluster
    root = tmp_path / "sweep"
    words = [
        "--dataset_dir", dataset_dir, "--output_dir", root, *TINY, *VARIED, "--num_env_runners", 1, "--algorithm", "random", "--total_timesteps", 2000,
        "--first_rung", 400, "--trials", 2, "--base_seeds", 0, "--best", 1,
    ]  # fmt: skip
    process = subprocess.Popen(
        [sys.executable, "-m", "roadsense", "sweep", *map(str, words)], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        env=environment() | {"RAY_ADDRESS": started.address}, start_new_session=True,
    )  # fmt: skip
    lines = []
    try:
        for line in process.stdout:
            lines.append(line)
            if " steps, objective " in line:
                started.remove_node(nodes[0], allow_graceful=False)
                started.add_node(num_cpus=1)
                break
        lines.append(process.communicate(timeout=1200)[0])
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
    assert process.returncode == 0, "".join(lines)
    assert "2 at once on 2 CPUs" in "".join(lines)
    table = json.loads((root / "table.json").read_text())
    assert {trial["status"] for trial in table["trials"]} == {"finished"}
    seen = identities(root)
    assert len(set(seen)) == len(seen) > 0
    generations = [json.loads(path.read_text())["last"] for path in Path(root).glob("trials/*/generations.json")]
    assert max(generations) >= 1, "an env runner came back"
