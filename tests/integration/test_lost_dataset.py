"""The dataset of a run that is resumed where it is not."""

import json
import shutil

import pytest

from roadsense.cli.lost_dataset import generate_again
from roadsense.errors import DatasetError
from roadsense.scenario.dataset import Dataset
from roadsense.training.settings import TrainSettings


@pytest.fixture
def run(dataset_dir, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / "run"
    folder.mkdir()
    shutil.copy(dataset_dir / "manifest.json", folder / "manifest.json")
    return folder


def test_the_same_dataset_is_made_again(run, dataset_dir, tmp_path):
    made = generate_again(run, TrainSettings(dataset_dir=tmp_path / "gone"))
    assert made != dataset_dir and Dataset.load(made, verify=True).hash == Dataset.load(dataset_dir).hash


def test_another_one_is_refused(run, tmp_path):
    manifest = json.loads((run / "manifest.json").read_text())
    files = manifest["train_scenarios"][0]["files"]
    files[next(iter(files))] = "0" * 64
    (run / "manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(DatasetError, match="is another one; give the run's own to --dataset_dir"):
        generate_again(run, TrainSettings(dataset_dir=tmp_path / "gone"))


def test_a_run_on_one_configuration_has_none_to_make(run, tmp_path):
    (run / "manifest.json").write_text(json.dumps({"sumo_cfg": "x", "ego_id": "V001", "dataset_hash": "0" * 64}))
    with pytest.raises(DatasetError, match="does not describe one"):
        generate_again(run, TrainSettings(dataset_dir=tmp_path / "gone"))
