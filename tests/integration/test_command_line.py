"""Bad input: one line with the remedy, the right exit code, nothing half-written."""

import json
import shutil

import pytest
from tests_support import roadsense

from roadsense.cli import main


@pytest.fixture
def copied_dataset(dataset_dir, tmp_path):
    return shutil.copytree(dataset_dir, tmp_path / "dataset")


def refused(capsys, *args, words=()) -> str:
    """Run in this process; the command must refuse with exit code 2 and one line that holds all words."""
    assert main([str(arg) for arg in args]) == 2
    captured = capsys.readouterr()
    assert captured.err.startswith("roadsense: ") and len(captured.err.strip().splitlines()) == 1, captured.err
    assert "Traceback" not in captured.err
    for word in words:
        assert word in captured.err, captured.err
    return captured.err


@pytest.mark.parametrize(
    ("args", "words"),
    [
        (["train", "--dataset_dir", "nowhere"], ["nowhere", "manifest.json"]),
        (["train", "--dataset_dir", "a", "--sumo_cfg", "b"], ["exclude each other"]),
        (["train", "--sumo_cfg", "nowhere.sumocfg"], ["nowhere.sumocfg"]),
        (["train", "--total_timesteps", "-5"], ["total_timesteps", "-5"]),
        (["train", "--learning_rate", "nan"], ["learning_rate", "nan"]),
        (["train", "--learnig_rate", "1"], ["--learnig_rate", "did you mean --learning_rate"]),
        (["train", "--seed", "x"], ["seed", "'x'"]),
        (["train", "--set", "task.horizont_s=3"], ["horizont_s", "did you mean"]),
        (["train", "--set", "nonsense"], ["KEY=VALUE"]),
        (["train", "--resume", "nowhere"], ["nowhere"]),
        (["train", "--emulator_params", "nowhere.json"], ["nowhere.json"]),
        (["train", "--dataset_dir", "DATASET", "--eval_dir", "nowhere"], ["nowhere", "manifest.json"]),
        (["evaluate", "--policy", "never_brak", "--dataset_dir", "DATASET"], ["never_brake"]),
        (["evaluate", "--policy", "nowhere:function", "--dataset_dir", "DATASET"], ["nowhere"]),
        (["evaluate", "--policy", "json:nothing", "--dataset_dir", "DATASET"], ["nothing"]),
        (["evaluate", "--dataset_dir", "DATASET"], ["--run", "--policy"]),
        (["evaluate", "--run", "nowhere"], ["nowhere"]),
        (["evaluate", "--policy", "never_brake"], ["dataset_dir"]),
        (["generate", "--train_count", "0"], ["train_count"]),
        (["generate", "--base_dir", "nowhere"], ["nowhere"]),
        (["replay", "--run", "nowhere"], ["nowhere"]),
        (["validate-recording", "--tx", "tx.csv"], ["--rx, --model are missing"]),
        (["nonsense"], ["nonsense"]),
        ([], ["COMMAND"]),
    ],
)
def test_bad_flags(capsys, monkeypatch, tmp_path, dataset_dir, args, words):
    monkeypatch.chdir(tmp_path)
    refused(capsys, *(str(dataset_dir) if arg == "DATASET" else arg for arg in args), words=words)
    assert list(tmp_path.iterdir()) == []


def test_hyphens_and_underscores_are_the_same(capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert refused(capsys, "train", "--total-timesteps", "-5") == refused(capsys, "train", "--total_timesteps=-5")


def test_a_corrupt_manifest(capsys, copied_dataset, tmp_path):
    (copied_dataset / "manifest.json").write_text('{"dataset_id": ')
    refused(capsys, "train", "--dataset_dir", copied_dataset, "--output_dir", tmp_path / "run", words=["manifest.json", "JSON"])
    assert not (tmp_path / "run").exists()


def test_an_edited_scenario(capsys, copied_dataset, tmp_path):
    edited = next((copied_dataset / "train").glob("*/vehicles.rou.xml"))
    edited.write_text(edited.read_text().replace("sigma", "sigma "))
    refused(capsys, "train", "--dataset_dir", copied_dataset, "--output_dir", tmp_path / "run", words=[edited.parent.name, "changed"])
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("change", "words"), [({"latncy": 1}, ["latncy"]), ({"observation": {"stale_after_ms": float("nan")}}, ["stale_after_ms"])]
)
def test_a_bad_emulator_file(capsys, dataset_dir, tmp_path, change, words):
    from roadsense.radio.profiles import packaged_profile

    path = tmp_path / "emulator.json"
    path.write_text(json.dumps(json.loads(packaged_profile("convoy").read_text()) | change))
    refused(
        capsys,
        "train",
        "--dataset_dir",
        dataset_dir,
        "--emulator_params",
        path,
        "--output_dir",
        tmp_path / "run",
        words=[str(path), *words],
    )
    assert not (tmp_path / "run").exists()


def test_an_output_directory_in_use_is_left_alone(capsys, dataset_dir, tmp_path):
    (tmp_path / "mine.txt").write_text("keep")
    refused(capsys, "train", "--dataset_dir", dataset_dir, "--output_dir", tmp_path, words=["not empty", "--resume"])
    assert (tmp_path / "mine.txt").read_text() == "keep"


def test_dry_run_writes_nothing(capsys, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    assert main(["pipeline", "--dry_run", "--total_timesteps", "1000"]) == 0
    out = capsys.readouterr().out
    assert "1,000 steps" in out and "nothing is left" in out
    assert list(tmp_path.iterdir()) == []


def test_check_lists_defects_and_exits_with_1(capsys, copied_dataset):
    for edited in sorted((copied_dataset / "eval").glob("*/vehicles.rou.xml"))[:2]:
        edited.write_text(edited.read_text() + "\n")
    assert main(["check", str(copied_dataset)]) == 1
    captured = capsys.readouterr()
    assert len([line for line in captured.out.splitlines() if "changed" in line]) == 2
    assert "2 defects" in captured.err


def test_an_ego_that_never_spawns(tmp_path, dataset_dir):
    """A third party's scenario without V001: said in one line, with SUMO's log below it."""
    scenario = next((dataset_dir / "eval").iterdir())
    copy = shutil.copytree(scenario, tmp_path / "scenario")
    routes = copy / "vehicles.rou.xml"
    routes.write_text(routes.read_text().replace('id="V001"', 'id="X001"'))
    done = roadsense("evaluate", "--policy", "never_brake", "--sumo_cfg", copy / "scenario.sumocfg", "--eval_episodes", 1, cwd=tmp_path)
    assert done.returncode == 2
    assert "V001" in done.stderr and "Traceback" not in done.stderr
    assert not (tmp_path / "evaluation" / "metrics.json").exists()


def test_a_dataset_without_evaluation_is_refused_before_the_training(capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert main(["generate", "--output_dir", "d", "--train_count", "1", "--eval_count", "0"]) == 0
    capsys.readouterr()
    refused(capsys, "train", "--dataset_dir", "d", words=["no evaluation scenarios", "--skip_eval"])
    refused(capsys, "evaluate", "--policy", "never_brake", "--dataset_dir", "d", words=["no evaluation scenarios"])
    assert [path.name for path in tmp_path.iterdir()] == ["d"]
