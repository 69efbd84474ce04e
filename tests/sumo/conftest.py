"""A straight road of 2 km with six cars, V001 last, and sessions on it that are closed whatever the test does."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from roadsense.config import SumoSettings
from roadsense.sumo.installation import find_program
from roadsense.sumo.session import SumoSession

NODES = '<nodes><node id="a" x="0" y="0"/><node id="b" x="1000" y="0"/><node id="c" x="2000" y="0"/></nodes>'
EDGES = (
    '<edges><edge id="first" from="a" to="b" numLanes="2" speed="30"/><edge id="second" from="b" to="c" numLanes="2" speed="30"/></edges>'
)


LANE_AND_SPEED = 'departLane="0" departSpeed="20"'


@dataclass(frozen=True)
class Road:
    directory: Path
    network: Path

    def options(self, name: str = "convoy", *, departures: Mapping[str, float] | None = None, gap_m: float = 30.0) -> list[str]:
        """Write a route file: cars in driving order, the last one foremost, with their departure times."""
        departures = departures if departures is not None else {f"V{number:03d}": 0.0 for number in range(1, 7)}
        rows = [
            f'<vehicle id="{car}" type="car" route="r" depart="{depart_s}" departPos="{100 + gap_m * place}" {LANE_AND_SPEED}/>'
            for place, (car, depart_s) in sorted(enumerate(departures.items()), key=lambda item: item[1][1])
        ]
        head = '<routes><vType id="car" decel="4.5" emergencyDecel="9" sigma="0.5"/><route id="r" edges="first second"/>'
        path = self.directory / f"{name}.rou.xml"
        path.write_text(head + "".join(rows) + "</routes>")
        return ["-n", str(self.network), "-r", str(path)]


@pytest.fixture(scope="session")
def road(tmp_path_factory: pytest.TempPathFactory) -> Road:
    directory = tmp_path_factory.mktemp("road")
    nodes, edges, network = directory / "road.nod.xml", directory / "road.edg.xml", directory / "road.net.xml"
    nodes.write_text(NODES)
    edges.write_text(EDGES)
    program = find_program("netconvert")
    subprocess.run(
        [program.path, "-n", nodes, "-e", edges, "-o", network], check=True, capture_output=True, env={"SUMO_HOME": str(program.home)}
    )
    return Road(directory=directory, network=network)


@pytest.fixture
def make_session() -> Iterator[Callable[..., SumoSession]]:
    """`make_session(ego_id="V001", timeout_s=1.0, ...)`."""
    sessions: list[SumoSession] = []

    def build(ego_id: str = "V001", **settings: Any) -> SumoSession:
        session = SumoSession(SumoSettings(**settings), ego_id=ego_id)
        sessions.append(session)
        return session

    yield build
    for session in sessions:
        session.close()


@pytest.fixture
def session(make_session: Callable[..., SumoSession]) -> SumoSession:
    return make_session()
