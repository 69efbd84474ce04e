"""Distances along routes, checked against where SUMO really puts the cars."""

import subprocess
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from roadsense.errors import DatasetError
from roadsense.scenario.route_geometry import LanePaths, shared_net
from roadsense.scenario.xml_files import read_xml
from roadsense.sumo.installation import find_program

ROUTE = ("A0A1", "A1B1", "B1B2", "B2C2")


def fcd(folder: Path, network: Path, routes: str) -> list[dict[str, dict[str, str]]]:
    """Floating-car data of a run: per step, per vehicle."""
    (folder / "r.rou.xml").write_text(routes)
    options = [
        "--step-length",
        "0.1",
        "--end",
        "120",
        "--precision",
        "6",
        "--no-step-log",
        "--seed",
        "3",
        "--fcd-output",
        folder / "fcd.xml",
    ]
    command = [find_program("sumo").path, "-n", network, "-r", folder / "r.rou.xml", *options]
    subprocess.run(command, check=True, capture_output=True)
    return [{vehicle.get("id"): dict(vehicle.attrib) for vehicle in step} for step in read_xml(folder / "fcd.xml")]


def test_gap_over_junctions_is_the_distance_driven(grid_network: Path, tmp_path: Path):
    """SUMO moves a car by speed * dt, so positions along the route are known without any geometry."""
    cars = "".join(
        f'<vehicle id="{name}" type="c" depart="0" departPos="{position}" departLane="0"><route edges="{" ".join(ROUTE)}"/></vehicle>'
        for name, position in (("lead", 120), ("ego", 80))
    )
    steps = fcd(tmp_path, grid_network, f'<routes><vType id="c" length="4" sigma="0"/>{cars}</routes>')
    paths = LanePaths(grid_network)
    driven = {"lead": 120.0, "ego": 80.0}
    lanes_seen: set[tuple[str, str]] = set()
    for previous, step in pairwise(steps):
        if not previous.keys() == step.keys() == driven.keys():
            break
        for name, state in step.items():
            driven[name] += float(state["speed"]) * 0.1
        own, leader = step["ego"], step["lead"]
        offsets = paths.start_offsets(own["lane"], ROUTE)
        if leader["lane"] not in offsets:
            assert leader["lane"].rpartition("_")[0] == own["lane"].rpartition("_")[0], (
                "only on the own edge can a leader be beside the way"
            )
            continue
        gap_m = offsets[leader["lane"]] + float(leader["pos"]) - 4 - float(own["pos"])
        assert gap_m == pytest.approx(driven["lead"] - driven["ego"] - 4, abs=0.02)
        lanes_seen.add((own["lane"], leader["lane"]))
    assert len({own for own, _ in lanes_seen}) >= 6, "the ego itself passed junctions"
    assert any(own.startswith(":") for own, _ in lanes_seen), "also seen from inside a junction"
    assert sum(own != leader for own, leader in lanes_seen) >= 6


def test_one_edge_is_the_own_lane(base_dir: Path):
    paths = LanePaths(base_dir / "highway_fast" / "network.net.xml")
    assert dict(paths.start_offsets("highway_0", ("highway",))) == {"highway_0": 0.0}
    assert paths.start_offsets("highway_0", ("highway",)) is paths.start_offsets("highway_0", ["highway"]), "computed once"


def test_the_lane_beside_is_not_on_the_way(grid_network: Path):
    """Lane 0 turns right, lane 1 left: a car on the wrong lane must change, but whoever drives beside it is not ahead of it."""
    net = shared_net(grid_network)
    edge = net.getEdge("A1B1")
    leads = {lane.getID(): {c.getTo().getID() for c in lane.getOutgoing()} for lane in edge.getLanes()}
    wrong = next(lane for lane, targets in leads.items() if "B1B2" not in targets)
    offsets = LanePaths(grid_network).start_offsets(wrong, ("A1B1", "B1B2"))
    assert next(iter(offsets)) == wrong and sum(lane.startswith("A1B1") for lane in offsets) == 1
    assert any(lane.startswith("B1B2") for lane in offsets)


def test_both_lanes_are_on_the_way_where_the_car_will_change(grid_network: Path):
    """Right into A1B1 (lane 0), then left from lane 1: whoever stands on either lane of A1B1 is in the way."""
    offsets = LanePaths(grid_network).start_offsets("A0A1_0", ROUTE)
    assert offsets["A1B1_0"] == offsets["A1B1_1"] > 0 and list(offsets).index("A1B1_0") < list(offsets).index("A1B1_1")
    assert offsets["B1B2_0"] == offsets["B1B2_1"] > offsets["A1B1_0"]


def test_off_route_and_unknown_lanes(grid_network: Path):
    paths = LanePaths(grid_network)
    assert dict(paths.start_offsets("A0A1_0", ("C1C2", "C2C3"))) == {"A0A1_0": 0.0}
    assert dict(paths.start_offsets("A0A1_0", ())) == {"A0A1_0": 0.0}
    assert list(paths.start_offsets("A0A1_0", ("A0A1", "C1C2"))) == ["A0A1_0"], "a route with a hole ends there"
    for lane in ("nowhere_0", "A0A1_9", ""):
        with pytest.raises(DatasetError, match="has no lane"):
            paths.start_offsets(lane, ROUTE)


def test_lookahead_ends_the_way(grid_network: Path):
    whole = LanePaths(grid_network).start_offsets("A0A1_0", ROUTE)
    for lookahead_m in (0.0, 400.0, 1000.0):
        near = LanePaths(grid_network, lookahead_m).start_offsets("A0A1_0", ROUTE)
        assert near == {lane: offset for lane, offset in whole.items() if offset <= lookahead_m}


def test_copies_of_a_network_are_read_once(grid_network: Path, tmp_path: Path):
    copy = tmp_path / "copy.net.xml"
    copy.write_bytes(grid_network.read_bytes())
    assert shared_net(copy) is shared_net(grid_network)
    copy.write_bytes(grid_network.read_bytes().replace(b'speed="13.89"', b'speed="10.00"'))
    assert shared_net(copy) is not shared_net(grid_network), "a changed file is read again"


def test_broken_networks_are_refused(tmp_path: Path):
    with pytest.raises(DatasetError, match="cannot be read"):
        LanePaths(tmp_path / "none.net.xml")
    broken = tmp_path / "broken.net.xml"
    broken.write_text("<net><edge id='a'")
    with pytest.raises(DatasetError, match="not a SUMO network"):
        LanePaths(broken)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_offsets_add_up_along_any_walk(grid_network: Path, data: st.DataObject):
    """Seen from any lane of the way, the rest of the way lies at the same distances."""
    net = shared_net(grid_network)
    edge = data.draw(st.sampled_from(sorted(net.getEdges(withInternal=False), key=lambda edge: edge.getID())))
    route = [edge.getID()]
    for _ in range(data.draw(st.integers(0, 5))):
        onward = sorted(target.getID() for target in edge.getOutgoing() if target.getID() not in route)
        if not onward:
            break
        edge = net.getEdge(data.draw(st.sampled_from(onward)))
        route.append(edge.getID())
    paths = LanePaths(grid_network)
    start = f"{route[0]}_{data.draw(st.integers(0, 1))}"
    offsets = paths.start_offsets(start, route)
    lanes = list(offsets)
    assert {lane.rpartition("_")[0] for lane in lanes if not lane.startswith(":")} == set(route), "every edge of the route is reached"
    assert list(offsets.values()) == sorted(offsets.values())
    seen_from = data.draw(st.sampled_from(lanes))
    for lane, offset in paths.start_offsets(seen_from, route).items():
        assert offset == pytest.approx(offsets[lane] - offsets[seen_from])
