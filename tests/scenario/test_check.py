"""Checking datasets by driving them: sound ones pass, and every injected defect is listed at once."""

import hashlib
import json
import shutil
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from roadsense.config import SumoSettings
from roadsense.scenario.check import check
from roadsense.scenario.dataset import Dataset
from roadsense.scenario.generate import GenerateSettings, generate
from roadsense.scenario.manifest import Manifest

SUMO = SumoSettings(ego_wait_s=3.0)


@pytest.fixture
def copy(dataset_dir: Path, tmp_path: Path) -> Path:
    shutil.copytree(dataset_dir, tmp_path / "ds")
    return tmp_path / "ds"


def reseal(dataset_dir: Path) -> None:
    """Make the manifest agree with edited files, as a generator with a bug would have written it."""
    path = dataset_dir / "manifest.json"
    manifest = json.loads(path.read_text())
    for split in ("train", "eval"):
        for entry in manifest[f"{split}_scenarios"]:
            folder = dataset_dir / split / entry["scenario_id"]
            entry["files"] = {name: hashlib.sha256((folder / name).read_bytes()).hexdigest() for name in entry["files"]}
    sealed = Manifest.parse(manifest, "test")
    path.write_bytes(sealed.model_copy(update={"dataset_id": sealed.expected_id()}).to_bytes())


def edit_routes(dataset_dir: Path, scenario_id: str, *replacements: tuple[str, str]) -> None:
    path = dataset_dir / scenario_id.partition("_")[0] / scenario_id / "vehicles.rou.xml"
    text = path.read_text()
    for old, new in replacements:
        assert old in text
        text = text.replace(old, new)
    path.write_text(text)


def test_every_peer_count_drives_without_a_defect(tmp_path: Path):
    """55 scenarios hold every pair of base and peer count: all cars in at once, in order, no contact, nobody gone within the horizon."""
    generate(GenerateSettings(output_dir=tmp_path / "ds", seed=1, train_count=55, eval_count=0))
    seen: list[tuple[int, int]] = []
    with ThreadPoolExecutor(2) as pool:
        assert check(tmp_path / "ds", sumo=SUMO, run=pool.map, progress=lambda done, total: seen.append((done, total))) == []
    assert seen == [(10, 55), (20, 55), (30, 55), (40, 55), (50, 55), (55, 55)]
    assert Dataset.load(tmp_path / "ds", verify=True).eval == (), "driving wrote nothing into the dataset"


def test_every_injected_defect_is_listed(copy: Path):
    dataset = Dataset.load(copy)
    by_peers = sorted(dataset.train, key=lambda scenario: len(scenario.peer_ids))
    gone = next(scenario.scenario_id for scenario in by_peers[::-1] if scenario.base in ("highway_fast", "rural_curve"))  # one edge
    others = [scenario.scenario_id for scenario in by_peers if scenario.scenario_id != gone]
    late_ego, late_peer, crash, swapped, broken, foreign = others[-6:]
    positions = {scenario.scenario_id: scenario.drawn["convoy"]["position_m"] for scenario in dataset.train}
    edit_routes(copy, late_ego, ('<vehicle id="V001" ', '<vehicle id="V001" insertionChecks="none" '), ('depart="0"', 'depart="1.5"'))
    row = sorted(positions[late_peer], key=positions[late_peer].get, reverse=True)
    peer = [vehicle_id for vehicle_id in row[1:] if vehicle_id != "V001"][-1]
    blocked = positions[late_peer][row[row.index(peer) - 1]] - 2
    edit_routes(copy, late_peer, (f'departPos="{positions[late_peer][peer]:.2f}"', f'departPos="{blocked:.2f}"'))
    overlapping = (f'departPos="{positions[crash]["V002"]:.2f}"', f'departPos="{positions[crash]["V001"] + 1:.2f}"')
    edit_routes(copy, crash, overlapping, ("<vehicle ", '<vehicle insertionChecks="none" '))
    first, second = sorted(positions[swapped], key=positions[swapped].get, reverse=True)[:2]
    places = [f'departPos="{positions[swapped][car]:.2f}"' for car in (first, second)]
    edit_routes(copy, swapped, (places[0], "elsewhere"), (places[1], places[0]), ("elsewhere", places[1]))
    front = max(positions[gone], key=positions[gone].get)
    length_m = 3499.96 if "highway" in gone else 1497.19
    edit_routes(copy, gone, (f'departPos="{positions[gone][front]:.2f}"', f'departPos="{length_m - 30:.2f}"'))
    (copy / "train" / broken / "scenario.sumocfg").write_text("<configuration><input>")
    outside = copy.parent / "outside.net.xml"
    shutil.copy(copy / "train" / foreign / "network.net.xml", outside)
    cfg = copy / "train" / foreign / "scenario.sumocfg"
    cfg.write_text(cfg.read_text().replace('"network.net.xml"', '"../../../outside.net.xml"'))
    reseal(copy)
    missing, edited = (scenario.scenario_id for scenario in dataset.eval[:2])
    (copy / "eval" / missing / "network.net.xml").unlink()
    edit_routes(copy, edited, ("</routes>", "<!-- touched --></routes>"))
    (copy / "eval" / edited / "fcd.xml").write_text("<x/>")
    (copy / "notes.txt").write_text("x")

    defects = check(copy, sumo=SUMO)
    found = {(defect.scenario_id, defect.kind) for defect in defects}
    assert found == {
        (None, "extra"), (late_ego, "late"), (late_peer, "late"), (crash, "collision"), (gone, "left_road"), (swapped, "order"),
        (late_peer, "order"),  # whoever comes late finds its place taken
        (broken, "config"), (foreign, "config"), (missing, "missing"), (missing, "config"), (edited, "edited"), (edited, "extra"),
    }  # fmt: skip
    assert all("\n" not in str(defect) for defect in defects)
    text = "\n".join(map(str, defects))
    assert "the ego V001 enters only at 1.6 s" in text
    assert f"{peer} not on the road in the first step" in text
    assert "notes.txt: is not in the manifest" in text and "outside.net.xml' lies outside" in text
    assert f"{swapped}: order: {first} is not ahead of {second} at 0.1 s" in text
    assert front in next(defect.problem for defect in defects if defect.kind == "left_road")


def test_a_network_that_sumo_refuses_is_one_line(copy: Path):
    scenario = Dataset.load(copy).train[0]
    scenario.network_file.write_text("<net><edge/></net>")
    reseal(copy)
    defects = check(copy, sumo=SUMO)
    assert [(defect.scenario_id, defect.kind) for defect in defects] == [(scenario.scenario_id, "simulator")]
    assert "\n" not in defects[0].problem


def test_every_problem_of_a_manifest_is_listed(copy: Path):
    path = copy / "manifest.json"
    manifest = json.loads(path.read_text())
    manifest["format_version"] = 1
    manifest["extra"] = 1
    manifest["train_scenarios"][0]["scenario_id"] = "../up"
    path.write_text(json.dumps(manifest))
    defects = check(copy, sumo=SUMO)
    assert {defect.kind for defect in defects} == {"manifest"} and len(defects) == 3
    for place in ("format_version", "extra", "train_scenarios.0.scenario_id"):
        assert any(f": {place}: " in defect.problem for defect in defects)
    path.unlink()
    assert [defect.kind for defect in check(copy, sumo=SUMO)] == ["manifest"]
