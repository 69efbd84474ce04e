"""Bad input: one line with the remedy, the right exit code, nothing half-written."""

import builtins
import json
import shutil

import pyarrow.parquet as pq
import pytest

from roadsense.artifacts import files
from roadsense.cli import main
from roadsense.env.convoy_env import ConvoyEnv
from roadsense.errors import RunDirectoryError
from roadsense.report.episode.page import write_replay
from roadsense.report.run import replays


def refused(capsys, args, words, code=2):
    assert main([str(arg) for arg in args]) == code
    captured = capsys.readouterr()
    assert captured.err.startswith("roadsense: ") and len(captured.err.strip().splitlines()) == 1, captured.err
    for word in words:
        assert word in captured.err, captured.err


def changed(folder, **values):
    path = folder / "metrics.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | values))


def no_metrics(folder):
    (folder / "metrics.json").unlink()


def half_finished(folder):
    no_metrics(folder)
    (folder / "config.json").write_text("{}")


def not_evaluated(folder):
    changed(folder, evaluation=None)


def no_episodes(folder):
    (folder / "episodes.parquet").unlink()


def training_episodes_only(folder):
    table = pq.read_table(folder / "episodes.parquet")
    pq.write_table(table.set_column(0, "phase", [["train"] * table.num_rows]), folder / "episodes.parquet")


def foreign_table(folder):
    (folder / "episodes.parquet").write_text("not parquet")


def foreign_metrics(folder):
    (folder / "metrics.json").write_text('{"accuracy": 0.9}')


def not_json(folder):
    (folder / "metrics.json").write_text("{")


def other_policy(folder):
    changed(folder, policy="somebody_else")


def bad_progress(folder):
    (folder / "config.json").write_text("{}")
    (folder / "progress.csv").write_text("a,b\n1,2\n")


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (no_metrics, ["neither a run nor an evaluation"]),
        (half_finished, ["not finished", "--resume"]),
        (not_evaluated, ["not evaluated", "roadsense evaluate --run"]),
        (no_episodes, ["no episodes.parquet", "evaluate again"]),
        (training_episodes_only, ["no evaluation episode"]),
        (foreign_table, ["not a readable episode table"]),
        (foreign_metrics, ["not a metrics.json of RoadSense"]),
        (not_json, ["not valid JSON"]),
        (other_policy, ["somebody_else"]),
        (bad_progress, ["progress.csv", "no timesteps"]),
    ],
)
def test_a_run_that_cannot_be_reported(capsys, evaluation_dir, tmp_path, damage, words):
    folder = shutil.copytree(evaluation_dir, tmp_path / "run")
    damage(folder)
    output = tmp_path / "report.html"
    output.write_text("yesterday's")
    refused(capsys, ["report", folder, "--output", output], words)
    assert output.read_text() == "yesterday's"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["report.html", "run"]


@pytest.mark.parametrize(
    ("args", "words"),
    [
        (["report", "nowhere"], ["nowhere", "no such directory"]),
        (["report", "EVALUATION/metrics.json"], ["is a file"]),
        (["report", "EVALUATION", "EVALUATION"], ["named twice"]),
        (["report", "EVALUATION", "--replays", "-1"], ["--replays"]),
        (["report", "EVALUATION", "--outptu", "x"], ["--outptu", "did you mean --output"]),
        (["report"], ["RUN"]),
        (["replay", "--run", "nowhere"], ["nowhere", "no such file"]),
        (["replay", "--run", "EVALUATION", "--episode", "4000"], ["4000", "0 to 47"]),
        (["replay", "--run", "EVALUATION", "--gif_from_s", "1"], ["--gif"]),
        (["replay", "--run", "EVALUATION", "--dataset_dir", "nowhere"], ["nowhere"]),
        (["replay", "--run", "EVALUATION", "--speed", "0"], ["speed"]),
        (["inspect", "nowhere"], ["nowhere", "manifest.json"]),
        (["inspect", "EVALUATION"], ["no dataset"]),
        (["inspect", "DATASET", "--gui", "1000"], ["1000", "18"]),
        (["inspect", "DATASET", "--gui", "-1"], ["negative"]),
        (["inspect", "DATASET", "--speed", "nan"], ["--speed"]),
    ],
)
def test_bad_flags(capsys, monkeypatch, tmp_path, evaluation_dir, dataset_dir, args, words):
    monkeypatch.chdir(tmp_path)
    named = [arg.replace("EVALUATION", str(evaluation_dir)).replace("DATASET", str(dataset_dir)) for arg in args]
    refused(capsys, named, words)
    assert list(tmp_path.iterdir()) == []


def test_a_run_is_no_dataset(capsys, tmp_path, run_like):
    refused(capsys, ["inspect", run_like, "--output", tmp_path / "page.html"], ["is a run"])


def test_a_place_that_cannot_be_written_is_refused_before_anything_is_driven(capsys, evaluation_dir, dataset_dir, tmp_path, monkeypatch):
    def never(*_args, **_options):
        raise AssertionError("drove although the output cannot be written")

    monkeypatch.setattr(ConvoyEnv, "reset", never)
    (tmp_path / "file").write_text("")
    page = tmp_path / "file" / "page.html"
    for command in (["report", evaluation_dir, "--output", page], ["inspect", dataset_dir, "--output", page]):
        refused(capsys, command, [str(page), "cannot be written"])
    for flag in ("--html", "--gif"):
        refused(capsys, ["replay", "--run", evaluation_dir, flag, page], [str(page), "cannot be written"])
    refused(capsys, ["report", evaluation_dir, "--output", tmp_path], ["is a directory"])


def test_a_write_that_breaks_off_leaves_nothing(crash, tmp_path, monkeypatch):
    """The disk is full at the end: neither a half page nor a temporary file stays."""

    def full(self, target):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(files.Path, "replace", full)
    with pytest.raises(RunDirectoryError, match="No space left"):
        write_replay(crash[0], tmp_path / "page.html")
    assert list(tmp_path.iterdir()) == []


def test_without_the_dataset_the_report_says_so_and_is_written(evaluation_dir, tmp_path, capsys):
    folder = shutil.copytree(evaluation_dir, tmp_path / "run")
    config = json.loads((folder / "metrics.json").read_text())["config"]
    changed(folder, config=config | {"dataset_dir": str(tmp_path / "gone")})
    assert main(["report", str(folder), "--output", str(tmp_path / "report.html"), "--replays", "1"]) == 0
    text = (tmp_path / "report.html").read_text()
    assert "Cannot be watched" in text and str(tmp_path / "gone") in text


def test_an_episode_that_drives_differently_is_not_shown(evaluation_dir, tmp_path, monkeypatch):
    real = replays.stage
    monkeypatch.setattr(replays, "stage", lambda directory, **options: _without_reward(real(directory, **options)))
    assert main(["report", str(evaluation_dir), "--output", str(tmp_path / "report.html"), "--replays", "1"]) == 0
    assert "the replay differs from the record" in (tmp_path / "report.html").read_text()


def _without_reward(env):
    from roadsense.env.reward import Reward
    from roadsense.env.settings import RewardWeights

    env._reward = Reward(RewardWeights(progress=0.5))
    return env


@pytest.mark.parametrize(
    ("package", "args"),
    [
        ("matplotlib", ["report", "EVALUATION"]),
        ("matplotlib", ["inspect", "DATASET"]),
        ("PIL", ["replay", "--run", "EVALUATION", "--gif", "x.gif"]),
    ],
)
def test_a_missing_package_names_the_command(capsys, monkeypatch, tmp_path, evaluation_dir, dataset_dir, package, args):
    monkeypatch.chdir(tmp_path)
    real = builtins.__import__

    def without(name, *rest, **options):
        if name.split(".")[0] == package:
            raise ImportError(f"No module named {name!r}")
        return real(name, *rest, **options)

    monkeypatch.setattr(builtins, "__import__", without)
    named = [arg.replace("EVALUATION", str(evaluation_dir)).replace("DATASET", str(dataset_dir)) for arg in args]
    refused(capsys, named, ["pip install 'roadsense[report]'"], code=4)
    assert list(tmp_path.iterdir()) == []
