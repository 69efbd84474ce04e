"""Generating datasets: the same bytes twice, no draw shared, convoys in order, nothing half-written."""

import filecmp
import json
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from roadsense.errors import ConfigError, DatasetError, RoadSenseError, UsageError
from roadsense.provenance import source_commit
from roadsense.scenario.base import find_bases
from roadsense.scenario.convoy import CarType, Road, draw_convoy
from roadsense.scenario.convoy_settings import ConvoySettings
from roadsense.scenario.dataset import Dataset
from roadsense.scenario.generate import GenerateSettings, generate
from roadsense.scenario.locate import default_base_dir
from roadsense.scenario.sampler import plan_split
from roadsense.scenario.xml_files import read_xml
from roadsense.seeding import named_stream

BASES = ("arterial_stop_and_go", "highway_fast", "highway_merge", "rural_curve", "urban_intersection")
MANIFEST_KEYS = {
    "dataset_id", "seed", "base_scenarios", "ranges", "sumo_version", "git_commit", "emulator_params", "emulator_params_hash",
    "container_image", "train_scenarios", "eval_scenarios", "format_version", "roadsense_version",
}  # fmt: skip


def small(output_dir: Path, **changes) -> Dataset:
    return generate(GenerateSettings(**{"output_dir": output_dir, "seed": 5, "train_count": 6, "eval_count": 3, **changes}))


def files(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.fixture(scope="module")
def large(tmp_path_factory) -> Dataset:
    """Every (base, peer count) pair twice for training and once for evaluation."""
    return generate(GenerateSettings(output_dir=tmp_path_factory.mktemp("large") / "ds", seed=11, train_count=110, eval_count=55))


def test_same_seed_gives_the_same_bytes_in_another_process(tmp_path: Path):
    small(tmp_path / "a")
    code = (
        "from pathlib import Path; from roadsense.scenario.generate import *; "
        "generate(GenerateSettings(output_dir=Path('b'), seed=5, train_count=6, eval_count=3))"
    )
    subprocess.run([sys.executable, "-c", code], cwd=tmp_path, check=True, env={**os.environ, "PYTHONHASHSEED": "77"})
    assert files(tmp_path / "a") == files(tmp_path / "b")
    assert not filecmp.dircmp(tmp_path / "a", tmp_path / "b").diff_files


def test_another_seed_differs_everywhere(tmp_path: Path):
    one, two = small(tmp_path / "a"), small(tmp_path / "b", seed=6)
    assert one.hash != two.hash and one.manifest.dataset_id != two.manifest.dataset_id
    hashes = [{entry.files["vehicles.rou.xml"] for entry in dataset.manifest.entries} for dataset in (one, two)]
    assert not hashes[0] & hashes[1]


def test_more_scenarios_do_not_change_the_first(tmp_path: Path):
    few, many = small(tmp_path / "a"), small(tmp_path / "b", train_count=9, eval_count=5)
    assert many.manifest.train_scenarios[:6] == few.manifest.train_scenarios
    assert many.manifest.eval_scenarios[:3] == few.manifest.eval_scenarios


def test_manifest_holds_what_was_promised(large: Dataset, repository: Path):
    manifest = json.loads((large.directory / "manifest.json").read_text())
    assert set(manifest) == MANIFEST_KEYS
    assert manifest["ranges"] == {
        "speedFactor": [0.8, 1.2], "sigma": [0, 0.5], "vehsPerHour": [0.7, 1.3], "spawn_jitter_s": [0, 2],
        "peer_count": dict.fromkeys(BASES, [0, 10]), "background_equipment_rate": dict.fromkeys(BASES, [0, 0.5]),
    }  # fmt: skip
    assert manifest["seed"] == 11 and manifest["dataset_id"].startswith("ds_11_")
    assert manifest["sumo_version"] == "1.28.0" and manifest["git_commit"] == source_commit() and len(source_commit()) == 40
    assert manifest["emulator_params"]["content"]["latency"]["base_ms"] == 3.84
    profile = repository / "roadsense" / "radio" / "profiles" / "emulator_params_convoy.json"
    digest = subprocess.run(["sha256sum", profile], check=True, capture_output=True, text=True).stdout.split()[0]
    assert manifest["emulator_params_hash"] == digest
    base = manifest["base_scenarios"]["rural_curve"]
    assert set(base) == {"scenario.sumocfg", "network.net.xml", "vehicles.rou.xml", "convoy.json"}
    text = (large.directory / "manifest.json").read_text()
    assert str(large.directory) not in text and str(repository) not in text, "no absolute paths"
    for entry in (*manifest["train_scenarios"], *manifest["eval_scenarios"]):
        assert set(entry["files"]) == {"scenario.sumocfg", "network.net.xml", "vehicles.rou.xml"}
        assert entry["peer_count"] == len(entry["peer_ids"])


def test_ids_say_what_they_are(large: Dataset):
    """Split, number, base, density, driving style and peers; the words agree with what was drawn."""
    words = Counter()
    for split in ("train", "eval"):
        for number, entry in enumerate(getattr(large.manifest, f"{split}_scenarios")):
            stem = f"{split}_{number:03d}_{entry.base}_"
            assert entry.scenario_id.startswith(stem)
            density, style, peers = entry.scenario_id.removeprefix(stem).split("_")
            factor = entry.drawn["vehs_per_hour_factor"]
            assert density == ("sparse" if factor < 0.9 else "medium" if factor <= 1.1 else "dense")
            convoy = entry.drawn["convoy"]
            drivers = [(convoy["speed_factor"][car] - 0.8) / 0.4 + 1 - (convoy["headway_s"][car] - 1.0) / 0.8 for car in convoy["sigma"]]
            haste = sum(drivers) / len(drivers) / 2
            assert style == ("calm" if haste < 0.44 else "normal" if haste <= 0.56 else "aggressive")
            assert peers == f"n{entry.peer_count}"
            words.update((density, style))
    assert min(words[word] for word in ("sparse", "medium", "dense", "calm", "normal", "aggressive")) > 20, "every word really comes"


def test_bases_and_peer_counts_are_balanced(large: Dataset):
    pairs = Counter((scenario.base, len(scenario.peer_ids)) for scenario in large.eval)
    assert pairs == {(base, count): 1 for base in BASES for count in range(11)}
    assert set(Counter((scenario.base, len(scenario.peer_ids)) for scenario in large.train).values()) == {2}
    order = [len(scenario.peer_ids) for scenario in large.train]
    assert order != sorted(order) and order[:55] != order[55:], "shuffled, and drawn anew"


def test_default_counts_cover_every_pair_in_both_splits(tmp_path: Path):
    dataset = generate(GenerateSettings(output_dir=tmp_path / "ds"))
    for scenarios in (dataset.train, dataset.eval):
        assert len({(scenario.base, len(scenario.peer_ids)) for scenario in scenarios}) == 55
    assert len(dataset.eval) == 55, "equally often"


@pytest.mark.parametrize("bases", [1, 2, 3, 11, 22])
def test_every_pair_comes_once_for_any_number_of_bases(base_dir: Path, bases: int):
    one = find_bases(base_dir / "rural_curve")[0]
    plans = plan_split([one] * bases, "eval", 11 * bases, seed=3)
    pairs = {(index % bases, plan.peer_count) for index, plan in enumerate(plans)}
    assert len(pairs) == 11 * bases


def test_training_and_evaluation_share_no_draw(large: Dataset):
    def draws(entries) -> Counter:
        return Counter((quantity, *sorted(values.items())) for entry in entries for quantity, values in _quantities(entry.drawn))

    manifest = large.manifest
    seeds = [entry.seed for entry in manifest.entries]
    assert len(set(seeds)) == len(seeds)
    first = [stream.random() for split in ("train", "eval") for stream in _streams(large, split)]
    assert len(set(first)) == len(first), "every stream is another one"
    train, evaluation = draws(manifest.train_scenarios), draws(manifest.eval_scenarios)
    assert train and evaluation and not train.keys() & evaluation.keys()
    assert max((train + evaluation).values()) == 1, "nor do two scenarios of one split"


def _quantities(drawn):
    """Drawn numbers by quantity; what the base's types fix by themselves (a peer's tau, its type, the ego's zero jitter) is no draw."""
    convoy = drawn["convoy"]
    yield "speed_factor", convoy["speed_factor"]
    yield "sigma", convoy["sigma"]
    yield "headway_s", convoy["headway_s"]
    yield "position_m", convoy["position_m"]
    yield "single values", {"speed": convoy["speed_mps"], "tau": convoy["tau_s"]["V001"], "factor": drawn["vehs_per_hour_factor"]}
    yield "background_jitter_s", drawn["spawn_jitter_s"]
    yield "type_sigma", drawn["type_sigma"]


def _streams(dataset: Dataset, split: str):
    """The first drawn number of each named stream, as the generator opens it."""
    entries = getattr(dataset.manifest, f"{split}_scenarios")
    plans = plan_split(find_bases(default_base_dir()), split, len(entries), dataset.manifest.seed)
    for entry, plan in zip(entries, plans, strict=True):
        assert entry.scenario_id.startswith(plan.stem) and entry.seed == plan.seed
        for name in ("traffic_flow", "speed_factor", "background_equipment_rate"):
            yield plan.streams(name)


def test_draws_are_uniform_over_their_ranges(large: Dataset):
    drawn = [entry.drawn for entry in large.manifest.entries]
    for quantity, low, high in (("speed_factor", 0.8, 1.2), ("sigma", 0.0, 0.5)):
        values = [value for one in drawn for value in one["convoy"][quantity].values()]
        assert low <= min(values) < low + 0.02 * (high - low) and high - 0.02 * (high - low) < max(values) <= high
        assert sum(values) / len(values) == pytest.approx((low + high) / 2, abs=0.05 * (high - low))
    taus = [one["convoy"]["tau_s"]["V001"] for one in drawn]
    assert 0.6 <= min(taus) < 0.65 and 1.05 < max(taus) <= 1.1
    flows = [one["vehs_per_hour_factor"] for one in drawn]
    assert 0.7 <= min(flows) < 0.75 and 1.25 < max(flows) <= 1.3
    equipment = [entry.background_equipment_rate for entry in large.manifest.entries]
    assert 0 <= min(equipment) < 0.05 and 0.45 < max(equipment) <= 0.5 and sum(equipment) / len(equipment) == pytest.approx(0.25, abs=0.04)
    late = [value for one in drawn for value in one["spawn_jitter_s"].values()]
    assert 0 <= min(late) < 0.2 and 1.8 < max(late) <= 2.0


def test_what_was_drawn_is_what_sumo_reads(large: Dataset, base_dir: Path):
    for scenario in (*large.train, *large.eval):
        root = read_xml(scenario.directory / "vehicles.rou.xml")
        types = {element.get("id"): element for element in root.iter("vType")}
        convoy = scenario.drawn["convoy"]
        vehicles = [vehicle for vehicle in root.findall("vehicle") if vehicle.get("route") == "convoy"]
        assert {vehicle.get("id") for vehicle in vehicles} == {"V001", *scenario.peer_ids}
        for vehicle in vehicles:
            name, vtype = vehicle.get("id"), types[vehicle.get("type")]
            assert float(vtype.get("sigma")) == convoy["sigma"][name] and float(vtype.get("speedFactor")) == convoy["speed_factor"][name]
            assert float(vtype.get("tau")) == convoy["tau_s"][name] and vtype.get("speedDev") == "0"
            assert float(vehicle.get("departPos")) == convoy["position_m"][name] and vehicle.get("depart") == "0"
            assert float(vtype.get("emergencyDecel")) <= 8
        base_flows = {flow.get("id"): flow for flow in read_xml(base_dir / scenario.base / "vehicles.rou.xml").iter("flow")}
        factor = scenario.drawn["vehs_per_hour_factor"]
        for flow in root.iter("flow"):
            before, jitter_s = base_flows[flow.get("id")], scenario.drawn["spawn_jitter_s"][flow.get("id")]
            assert float(flow.get("begin")) == pytest.approx(float(before.get("begin")) + jitter_s, abs=1e-6)
            if before.get("vehsPerHour"):
                assert float(flow.get("vehsPerHour")) == pytest.approx(float(before.get("vehsPerHour")) * factor, abs=1e-3)
            else:
                assert int(flow.get("number")) == max(1, round(int(before.get("number")) * factor))
                assert float(flow.get("end")) - float(flow.get("begin")) == pytest.approx(1), "as long as before"
        for element in root.iter("vType"):
            if element.get("id") in scenario.drawn["type_sigma"]:
                mean = scenario.drawn["type_speed_factor"][element.get("id")]
                assert element.get("speedFactor") in (f"normc({mean}, 0.1, 0.8, 1.2)", str(mean))


def test_only_the_background_departs_later(large: Dataset):
    """The ego and its convoy depart at t = 0; a convoy car's jitter is a place further back, a background car's is a later time."""
    for scenario in (*large.train, *large.eval):
        convoy, late_s = scenario.drawn["convoy"], scenario.drawn["spawn_jitter_s"]
        assert convoy["spawn_jitter_s"]["V001"] == 0 and not set(late_s) & {"V001", *scenario.peer_ids}
        for element in read_xml(scenario.directory / "vehicles.rou.xml").iter("vehicle"):
            name = element.get("id")
            assert float(element.get("depart")) == late_s.get(name, 0.0)
            if name in convoy["position_m"]:
                assert "spawn_jitter_s" in convoy and 0 <= convoy["spawn_jitter_s"][name] <= 2
        row = sorted(convoy["position_m"], key=convoy["position_m"].get, reverse=True)
        front_m = convoy["position_m"][row[0]] + convoy["spawn_jitter_s"][row[0]] * convoy["speed_mps"]
        for place, name in enumerate(row[1:], start=1):
            behind_m = front_m - convoy["position_m"][name] - convoy["spawn_jitter_s"][name] * convoy["speed_mps"]
            headways = sum(convoy["headway_s"][car] for car in row[1 : place + 1])
            assert behind_m >= headways * convoy["speed_mps"], "never closer than the drawn gaps"


def test_ranks_count_from_the_ego(large: Dataset):
    """V002 is directly ahead, V003 ahead of it; the numbers go on behind the ego, nearest first. Somebody is ahead when there are peers."""
    for scenario in (*large.train, *large.eval):
        positions, ahead = scenario.drawn["convoy"]["position_m"], scenario.drawn["convoy"]["peers_ahead"]
        ids = [f"V{number:03d}" for number in range(2, len(scenario.peer_ids) + 2)]
        assert set(ids) == set(scenario.peer_ids) and (ahead >= 1 or not ids)
        row = [*reversed(ids[:ahead]), "V001", *ids[ahead:]]
        assert row == sorted(positions, key=positions.get, reverse=True)
    shares = [scenario.drawn["convoy"]["peers_ahead"] / len(scenario.peer_ids) for scenario in large.train if len(scenario.peer_ids) > 3]
    assert min(shares) < 0.4 and max(shares) == 1.0


CAR_TYPES = {
    name: CarType(type_id=name, length_m=length, min_gap_m=2.5, tau_s=tau) for name, length, tau in (("e", 4.5, 0.9), ("p", 6.0, 1.1))
}


@settings(max_examples=200, deadline=None)
@given(seed=st.integers(0, 2**40), peer_count=st.integers(0, 10), limit_mps=st.floats(5, 40))
def test_any_convoy_is_in_order_with_room_and_on_the_road(seed: int, peer_count: int, limit_mps: float):
    length_m = 1.2 * limit_mps * 55 + 400 + 10 * 3 * limit_mps
    road = Road(source="r", first_edge_m=length_m, route_m=length_m, first_limit_mps=limit_mps, highest_limit_mps=limit_mps)
    convoy = draw_convoy(
        ConvoySettings(route="r", ego_type="e", peer_types=("p",)),
        CAR_TYPES, road, ego_id="V001", peer_count=peer_count, streams=lambda name: named_stream(seed, name),
    )  # fmt: skip
    assert len(convoy.cars) == peer_count + 1 and convoy.cars[convoy.peers_ahead].vehicle_id == "V001"
    for leader, follower in zip(convoy.cars, convoy.cars[1:], strict=False):
        gap_m = leader.position_m - leader.car_type.length_m - follower.position_m
        assert gap_m >= follower.car_type.min_gap_m + follower.car_type.tau_s * convoy.speed_mps, "SUMO inserts it at once"
    assert convoy.cars[-1].position_m >= convoy.cars[-1].car_type.length_m
    assert convoy.cars[0].position_m + 1.2 * limit_mps * 55 <= length_m
    assert convoy.cars[0].speed_factor == min(car.speed_factor for car in convoy.cars), "nobody drives away from the convoy"


def test_road_that_is_too_short_is_refused(grid_network: Path, base_dir: Path, tmp_path: Path):
    base = tmp_path / "short"
    base.mkdir()
    (base / "grid.net.xml").write_bytes(grid_network.read_bytes())
    for name in ("vehicles.rou.xml", "scenario.sumocfg", "convoy.json"):
        (base / name).write_text(
            (base_dir / "rural_curve" / name).read_text().replace("network.net.xml", "grid.net.xml").replace("to_forest", "A0A1")
        )
    with pytest.raises(DatasetError, match="too short"):
        small(tmp_path / "out", base_dir=base)
    assert not (tmp_path / "out").exists()
    (base / "convoy.json").write_text('{"route": "convoy", "ego_type": "ego", "peer_types": ["tank"]}')
    with pytest.raises(DatasetError, match="vType 'tank'"):
        small(tmp_path / "out", base_dir=base)
    (base / "convoy.json").write_text('{"route": "convoi", "ego_type": "ego", "peer_types": ["compact"]}')
    with pytest.raises(DatasetError, match="route 'convoi'"):
        small(tmp_path / "out", base_dir=base)
    (base / "convoy.json").write_text('{"route": "convoy", "headways_s": [1, 2], "ego_type": "ego", "peer_types": ["compact"]}')
    with pytest.raises(DatasetError, match="did you mean 'headway_s'"):
        small(tmp_path / "out", base_dir=base)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"train_count": 0}, "'train_count' is 0"),
        ({"train_count": -3}, "'train_count' is -3"),
        ({"eval_count": -1}, "'eval_count' is -1"),
        ({"seed": -1}, "'seed' is -1"),
        ({"ego_id": "../x"}, "'ego_id' is"),
        ({"trian_count": 3}, "did you mean 'train_count'"),
    ],
)
def test_nonsense_settings_are_one_line(changes: dict, message: str):
    with pytest.raises(UsageError, match=message) as caught:
        GenerateSettings.parse(changes, "flags", UsageError)
    assert "\n" not in str(caught.value)


def test_missing_bases_and_parameters(tmp_path: Path):
    with pytest.raises(DatasetError, match="no such folder"):
        small(tmp_path / "out", base_dir=tmp_path / "none")
    with pytest.raises(ConfigError, match="no such file"):
        small(tmp_path / "out", emulator_params=tmp_path / "none.json")
    assert list(tmp_path.iterdir()) == [], "nothing is written before everything is known to be there"


def test_default_folder_is_named_after_the_content(tmp_path: Path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    dataset = small(None)
    assert dataset.directory == tmp_path / "scenarios" / "datasets" / dataset.manifest.dataset_id
    assert list((tmp_path / "scenarios" / "datasets").iterdir()) == [dataset.directory], "no leftovers"
    assert small(None, eval_count=0).eval == ()


def test_existing_folders_are_respected(tmp_path: Path):
    said: list[str] = []
    target = tmp_path / "ds"
    plan = GenerateSettings(output_dir=target, seed=5, train_count=6, eval_count=3)
    generate(plan, say=said.append)
    before = files(target)
    generate(plan, say=said.append)
    assert "already there" not in said[0] and "already there" in said[1]
    with pytest.raises(DatasetError, match="replace it with --force"):
        generate(plan.model_copy(update={"seed": 6}))
    assert files(target) == before
    generate(plan.model_copy(update={"seed": 6, "force": True}))
    assert files(target) != before
    for number, foreign in enumerate((tmp_path / "notes", tmp_path / "file")):
        foreign.mkdir() if number == 0 else foreign.write_text("x")
        (foreign / "keep.txt").write_text("mine") if number == 0 else None
        with pytest.raises(DatasetError, match="holds no dataset"):
            generate(plan.model_copy(update={"output_dir": foreign, "force": True}))
    assert (tmp_path / "notes" / "keep.txt").read_text() == "mine"
    (tmp_path / "empty").mkdir()
    generate(plan.model_copy(update={"output_dir": tmp_path / "empty"}))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["ds", "empty", "file", "notes"]


def test_failure_halfway_leaves_nothing(tmp_path: Path):
    def fail(done: int, total: int) -> None:
        assert total == 9
        if done == 4:
            raise RoadSenseError("enough")

    with pytest.raises(RoadSenseError, match="enough"):
        generate(GenerateSettings(output_dir=tmp_path / "x" / "ds", train_count=6, eval_count=3), progress=fail)
    assert list((tmp_path / "x").iterdir()) == []


def test_interrupt_leaves_nothing(tmp_path: Path):
    code = (
        # A background job inherits an ignored SIGINT; then Python would not turn it into KeyboardInterrupt.
        "import signal; signal.signal(signal.SIGINT, signal.default_int_handler)\n"
        "from pathlib import Path; import sys, time; from roadsense.scenario.generate import *\n"
        "def slow(done, total): print(done, flush=True); time.sleep(0.2)\n"
        "generate(GenerateSettings(output_dir=Path(sys.argv[1]), train_count=50), progress=slow)"
    )
    process = subprocess.Popen([sys.executable, "-c", code, tmp_path / "ds"], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    process.stdout.readline()
    assert [path.name for path in tmp_path.iterdir()] == [f".generating-{process.pid}"], "the folder itself appears only when it is whole"
    time.sleep(0.3)
    process.send_signal(signal.SIGINT)
    process.wait(timeout=20)
    process.stdout.close()
    assert list(tmp_path.iterdir()) == []


def test_commit_is_from_the_source_tree_or_the_environment(monkeypatch, tmp_path: Path, repository: Path):
    import roadsense.provenance as provenance

    monkeypatch.setenv("GIT_DIR", str(tmp_path))
    head = subprocess.run(
        ["git", "-C", repository, "rev-parse", "HEAD"], check=True, capture_output=True, text=True,
        env={name: value for name, value in os.environ.items() if name != "GIT_DIR"},
    ).stdout.strip()  # fmt: skip
    assert source_commit() == head
    monkeypatch.setattr(provenance, "_SOURCE_ROOT", tmp_path)
    assert source_commit() == "unknown"
    monkeypatch.setenv("GIT_COMMIT", "0123abc")
    assert source_commit() == "0123abc"
