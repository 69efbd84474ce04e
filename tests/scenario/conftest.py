"""A large dataset of our own bases, and a third party's base: a grid made by netgenerate, random trips, and the ego among them."""

import random
import subprocess
from pathlib import Path

import pytest

from roadsense.scenario.dataset import Dataset
from roadsense.scenario.generate import GenerateSettings, generate
from roadsense.sumo.installation import find_program


@pytest.fixture(scope="session")
def base_dir(repository: Path) -> Path:
    return repository / "scenarios" / "base"


@pytest.fixture(scope="session")
def large(tmp_path_factory) -> Dataset:
    """Every (base, peer count) pair twice for training and once for evaluation."""
    return generate(GenerateSettings(output_dir=tmp_path_factory.mktemp("large") / "ds", seed=11, train_count=110, eval_count=55))


@pytest.fixture(scope="session")
def grid_network(tmp_path_factory) -> Path:
    network = tmp_path_factory.mktemp("grid") / "grid.net.xml"
    options = ["--grid", "--grid.number", "4", "--grid.length", "400", "--default.lanenumber", "2", "--no-turnarounds", "true"]
    subprocess.run([find_program("netgenerate").path, *options, "-o", network], check=True, capture_output=True)
    return network


@pytest.fixture
def grid_base(grid_network: Path, tmp_path: Path) -> Path:
    """Folder of a foreign base: two route files, detectors, outputs in the configuration, and V001 departing at once."""
    folder = tmp_path / "foreign bases" / "city grid"
    folder.mkdir(parents=True)
    (folder / "grid.net.xml").write_bytes(grid_network.read_bytes())
    rng = random.Random(3)
    edges = [f"{a}{b}" for a, b in [("A0", "A1"), ("B1", "B2"), ("C2", "C1"), ("D0", "C0"), ("B3", "A3"), ("D3", "D2")]]
    trips = []
    for index in range(40):
        start, end = rng.sample(edges, 2)
        trips.append(f'<trip id="t{index}" type="car" depart="{index * 1.5:.1f}" from="{start}" to="{end}" departSpeed="10"/>')
    (folder / "trips.rou.xml").write_text(
        '<routes><vType id="car" sigma="0.5"/><vType id="idm" carFollowModel="IDM"/>\n'
        '<vehicle id="V001" type="car" depart="0.00"><route edges="A0A1 A1B1 B1B2 B2C2 C2C1 C1D1"/></vehicle>\n'
        + "\n".join(trips)
        + "</routes>"
    )
    (folder / "flows.rou.xml").write_text(
        '<routes><flow id="f1" type="idm" begin="0" end="100" vehsPerHour="300" from="A2A1" to="D1D0"/>'
        '<flow id="f2" begin="1" end="90" probability="0.1" from="D2D1" to="A0B0"/>'
        '<flow id="f3" begin="2" end="90" period="exp(0.05)" from="C3C2" to="A1A0"/>'
        '<flow id="f4" begin="3" end="90" period="20" from="B3B2" to="D0C0"/></routes>'
    )
    (folder / "more.add.xml").write_text(
        '<additional><e1Detector id="d" lane="A0A1_0" pos="10" period="10" file="loops.xml"/></additional>'
    )
    (folder / "run.sumocfg").write_text(
        '<sumoConfiguration><input><net-file value="grid.net.xml"/><route-files value="trips.rou.xml, flows.rou.xml"/>'
        '<additional-files value="more.add.xml"/></input><output><fcd-output value="fcd.xml"/></output>'
        '<processing><ignore-route-errors value="true"/></processing><random_number><seed value="5"/></random_number></sumoConfiguration>'
    )
    return folder
