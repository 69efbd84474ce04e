"""Networks and traffic that nobody made for this task: netgenerate's, with the trips of SUMO's own randomTrips.py and an ego added."""

import os
import random
import subprocess
import sys
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import sumolib.net

from roadsense.env.convoy_env import ConvoyEnv
from roadsense.sumo.installation import find_program

NETWORKS = {
    "grid": ["--grid", "--grid.number", "5", "--grid.length", "250", "--default.lanenumber", "2"],
    "spider": ["--spider", "--spider.arm-number", "6", "--spider.circle-number", "4", "--spider.space-radius", "200"],
    "random": ["--rand", "--rand.iterations", "40", "--rand.max-distance", "300", "--rand.min-distance", "120"],
}
EPISODES = 20
SHORT = {"warm_up_s": 10.0, "horizon_s": 10.0}  # long enough for the ego to pass a junction


def tool(name: str) -> Path:
    """A script of SUMO's tools, from where its programs are or from SUMO_HOME."""
    homes = [home for home in (find_program("sumo").home, os.environ.get("SUMO_HOME")) if home is not None]
    found = [path for home in homes if (path := Path(home, "tools", name)).is_file()]
    assert found, f"SUMO's tools/{name} is in none of {homes}"
    return found[0]


def longest_trip(network: Path) -> tuple[str, str]:
    """Start and end of a long way through the network."""
    net = sumolib.net.readNet(str(network))
    edges = sorted(net.getEdges(withInternal=False), key=lambda edge: edge.getID())
    rng = random.Random(1)
    ways = [net.getShortestPath(*rng.sample(edges, 2)) for _ in range(100)]
    way, _ = max(ways, key=lambda answer: answer[1] if answer[0] else -1)
    return way[0].getID(), way[-1].getID()


@pytest.fixture(scope="module", params=sorted(NETWORKS))
def configuration(request, tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp(request.param)
    network, trips = folder / "net.net.xml", folder / "trips.trips.xml"
    program = find_program("netgenerate")
    subprocess.run([program.path, *NETWORKS[request.param], "--seed", "5", "-o", network], check=True, capture_output=True)
    options = ["-n", network, "-o", trips, "--begin", "0", "--end", "80", "--period", "0.8", "--seed", "6", "--fringe-factor", "3"]
    environment = os.environ | ({"SUMO_HOME": str(program.home)} if program.home is not None else {})
    subprocess.run([sys.executable, tool("randomTrips.py"), *options], check=True, capture_output=True, env=environment, cwd=folder)
    start, end = longest_trip(network)
    ego = folder / "ego.rou.xml"
    ego.write_text(f'<routes><trip id="V001" depart="0" from="{start}" to="{end}" departLane="best" departSpeed="max"/></routes>')
    config = folder / "run.sumocfg"
    config.write_text(
        f'<configuration><input><net-file value="{network.name}"/><route-files value="{ego.name},{trips.name}"/></input></configuration>'
    )
    return config


def test_twenty_episodes_without_a_fault(configuration: Path):
    rng = np.random.default_rng(4)
    outcomes: Counter[str] = Counter()
    heard = 0
    env = ConvoyEnv(sumo_cfg=configuration, scenario_mode="eval", task=SHORT)
    try:
        for _ in range(EPISODES):
            observation, _ = env.reset()
            is_over = False
            while not is_over:
                action = np.array([rng.uniform(0.2, 1.0) if rng.random() < 0.05 else 0.0], dtype=np.float32)
                observation, reward, terminated, truncated, info = env.step(action)
                heard += len(observation["peers"].values)
                assert np.isfinite(reward) and np.isfinite(observation["ego"]).all()
                is_over = terminated or truncated
            outcomes[info["outcome"]] += 1
    finally:
        env.close()
    assert outcomes.total() == EPISODES and "fault" not in outcomes, outcomes
    assert heard > 0, "the traffic is really there"
