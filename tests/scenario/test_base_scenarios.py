"""Our own base scenarios: networks that rebuild byte for byte, and roads that hold the task."""

import math
import shutil
from itertools import groupby, pairwise
from pathlib import Path

import pytest
import sumolib.net

from roadsense.errors import DatasetError
from roadsense.evaluation.reference.forward_radar import HALF_ANGLE_RAD
from roadsense.scenario.base import find_bases
from roadsense.scenario.build_networks import build_network, main
from roadsense.scenario.convoy import HORIZON_S
from roadsense.scenario.locate import default_scenario, scenarios_root
from roadsense.scenario.xml_files import read_xml

BASES = ("arterial_stop_and_go", "highway_fast", "highway_merge", "rural_curve", "urban_intersection")


@pytest.mark.parametrize("name", BASES)
def test_committed_network_is_what_netconvert_makes_of_the_sources(base_dir: Path, name: str):
    assert (base_dir / name / "network.net.xml").read_bytes() == build_network(base_dir / name)


def test_rebuilding_from_the_command_line_writes_the_same_bytes(base_dir: Path, tmp_path: Path, capsys):
    copy = tmp_path / "base"
    shutil.copytree(base_dir, copy)
    for name in BASES:
        (copy / name / "network.net.xml").unlink()
    assert main([str(copy)]) == 0
    assert capsys.readouterr().out.count("network.net.xml") == len(BASES)
    for name in BASES:
        assert (copy / name / "network.net.xml").read_bytes() == (base_dir / name / "network.net.xml").read_bytes()


def test_broken_network_sources_are_one_line(base_dir: Path, tmp_path: Path, capsys):
    copy = tmp_path / "base"
    shutil.copytree(base_dir, copy)
    (copy / "rural_curve" / "edges.edg.xml").write_text("<edges><edge id='e' from='nowhere' to='forest'/></edges>")
    before = (copy / "highway_fast" / "network.net.xml").stat().st_mtime_ns
    assert main([str(copy)]) == 2
    message = capsys.readouterr().err.strip()
    assert "netconvert refused" in message and "\n" not in message
    assert (copy / "highway_fast" / "network.net.xml").stat().st_mtime_ns == before, "nothing is written when one network fails"
    assert main([str(tmp_path)]) == 2


def test_highway_has_room_for_the_fastest_driver(base_dir: Path):
    net = sumolib.net.readNet(str(base_dir / "highway_fast" / "network.net.xml"))
    (edge,) = net.getEdges()
    assert edge.getLaneNumber() == 2 and edge.getSpeed() == 30
    assert edge.getLength() > 1.2 * 30 * HORIZON_S + 1000


def test_bends_are_blind_and_drivable(base_dir: Path):
    """Radius, angle and lateral acceleration of the convoy's lane, from the committed shape (circle through three points)."""
    net = sumolib.net.readNet(str(base_dir / "rural_curve" / "network.net.xml"))
    lane = net.getLane("to_forest_0")
    points = lane.getShape()
    headings = [math.atan2(b[1] - a[1], b[0] - a[0]) for a, b in pairwise(points)]
    turns = [math.remainder(after - before, math.tau) for before, after in pairwise(headings)]
    assert max(abs(turn) for turn in turns) < math.radians(6), "a point every few degrees"
    bends = [sum(group) for _, group in groupby(turns, key=lambda turn: turn > 0)]
    assert len(bends) > 40, "bends all the way"
    assert [abs(math.degrees(bend)) for bend in bends[1:-1]] == pytest.approx([68] * (len(bends) - 2), abs=1)
    inner_m = min(_circumradius(*three) for three in zip(points, points[8:], points[16:], strict=False))  # 23 points make a bend
    assert inner_m == pytest.approx(13, abs=0.7)
    assert 4.0 <= lane.getSpeed() ** 2 / inner_m <= 5.0
    assert (1.2 * lane.getSpeed()) ** 2 / inner_m < 8.0
    closest_ego_m = 2.5 + find_bases(base_dir / "rural_curve")[0].convoy.ego_tau_s[0] * lane.getSpeed()
    assert closest_ego_m > 2 * inner_m * HALF_ANGLE_RAD, "in an inner bend every ego's leader is out of the radar's sight"
    assert {edge.getID() for edge in net.getEdges()} == {"to_forest", "to_village"}, "one edge per direction"


@pytest.mark.parametrize("name", BASES)
def test_base_vehicles_keep_the_tasks_limits(base_dir: Path, name: str):
    root = read_xml(base_dir / name / "vehicles.rou.xml")
    types = {element.get("id"): element for element in root.iter("vType")}
    assert all(float(element.get("emergencyDecel")) <= 8 for element in types.values())
    convoy = [vehicle for vehicle in root.findall("vehicle") if vehicle.get("route") == "convoy"]
    assert {types[vehicle.get("type")].get("decel") for vehicle in convoy} == {"4.5"}, "equal, so that the start is calm"
    others = [types[element.get("id")] for element in root.iter("vType") if "speedDev" not in element.attrib]
    for attribute in ("length", "tau"):
        assert len({element.get(attribute) for element in others}) >= 2, "background traffic of several kinds"
    assert len({vehicle.get("type") for vehicle in convoy}) >= 3, "the ego's own type and two of the peers'"
    assert all(vehicle.get("depart") == "0" and vehicle.get("departPos") and vehicle.get("departSpeed") for vehicle in convoy)
    positions = [float(vehicle.get("departPos")) for vehicle in convoy]
    assert positions == sorted(positions, reverse=True), "front to rear"
    assert any(flow.get("vehsPerHour") for flow in root.iter("flow"))


def test_bases_are_found_by_name(base_dir: Path, tmp_path: Path):
    assert [base.name for base in find_bases(base_dir)] == list(BASES)
    assert [base.name for base in find_bases(base_dir / "rural_curve")] == ["rural_curve"]
    with pytest.raises(DatasetError, match="no such folder"):
        find_bases(tmp_path / "nowhere")
    with pytest.raises(DatasetError, match="neither it nor a subfolder"):
        find_bases(tmp_path)
    for name in ("a.sumocfg", "b.sumocfg"):
        (tmp_path / name).touch()
    with pytest.raises(DatasetError, match=r"holds 2 \.sumocfg files"):
        find_bases(tmp_path)


def test_scenarios_folder_is_located(monkeypatch, tmp_path: Path, repository: Path):
    assert default_scenario() == repository / "scenarios" / "base" / "highway_fast" / "scenario.sumocfg"
    assert default_scenario().is_file()
    monkeypatch.setenv("ROADSENSE_SCENARIOS", str(tmp_path))
    with pytest.raises(DatasetError, match="set ROADSENSE_SCENARIOS"):
        scenarios_root()
    (tmp_path / "base").mkdir()
    assert scenarios_root() == tmp_path


def _circumradius(a, b, c) -> float:
    sides = math.dist(a, b), math.dist(b, c), math.dist(c, a)
    area = abs((b[0] - a[0]) * (c[1] - a[1]) - (c[0] - a[0]) * (b[1] - a[1])) / 2
    return math.prod(sides) / (4 * area)
