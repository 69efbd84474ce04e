"""The road on which speeds are measured: the ego in the middle of a column of cars on a straight motorway, and nobody else.

Exactly n peers at every step of every episode, so that a figure for n peers means n peers; in a generated dataset traffic comes and goes.
"""

from __future__ import annotations

import subprocess
from pathlib import Path

from roadsense.config import DEFAULT_EGO_ID
from roadsense.errors import DatasetError
from roadsense.sumo.installation import find_program

_SPEED_MPS = 20.0
_SPACING_M = 30.0
_REAR_M = 100.0
_TRAVEL_M = 3000.0  # more than the warm-up and an episode take at the limit
_NODES = '<nodes><node id="a" x="0" y="0"/><node id="b" x="{length}" y="0"/></nodes>\n'
_EDGES = '<edges><edge id="road" from="a" to="b" numLanes="2" speed="25"/></edges>\n'
_TYPE = '<vType id="car" length="4.5" minGap="2.5" accel="2.6" decel="4.5" emergencyDecel="8" sigma="0.2" tau="1.0" speedDev="0"/>'
_CONFIG = '<configuration><input><net-file value="net.net.xml"/><route-files value="cars.rou.xml"/></input></configuration>\n'


def write_column(directory: Path, peers: int) -> Path:
    """Write network, cars and configuration for `peers` peers into a new directory; returns the `.sumocfg`.

    Raises:
        DatasetError: netconvert refuses the network. DependencyError: SUMO is missing.
    """
    directory.mkdir(parents=True)
    length_m = _REAR_M + _SPACING_M * peers + _TRAVEL_M
    (directory / "nodes.nod.xml").write_text(_NODES.format(length=length_m))
    (directory / "edges.edg.xml").write_text(_EDGES)
    files = ["--node-files", "nodes.nod.xml", "--edge-files", "edges.edg.xml", "--output-file", "net.net.xml"]
    result = subprocess.run([find_program("netconvert").path, *files], cwd=directory, capture_output=True, text=True, check=False)
    if result.returncode != 0:
        raise DatasetError(f"{directory}: netconvert refused the measuring road ({result.stderr.strip()[:200]}); report this as a bug")
    behind = peers // 2
    names = [f"V{number:03d}" for number in range(2, peers + 2)]
    column = [*names[:behind], DEFAULT_EGO_ID, *names[behind:]]  # rear to front
    cars = [
        f'<vehicle id="{name}" type="car" route="way" depart="0" departLane="0" departPos="{_REAR_M + _SPACING_M * place:g}" '
        f'departSpeed="{_SPEED_MPS:g}"/>'
        for place, name in enumerate(column)
    ]
    routes = "\n".join(["<routes>", _TYPE, '<route id="way" edges="road"/>', *reversed(cars), "</routes>", ""])
    (directory / "cars.rou.xml").write_text(routes)
    config = directory / "run.sumocfg"
    config.write_text(_CONFIG)
    return config
