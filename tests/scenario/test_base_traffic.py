"""The base scenarios as they are driven: surrounded from the start, calm while nobody interferes, and measured without false contacts."""

from collections import defaultdict
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest

from roadsense.config import SumoSettings
from roadsense.scenario.convoy import HORIZON_S
from roadsense.scenario.dataset import Dataset, Scenario
from roadsense.scenario.generate import GenerateSettings, generate
from roadsense.scenario.route_geometry import LanePaths
from roadsense.sumo.session import SumoSession

WARM_UP_S = 10.0
NEAR_M = 150.0
MERGE_WAY = ("approach", "merging", "onward")
URBAN_WAY = ("west_first", "first_second", "second_third", "third_east")


@dataclass
class Drive:
    """What was seen of a scenario that SUMO drove alone."""

    scenario: Scenario
    contacts: list[tuple[str, str]] = field(default_factory=list)
    neighbours: list[int] = field(default_factory=list)
    smallest_gap_m: float = np.inf
    hardest_braking_mps2: float = 0.0
    slowest_mps: float = np.inf
    leaders: set[str] = field(default_factory=set)


def drive(session: SumoSession, scenario: Scenario) -> Drive:
    state = session.reset(scenario.options(), seed=scenario.seed)
    convoy = (scenario.ego_id, *scenario.peer_ids)
    session.keep_lane(convoy)
    route, lanes, seen = session.route_edges(scenario.ego_id), LanePaths(scenario.network_file), Drive(scenario)
    while state.time_s < HORIZON_S:
        vehicles = state.vehicles
        ego = vehicles.index[scenario.ego_id]
        seen.contacts += [(contact.collider_id, contact.victim_id) for contact in state.collisions]
        starts_m = lanes.start_offsets(vehicles.lane_ids[ego], route)
        for row, lane_id in enumerate(vehicles.lane_ids):
            front_m = starts_m.get(lane_id, -np.inf) + vehicles.lane_position_m[row] - vehicles.lane_position_m[ego]
            if row != ego and front_m > 0:
                seen.smallest_gap_m = min(seen.smallest_gap_m, front_m - vehicles.length_m[row])
                seen.leaders |= {vehicles.ids[row]} if front_m < 100 else set()
        if state.time_s > WARM_UP_S:
            rows = [vehicles.index[car] for car in convoy]
            away_m = np.hypot(vehicles.x_m - vehicles.x_m[ego], vehicles.y_m - vehicles.y_m[ego])
            seen.neighbours.append(sum(away_m[row] < NEAR_M and name not in convoy for name, row in vehicles.index.items()))
            seen.hardest_braking_mps2 = max(seen.hardest_braking_mps2, -float(vehicles.accel_mps2[rows].min()))
            seen.slowest_mps = min(seen.slowest_mps, float(vehicles.speed_mps[rows].min()))
        state = session.step([])
    return seen


@pytest.fixture(scope="module")
def drives(tmp_path_factory) -> dict[str, list[Drive]]:
    """Four scenarios of every base, driven for the horizon."""
    dataset: Dataset = generate(
        GenerateSettings(output_dir=tmp_path_factory.mktemp("traffic") / "ds", seed=21, train_count=20, eval_count=0)
    )
    by_base: dict[str, list[Drive]] = defaultdict(list)
    with SumoSession(SumoSettings()) as session:
        for scenario in dataset.train:
            by_base[scenario.base].append(drive(session, scenario))
    return by_base


def test_every_base_surrounds_the_ego(drives: dict[str, list[Drive]]):
    assert len(drives) == 5
    for base, seen in drives.items():
        medians = [np.median(one.neighbours) for one in seen]
        assert sum(median >= 2 for median in medians) >= 3, f"{base}: {medians} background cars within {NEAR_M:.0f} m"


def test_nobody_touches_anybody_while_nobody_interferes(drives: dict[str, list[Drive]]):
    for seen in drives.values():
        for one in seen:
            assert one.contacts == [], one.scenario.scenario_id
            assert one.smallest_gap_m > 0, f"{one.scenario.scenario_id}: crossing and merging traffic must not look like a contact"


def test_drivers_seldom_brake_hard(drives: dict[str, list[Drive]]):
    for base, seen in drives.items():
        assert np.median([one.hardest_braking_mps2 for one in seen]) < 3.0, base


def test_bases_are_what_their_names_say(drives: dict[str, list[Drive]]):
    slowest = {base: min(one.slowest_mps for one in seen) for base, seen in drives.items()}
    assert slowest["arterial_stop_and_go"] < 8.5 < 18 < min(slowest["highway_fast"], slowest["highway_merge"])
    assert any(leader.startswith("entering") for one in drives["highway_merge"] for leader in one.leaders), "the ramp's cars come in"


def test_lanes_beside_the_way_are_not_on_it(base_dir: Path):
    """Who is on the ramp, on the acceleration lane or inside a junction on another way counts only once it is on the ego's."""
    merge = LanePaths(base_dir / "highway_merge" / "network.net.xml").start_offsets("approach_0", MERGE_WAY)
    assert [lane for lane in merge if not lane.startswith(":")] == ["approach_0", "merging_1", "onward_0"]
    urban = LanePaths(base_dir / "urban_intersection" / "network.net.xml").start_offsets("west_first_0", URBAN_WAY)
    assert [lane for lane in urban if not lane.startswith(":")] == [f"{edge}_0" for edge in URBAN_WAY]
    assert sum(lane.startswith(":") for lane in urban) == 3, "straight through each junction"
