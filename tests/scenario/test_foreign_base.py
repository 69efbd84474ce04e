"""Third parties' base scenarios: kept as they are but for what is drawn, and driven."""

import gzip
from pathlib import Path

import pytest

from roadsense.config import SumoSettings
from roadsense.errors import DatasetError
from roadsense.scenario.check import check
from roadsense.scenario.dataset import Dataset
from roadsense.scenario.generate import GenerateSettings, generate
from roadsense.scenario.outputs import silence_outputs
from roadsense.scenario.route_geometry import LanePaths
from roadsense.scenario.traffic import parse_time, sort_by_departure
from roadsense.scenario.xml_files import parse_xml, read_xml
from roadsense.sumo.session import SumoSession


@pytest.fixture
def dataset(grid_base: Path, tmp_path: Path) -> Dataset:
    return generate(GenerateSettings(base_dir=grid_base, output_dir=tmp_path / "ds", seed=4, train_count=3, eval_count=1))


def test_grid_is_generated_checked_and_driven(dataset: Dataset, grid_base: Path):
    for index, scenario in enumerate(dataset.train):
        factor = scenario.drawn["vehs_per_hour_factor"]
        density = "sparse" if factor < 0.9 else "medium" if factor <= 1.1 else "dense"
        assert scenario.scenario_id == f"train_00{index}_city_grid_{density}", "no word for a convoy that is not there"
    assert check(dataset.directory, sumo=SumoSettings()) == []
    scenario = dataset.train[0]
    assert scenario.peer_ids is None and dataset.manifest.train_scenarios[0].peer_count is None
    assert {path.name for path in scenario.directory.iterdir()} == {
        "scenario.sumocfg", "network.net.xml", "vehicles.rou.xml", "vehicles_2.rou.xml", "additional.add.xml",
    }  # fmt: skip
    assert "--ignore-route-errors" in scenario.options() and "--fcd-output" not in scenario.options()
    paths = LanePaths(scenario.network_file)
    with SumoSession(SumoSettings()) as session:
        state = session.reset(scenario.options(), seed=3)
        assert state.time_s == pytest.approx(0.1) and "V001" in state.vehicles.index
        route = session.route_edges("V001")
        for _ in range(200):
            state = session.step([])
            row = state.vehicles.index["V001"]
            assert paths.start_offsets(state.vehicles.lane_ids[row], route)[state.vehicles.lane_ids[row]] == 0.0
    assert {path.name for path in grid_base.iterdir()} == {"run.sumocfg", "grid.net.xml", "trips.rou.xml", "flows.rou.xml", "more.add.xml"}


def test_what_is_drawn_and_what_is_kept(dataset: Dataset, grid_base: Path):
    for scenario in dataset.train:
        trips, drawn = read_xml(scenario.directory / "vehicles.rou.xml"), scenario.drawn
        original = {trip.get("id"): trip for trip in read_xml(grid_base / "trips.rou.xml") if trip.get("depart")}
        departing = [element for element in trips if element.get("depart")]
        times = [float(element.get("depart")) for element in departing]
        assert times == sorted(times), "SUMO ignores those that come too late in the file"
        assert {element.get("id") for element in departing} == set(original)
        for element in departing:
            name, before = element.get("id"), original[element.get("id")]
            later = float(element.get("depart")) - float(before.get("depart"))
            assert later == pytest.approx(drawn["spawn_jitter_s"][name], abs=1e-6) if name != "V001" else later == 0
            assert 0.8 <= float(element.get("speedFactor")) == drawn["speed_factor"][name] <= 1.2
            assert (element.get("from"), element.get("to")) == (before.get("from"), before.get("to"))
            if before.get("departSpeed"):
                assert float(element.get("departSpeed")) == pytest.approx(10 * min(1, drawn["speed_factor"][name]), abs=0.01)
        flows = {flow.get("id"): flow for flow in read_xml(scenario.directory / "vehicles_2.rou.xml").iter("flow")}
        factor = drawn["vehs_per_hour_factor"]
        assert 0.7 <= factor <= 1.3
        assert float(flows["f1"].get("vehsPerHour")) == pytest.approx(300 * factor, abs=1e-3)
        assert float(flows["f2"].get("probability")) == pytest.approx(0.1 * factor, abs=1e-6)
        assert flows["f3"].get("period") == f"exp({0.05 * factor:.6f})"
        assert float(flows["f4"].get("period")) == pytest.approx(20 / factor, abs=1e-3)
        types = {element.get("id"): element for element in trips.iter("vType")}
        assert 0 <= float(types["car"].get("sigma")) <= 0.5 and types["idm"].get("sigma") is None
        assert 'file="NUL"' in (scenario.directory / "additional.add.xml").read_text()
        assert (scenario.directory / "network.net.xml").read_bytes() == (grid_base / "grid.net.xml").read_bytes()
    assert len({scenario.drawn["speed_factor"]["V001"] for scenario in (*dataset.train, *dataset.eval)}) == 4


def test_gzipped_inputs_are_unpacked(grid_base: Path, tmp_path: Path):
    network = grid_base / "grid.net.xml"
    (grid_base / "grid.net.xml.gz").write_bytes(gzip.compress(network.read_bytes()))
    content = network.read_bytes()
    network.unlink()
    cfg = grid_base / "run.sumocfg"
    cfg.write_text(cfg.read_text().replace("grid.net.xml", "grid.net.xml.gz"))
    dataset = generate(GenerateSettings(base_dir=grid_base.parent, output_dir=tmp_path / "ds", train_count=1, eval_count=0))
    assert dataset.train[0].network_file.name == "network.net.xml" and dataset.train[0].network_file.read_bytes() == content


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('id="V001"', 'id="V002"', "no <vehicle> or <trip> with the id 'V001'.*--ego-id"),
        ('depart="0.00"', 'depart="4"', "departs at 4; set its depart to 0"),
        ('depart="0.00"', 'depart="triggered"', "departs at triggered; set its depart to 0"),
        ('departSpeed="10"', 'departSpeed="10" speedFactor="quick"', "speedFactor is 'quick', expected a number"),
        ("</routes>", '<include href="x.xml"/></routes>', "includes 'x.xml'"),
        ("</routes>", "", "not well-formed"),
    ],
)
def test_unusable_routes_are_one_line(grid_base: Path, tmp_path: Path, old: str, new: str, message: str):
    routes = grid_base / "trips.rou.xml"
    routes.write_text(routes.read_text().replace(old, new))
    with pytest.raises(DatasetError, match=message) as caught:
        generate(GenerateSettings(base_dir=grid_base, output_dir=tmp_path / "ds"))
    assert "\n" not in str(caught.value) and not (tmp_path / "ds").exists()


def test_another_ego_and_another_begin(grid_base: Path, tmp_path: Path):
    routes, cfg = grid_base / "trips.rou.xml", grid_base / "run.sumocfg"
    routes.write_text(routes.read_text().replace('id="V001" type="car" depart="0.00"', 'id="me" type="car" depart="0:01:00"'))
    cfg.write_text(cfg.read_text().replace("<processing>", "<time><begin value='60'/></time><processing>"))
    dataset = generate(GenerateSettings(base_dir=grid_base, output_dir=tmp_path / "ds", train_count=2, eval_count=0, ego_id="me"))
    assert check(dataset.directory, sumo=SumoSettings()) == []


def test_state_files_cannot_be_copied(grid_base: Path, tmp_path: Path):
    cfg = grid_base / "run.sumocfg"
    cfg.write_text(cfg.read_text().replace("<processing>", "<input><load-state value='flows.rou.xml'/></input><processing>"))
    with pytest.raises(DatasetError, match="uses load-state"):
        generate(GenerateSettings(base_dir=grid_base, output_dir=tmp_path / "ds"))


def test_times_are_read_as_sumo_writes_them():
    times = {"12.5": 12.5, "0:01:00": 60.0, "1:00:00:01": 86401.0, "triggered": None, "nan": None, None: None, "": None}
    assert {text: parse_time(text) for text in times} == times


def test_sorting_keeps_definitions_first_and_followers_behind():
    root = parse_xml(
        b"<r><vehicle id='b' depart='5'/><person id='p' depart='triggered'/><vType id='t'/><flow id='a' begin='1'/><route id='x'/></r>", "r"
    )
    sort_by_departure(root)
    assert [element.get("id") for element in root] == ["t", "x", "a", "b", "p"]


def test_devices_that_write_are_dropped():
    root = parse_xml(
        b"<r><vType id='t'><param key='has.ssm.device' value='true'/><param key='mine' value='1'/></vType>"
        b"<edgeData id='e' file='out.xml'/><calibrator id='c' output='o.xml'/><poi id='p' imgFile='x.png'/></r>",
        "r",
    )
    silence_outputs(root, "r")
    assert [parameter.get("key") for parameter in root.iter("param")] == ["mine"]
    assert root.find("edgeData").get("file") == "NUL" and root.find("calibrator").get("output") == "NUL"
