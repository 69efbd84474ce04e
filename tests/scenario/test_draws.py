"""What a scenario draws: from its ranges, by streams of its own, and as SUMO then reads it."""

from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from roadsense.scenario.base import find_bases
from roadsense.scenario.convoy import CarType, Road, draw_convoy
from roadsense.scenario.convoy_settings import ConvoySettings
from roadsense.scenario.dataset import Dataset
from roadsense.scenario.locate import default_base_dir
from roadsense.scenario.sampler import plan_split
from roadsense.scenario.xml_files import read_xml
from roadsense.seeding import named_stream


def test_ids_say_what_they_are(large: Dataset):
    """Split, number, base, density, driving style and peers; the words agree with what was drawn."""
    words = Counter()
    headways = {base.name: base.convoy.headway_s for base in find_bases(default_base_dir())}
    for split in ("train", "eval"):
        for number, entry in enumerate(getattr(large.manifest, f"{split}_scenarios")):
            stem = f"{split}_{number:03d}_{entry.base}_"
            assert entry.scenario_id.startswith(stem)
            density, style, peers = entry.scenario_id.removeprefix(stem).split("_")
            factor = entry.drawn["vehs_per_hour_factor"]
            assert density == ("sparse" if factor < 0.9 else "medium" if factor <= 1.1 else "dense")
            convoy = entry.drawn["convoy"]
            low_s, high_s = headways[entry.base]
            speeds = [(factor - 0.8) / 0.4 for factor in convoy["speed_factor"].values()]
            drivers = [
                speed + (high_s - headway_s) / (high_s - low_s)
                for speed, headway_s in zip(speeds, convoy["headway_s"].values(), strict=True)
            ]
            haste = sum(drivers) / len(drivers) / 2
            assert style == ("calm" if haste < 0.44 else "normal" if haste <= 0.56 else "aggressive")
            assert peers == f"n{entry.peer_count}"
            words.update((density, style))
    assert min(words[word] for word in ("sparse", "medium", "dense", "calm", "normal", "aggressive")) > 20, "every word really comes"


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
    for base in find_bases(default_base_dir()):
        low_s, high_s = base.convoy.ego_tau_s
        taus = [entry.drawn["convoy"]["tau_s"]["V001"] for entry in large.manifest.entries if entry.base == base.name]
        margin_s = 0.15 * (high_s - low_s)
        assert low_s <= min(taus) < low_s + margin_s and high_s - margin_s < max(taus) <= high_s
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
        base_root = read_xml(base_dir / scenario.base / "vehicles.rou.xml")
        base_flows = {flow.get("id"): flow for flow in base_root.iter("flow")}
        base_types = {element.get("id"): element for element in base_root.iter("vType")}
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
                is_fixed = base_types[element.get("id")].get("speedDev") == "0"
                assert element.get("speedFactor") == (str(mean) if is_fixed else f"normc({mean}, 0.1, 0.8, 1.2)")


def test_convoys_depart_where_the_base_wants_them(large: Dataset, base_dir: Path):
    wanted = {base.name: base.convoy.front_m for base in find_bases(base_dir)}
    assert sum(limits is not None for limits in wanted.values()) == 3
    places = {base: [] for base in wanted}
    for scenario in (*large.train, *large.eval):
        convoy = scenario.drawn["convoy"]
        front = max(convoy["position_m"], key=convoy["position_m"].get)
        places[scenario.base].append(convoy["position_m"][front] + convoy["speed_mps"] * convoy["spawn_jitter_s"][front])
    for base, (low_m, high_m) in ((base, limits) for base, limits in wanted.items() if limits is not None):
        assert low_m <= min(places[base]) < low_m + 0.2 * (high_m - low_m)
        assert sum(place_m > high_m for place_m in places[base]) <= 1, "only a convoy that is longer than the road behind it"
        assert len(set(places[base])) == len(places[base])


def test_only_the_background_departs_later(large: Dataset):
    """The ego and its convoy depart at t = 0; a convoy car's jitter is a place further back, a background car's is a later time."""
    for scenario in (*large.train, *large.eval):
        convoy, late_s = scenario.drawn["convoy"], scenario.drawn["spawn_jitter_s"]
        assert convoy["spawn_jitter_s"]["V001"] == 0 and not set(late_s) & {"V001", *scenario.peer_ids}
        assert scenario.base != "arterial_stop_and_go" or 0 < late_s["leading.0"] != late_s["leading.1"] > 0
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
