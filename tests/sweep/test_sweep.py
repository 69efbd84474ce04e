"""A sweep on real Ray and real SUMO: killed, resumed, judged, and its table is what an evaluation says."""

import csv
import json
import shutil
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from sweep_support import TINY, kill_after, run, start
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tests_support import metrics, roadsense

SMALL = (*TINY, "--num_env_runners", 0, "--total_timesteps", 2000, "--first_rung", 400, "--vary", "learning_rate=log(1e-4,1e-2)",
         "--vary", "model.pool=max|mean", "--trials", 2, "--base_seeds", 1, "--best", 1)  # fmt: skip

pytestmark = pytest.mark.timeout(900)  # two starts of Ray and six of a trial, which a busy machine takes minutes for


def rungs(lines, count):
    return sum(" steps, objective " in line for line in lines) >= count


@pytest.fixture(scope="module")
def swept(dataset_dir, tmp_path_factory):
    """Three trials; the driver is killed at the second rung of all, and resumed."""
    root = tmp_path_factory.mktemp("sweep") / "sweep"
    process = start("--dataset_dir", dataset_dir, "--output_dir", root, *SMALL)
    left = kill_after(process, lambda lines: rungs(lines, 2), root)
    before = {path.parent.name: json.loads(path.read_text()) for path in root.glob("trials/*/trial.json")}
    code, output = run("--resume", root)
    assert code == 0, output
    return root, left, before, output


def trials(root: Path) -> list[Path]:
    return sorted((root / "trials").iterdir())


def test_nothing_is_left_of_a_killed_driver(swept):
    assert swept[1] == []


def test_all_trials_end_at_a_rung_with_a_run_directory(swept):
    root = swept[0]
    assert [path.name for path in trials(root)] == ["base_seed_42", "trial_000", "trial_001"]
    for path in trials(root):
        last = json.loads((path / "trial.json").read_text())["rungs"][-1]["timesteps"]
        assert last in (400, 1200, 2000)
        assert metrics(path)["training"]["training_timesteps"] == last
        for name in ("model_final.zip", "config.json", "manifest.json", "provenance.json", "progress.csv"):
            assert (path / name).stat().st_size > 0, name
    assert json.loads((root / "trials" / "base_seed_42" / "trial.json").read_text())["rungs"][-1]["timesteps"] == 2000


def test_trials_go_on_from_checkpoints_and_draw_nothing_twice(swept):
    root, _, before, output = swept
    generations = {path.name: json.loads((path / "generations.json").read_text())["last"] for path in trials(root)}
    assert max(generations.values()) >= 1, "somebody was interrupted"
    went_on = [line.split(":")[0] for line in output.splitlines() if " goes on at " in line]
    assert went_on
    for name in went_on:
        first, *_ = before[name]["rungs"]
        assert first in json.loads((root / "trials" / name / "trial.json").read_text())["rungs"], "it was not measured again"
    seen = []
    for path in trials(root):
        for part in sorted((path / "training_episodes").glob("*.parquet")):
            seen += pq.read_table(part, columns=["identity"])["identity"].to_pylist()
    assert len(set(seen)) == len(seen) > 0, "no identity twice, within a trial or between trials"
    for path in trials(root):
        rows = list(csv.DictReader((path / "progress.csv").open()))
        assert [int(row["timesteps"]) for row in rows] == [200 * (place + 1) for place in range(len(rows))], "one series"


def test_the_table_equals_an_evaluation_of_the_best_trial(swept, tmp_path):
    root = swept[0]
    table = json.loads((root / "table.json").read_text())
    best = table["judged"][0]
    done = roadsense(
        "evaluate", "--run", root / "trials" / best["name"], "--rounds", 2, "--output_dir", tmp_path / "again", "--num_workers", 1
    )
    assert done.returncode == 0, done.stderr
    again = metrics(tmp_path / "again")["evaluation"]
    assert {key: again[key] for key in best["figures"]} == best["figures"]
    assert {key: again["intervals"][key] for key in best["figures"]} == best["intervals"]
    assert best["objective"]["objective"] == again["critical_hazard_collision_rate"] + again["false_braking_rate"]
    assert metrics(root / "trials" / best["name"])["evaluation"] == again, "and the trial's own metrics.json"
    assert [row["name"] for row in table["judged"][1:]] == ["base_seed_42", "never_brake", "ttc_radio"]
    shown = (root / "table.md").read_text()
    assert best["name"] in shown
    assert table["verdict"]["text"] in shown


def test_tensorboard_and_tune_show_the_names_of_progress_csv(swept):
    root = swept[0]
    for path in trials(root):
        columns = set(csv.DictReader((path / "progress.csv").open()).fieldnames)
        results = [json.loads(line) for line in (root / "tune" / path.name / "result.json").read_text().splitlines()]
        assert all(columns <= set(result) for result in results)
        row = list(csv.DictReader((path / "progress.csv").open()))[-1]
        assert any(float(row["steps_per_s"]) == result["steps_per_s"] for result in results)
        assert float(row["false_braking_rate"]) in [result["false_braking_rate"] for result in results]
        board = EventAccumulator(str(path / "tensorboard"))
        board.Reload()
        assert {tag.split("/")[1] for tag in board.Tags()["scalars"]} <= columns


def test_a_finished_sweep_is_shown_again_and_one_flag_cannot_make_it_another(swept, capfd):
    root = swept[0]
    from roadsense.cli import main

    assert main(["sweep", "--resume", str(root), "--trials", "9"]) == 2
    assert "--trials was 2 in the sweep that is resumed" in capfd.readouterr().err
    assert main(["sweep", "--resume", str(root), "--vary", "gamma=0.9|0.99"]) == 2
    assert "drawn already" in capfd.readouterr().err
    assert main(["sweep", "--output_dir", str(root)]) == 2
    assert f"--resume {root}" in capfd.readouterr().err


def test_a_damaged_state_is_refused_in_one_line(swept, tmp_path, capfd):
    """Half of sweep.json, and the sweep of another dataset."""
    from roadsense.cli import main

    copy = tmp_path / "copy"
    copy.mkdir()
    whole = (swept[0] / "sweep.json").read_text()
    (copy / "sweep.json").write_text(whole[: len(whole) // 2])
    assert main(["sweep", "--resume", str(copy)]) == 2
    said = capfd.readouterr().err
    assert "not valid JSON" in said
    assert said.count("\n") == 1
    content = json.loads(whole)
    (copy / "sweep.json").write_text(whole)
    assert main(["sweep", "--resume", str(copy)]) == 2
    assert "move it back" in capfd.readouterr().err
    content["settings"]["output_dir"] = str(copy)
    content["dataset_hash"] = "0" * 64
    (copy / "sweep.json").write_text(json.dumps(content))
    assert main(["sweep", "--resume", str(copy)]) == 2
    assert "give the sweep's own" in capfd.readouterr().err
    shutil.rmtree(copy)


def half(root):
    (root / "trials").mkdir(parents=True)


def foreign(root):
    root.mkdir()
    (root / "sweep.json").write_text('{"name": "something else"}')


def single_run(root):
    root.mkdir()
    (root / "config.json").write_text("{}")


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda root: None, "no such sweep"),
        (half, "holds no sweep.json"),
        (foreign, "was not written by roadsense sweep"),
        (single_run, "is the run directory of a single training"),
    ],
)
def test_what_is_no_sweep_is_refused_in_one_line(make, said, tmp_path, capfd):
    from roadsense.cli import main

    make(tmp_path / "there")
    assert main(["sweep", "--resume", str(tmp_path / "there")]) == 2
    printed = capfd.readouterr().err
    assert said in printed
    assert printed.count("\n") == 1


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        (("--vary", "learning_rat=log(1e-4,1e-2)"), "did you mean 'learning_rate'?"),
        (("--vary", "clip_param=uniform(-1,1)"), "clip_param"),
        (("--stop_after_usd", "5"), "nothing here says what this machine costs"),
        (("--local",), "a sweep has no --local"),
        (("--first_rung", "200000"), "beyond total_timesteps"),
        (("--resume", "s3://bucket/sweep"), "copy it here first"),
    ],
)
def test_bad_flags_are_refused_in_one_line_and_nothing_is_made(flags, said, tmp_path, capfd, dataset_dir):
    from roadsense.cli import main

    where = [] if "--resume" in flags else ["--output_dir", str(tmp_path / "s"), "--dataset_dir", str(dataset_dir)]
    assert main(["sweep", *where, *flags]) == 2
    printed = capfd.readouterr().err
    assert said in printed
    assert printed.count("\n") == 1
    assert not (tmp_path / "s").exists()


def test_a_dry_run_says_what_would_be_done_and_leaves_nothing(tmp_path, capfd, dataset_dir):
    from roadsense.cli import main

    assert (
        main(["sweep", "--dry_run", "--output_dir", str(tmp_path / "s"), "--dataset_dir", str(dataset_dir), "--total_timesteps", "9000"])
        == 0
    )
    printed = capfd.readouterr().out
    assert "16 trials of asha and the base configuration with 3 seeds" in printed
    assert "rungs at 1,000, 3,000, 9,000" in printed
    assert "learning_rate: log(0.0002,0.003)" in printed
    assert not (tmp_path / "s").exists()
