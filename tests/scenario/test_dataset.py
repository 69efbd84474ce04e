"""Reading datasets back: what was edited, lost or forged is refused in one line."""

import json
import pickle
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from roadsense.errors import DatasetError
from roadsense.scenario.dataset import Dataset
from roadsense.scenario.locate import default_scenario
from roadsense.scenario.manifest import Manifest


@pytest.fixture
def copy(dataset_dir: Path, tmp_path: Path) -> Path:
    shutil.copytree(dataset_dir, tmp_path / "ds")
    return tmp_path / "ds"


def refused(path: Path, message: str, **arguments) -> str:
    with pytest.raises(DatasetError, match=message) as caught:
        Dataset.load(path, **arguments)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_a_dataset_is_read_back(dataset_dir: Path, copy: Path):
    dataset = Dataset.load(dataset_dir)
    assert (len(dataset.train), len(dataset.eval)) == (12, 6)
    assert dataset.hash == Dataset.load(copy).hash, "the hash does not depend on the place"
    scenario = dataset.train[3]
    assert scenario.sumocfg == scenario.directory / "scenario.sumocfg" and scenario.sumocfg.is_file()
    assert (
        scenario.split == "train" and scenario.ego_id == "V001" and len(scenario.peer_ids) == int(scenario.scenario_id.rpartition("_n")[2])
    )
    options = dict(zip(scenario.options()[::2], scenario.options()[1::2], strict=True))
    assert options["--net-file"] == str(scenario.network_file) and scenario.network_file.is_file()
    assert pickle.loads(pickle.dumps(dataset)) == dataset  # noqa: S301
    assert len({hash(scenario) for scenario in dataset.train}) == 12


def test_manifest_survives_a_round_trip(dataset_dir: Path):
    content = (dataset_dir / "manifest.json").read_bytes()
    assert Manifest.load_json(dataset_dir / "manifest.json").to_bytes() == content


def test_hash_ignores_provenance_but_not_peers(dataset_dir: Path):
    manifest = Dataset.load(dataset_dir).manifest
    elsewhere = manifest.model_copy(update={"git_commit": "f" * 40, "container_image": "image@sha256:0"})
    assert elsewhere.episodes_digest() == manifest.episodes_digest() and elsewhere.expected_id() == manifest.dataset_id
    entry = manifest.train_scenarios[0]
    for change in ({"ego_id": "V002"}, {"background_equipment_rate": 0.123}, {"seed": entry.seed + 1}):
        other = manifest.model_copy(update={"train_scenarios": (entry.model_copy(update=change), *manifest.train_scenarios[1:])})
        assert other.episodes_digest() != manifest.episodes_digest() and other.expected_id() != manifest.dataset_id


@pytest.mark.parametrize("name", ["vehicles.rou.xml", "network.net.xml", "scenario.sumocfg"])
def test_edited_and_missing_files_are_named(copy: Path, name: str):
    path = Dataset.load(copy).eval[2].directory / name
    path.write_bytes(path.read_bytes() + b" ")
    assert str(path) in refused(copy, "was changed after generation; restore it or regenerate")
    assert len(Dataset.load(copy, verify=False).eval) == 6
    path.unlink()
    assert str(path) in refused(copy, "is missing; restore it or regenerate")


def test_edited_manifest_is_noticed(copy: Path):
    path = copy / "manifest.json"
    manifest = json.loads(path.read_text())
    manifest["train_scenarios"][0]["drawn"]["convoy"]["peers_ahead"] = 7
    path.write_text(json.dumps(manifest))
    refused(copy, "manifest.json: was changed after generation")


def test_missing_corrupt_and_foreign_manifests(copy: Path, tmp_path: Path):
    refused(tmp_path / "nowhere", "holds no manifest.json")
    refused(tmp_path, "holds no manifest.json")
    path = copy / "manifest.json"
    whole = path.read_text()
    for content, message in (
        (whole[: len(whole) // 2], "not valid JSON"),
        ("", "not valid JSON"),
        ("[1]", "expected an object"),
        ("{}", "is missing"),
    ):
        path.write_text(content)
        refused(copy, message)
    path.write_bytes(b"\xff\xfe{}")
    refused(copy, "cannot be read")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda manifest: manifest.update(train_scenario=[]), "did you mean 'train_scenarios'"),
        (lambda manifest: manifest.update(format_version=1), "'format_version' is 1"),
        (lambda manifest: manifest.update(emulator_params_hash="abc"), "'emulator_params_hash' is 'abc'"),
        (lambda manifest: manifest["train_scenarios"][0].update(scenario_id="../../etc"), "'train_scenarios.0.scenario_id' is"),
        (lambda manifest: manifest["train_scenarios"][0].update(scenario_id="/etc"), "'train_scenarios.0.scenario_id' is"),
        (lambda manifest: manifest["train_scenarios"][0].update(scenario_id=".."), "'train_scenarios.0.scenario_id' is"),
        (lambda manifest: manifest["train_scenarios"][0]["files"].update({"../../../etc/passwd": "0" * 64}), "passwd"),
        (lambda manifest: manifest["train_scenarios"][0].update(peer_count=99), "disagree"),
        (lambda manifest: manifest["train_scenarios"][0].update(background_equipment_rate=None), "background_equipment_rate and peer_ids"),
        (lambda manifest: manifest["train_scenarios"][0].update(background_equipment_rate=1.2), "'train_scenarios.0.background_equipment_"),
        (lambda manifest: manifest["eval_scenarios"].append(manifest["train_scenarios"][0]), "listed more than once"),
        (lambda manifest: manifest["eval_scenarios"][0].pop("seed"), "'eval_scenarios.0.seed' is missing"),
    ],
)
def test_forged_manifests_are_refused_by_name(copy: Path, change, message: str):
    path = copy / "manifest.json"
    manifest = json.loads(path.read_text())
    change(manifest)
    path.write_text(json.dumps(manifest))
    refused(copy, message, verify=False)


def test_one_configuration_is_a_dataset(tmp_path: Path):
    dataset = Dataset.from_sumocfg(default_scenario())
    assert dataset.manifest is None and len(dataset.train) == len(dataset.eval) == 1
    assert dataset.train[0].split == "train" and dataset.eval[0].split == "eval"
    assert dataset.train[0].peer_ids == ("V002", "V003", "V004", "V005", "V006"), "the convoy, not the passing traffic"
    copy = tmp_path / "elsewhere"
    shutil.copytree(default_scenario().parent, copy)
    assert Dataset.from_sumocfg(copy / "scenario.sumocfg").hash != Dataset.from_sumocfg(copy / "scenario.sumocfg", "V003").hash
    before = Dataset.from_sumocfg(copy / "scenario.sumocfg").hash
    assert before == dataset.hash, "the place does not matter"
    (copy / "convoy.json").unlink()
    assert Dataset.from_sumocfg(copy / "scenario.sumocfg").train[0].peer_ids is None
    routes = copy / "vehicles.rou.xml"
    routes.write_text(routes.read_text().replace('vehsPerHour="900"', 'vehsPerHour="901"'))
    assert Dataset.from_sumocfg(copy / "scenario.sumocfg").hash != before
    routes.unlink()
    with pytest.raises(DatasetError, match="does not exist"):
        Dataset.from_sumocfg(copy / "scenario.sumocfg")


def test_equipment_belongs_to_the_scenario(dataset_dir: Path):
    """The convoy always; of the background the drawn share, every car the same in every process; everybody without a convoy."""
    cars = [f"passing.{number}" for number in range(2000)]
    scenarios = (*Dataset.load(dataset_dir).train, *Dataset.load(dataset_dir).eval)
    assert len({scenario.background_equipment_rate for scenario in scenarios}) == len(scenarios)
    for scenario in scenarios:
        assert 0 <= scenario.background_equipment_rate <= 0.5
        assert all(scenario.is_equipped(vehicle_id) for vehicle_id in ("V001", *scenario.peer_ids))
        share = sum(map(scenario.is_equipped, cars)) / len(cars)
        assert share == pytest.approx(scenario.background_equipment_rate, abs=0.05)
    one = [scenarios[0].is_equipped(car) for car in cars]
    fewer, more = sorted(scenarios[:2], key=lambda scenario: scenario.background_equipment_rate)
    assert any(fewer.is_equipped(car) and not more.is_equipped(car) for car in cars), "other cars in another scenario"
    code = (
        "import sys; from pathlib import Path; from roadsense.scenario.dataset import Dataset; s = Dataset.load(Path(sys.argv[1])).train[0];"
        "print([s.is_equipped(f'passing.{n}') for n in range(2000)])"
    )
    again = subprocess.run([sys.executable, "-c", code, dataset_dir], check=True, capture_output=True, text=True).stdout
    assert again.strip() == str(one)


def test_equipment_without_a_dataset(tmp_path: Path):
    scenario = Dataset.from_sumocfg(default_scenario()).train[0]
    assert scenario.background_equipment_rate == 0.25 and scenario.is_equipped("V003")
    assert 0 < sum(scenario.is_equipped(f"passing.{number}") for number in range(100)) < 50
    copy = tmp_path / "copy"
    shutil.copytree(default_scenario().parent, copy)
    (copy / "convoy.json").unlink()
    foreign = Dataset.from_sumocfg(copy / "scenario.sumocfg").train[0]
    assert foreign.background_equipment_rate is None and foreign.is_equipped("passing.3"), "everybody, where there is no convoy"


def test_options_follow_the_file(copy: Path):
    scenario = Dataset.load(copy).train[0]
    assert "--scale" not in scenario.options()
    scenario.sumocfg.write_text(scenario.sumocfg.read_text().replace("<time>", "<processing><scale value='2'/></processing><time>"))
    assert "--scale" in scenario.options()
    scenario.sumocfg.unlink()
    with pytest.raises(DatasetError, match="restore or regenerate"):
        scenario.options()
