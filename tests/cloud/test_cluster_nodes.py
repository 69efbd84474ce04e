"""Real Ray nodes: room that does not come, a node that drains, and one with another version of SUMO."""

import os
import subprocess
import sys

SCRIPT = """
import subprocess, sys, time
from pathlib import Path
import ray
from ray.cluster_utils import Cluster
from roadsense.errors import DependencyError
from roadsense.training.capacity import full_capacity, require_same_versions, wait_for_workers
from roadsense.training.draining import DrainingNodes

class Busy:
    def ping(self):
        return True

cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 0, "resources": {"env_runners": 2}, "include_dashboard": False})
ray.init(address=cluster.address, logging_level="ERROR", log_to_driver=False)
print("FULL", full_capacity())
try:
    wait_for_workers(2, print, patience_s=3)
except DependencyError as problem:
    print("REFUSED", problem)
node = cluster.add_node(num_cpus=1)
print("ROOM", wait_for_workers(2, print, patience_s=3))
require_same_versions()
draining = DrainingNodes()
print("DRAINING", draining.any())
# As an env runner would be: a node that has nothing to do is gone as soon as it is drained, before anybody sees it draining.
busy = ray.remote(num_cpus=1)(Busy).remote()
ray.get(busy.ping.remote())
command = [str(Path(sys.executable).with_name("ray")), "drain-node", "--address", cluster.address, "--node-id", node.node_id]
command += ["--reason", "DRAIN_NODE_REASON_PREEMPTION", "--reason-message", "spot", "--deadline-remaining-seconds", "120"]
subprocess.run(command, check=True, capture_output=True)
end = time.monotonic() + 30
while not draining.any() and time.monotonic() < end:
    time.sleep(0.3)
print("DRAINING", draining.any())
ray.kill(busy)
cluster.add_node(num_cpus=1, env_vars={"PYTHONPATH": sys.argv[1]})
try:
    require_same_versions()
    print("SAME")
except DependencyError as problem:
    print("REFUSED", problem)
ray.shutdown()
cluster.shutdown()
"""


def test_room_drain_and_versions(tmp_path):
    other = tmp_path / "site" / "eclipse_sumo-0.0.1.dist-info"  # not in the working directory, from which drivers import as well
    other.mkdir(parents=True)
    (other / "METADATA").write_text("Metadata-Version: 2.1\nName: eclipse-sumo\nVersion: 0.0.1\n")
    env = os.environ | {"RAY_USAGE_STATS_ENABLED": "0", "RAY_BACKEND_LOG_LEVEL": "fatal", "RAY_raylet_start_wait_time_s": "120"}
    env.pop("RAY_ADDRESS", None)
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, str(other.parent)], env=env, cwd=tmp_path, capture_output=True, text=True, timeout=250
    )
    lines = [line for line in done.stdout.splitlines() if line.split(" ")[0] in ("FULL", "REFUSED", "ROOM", "DRAINING", "SAME", "going")]
    assert len(lines) == 7, done.stdout + done.stderr[-2000:]
    assert lines[0] == "FULL 2", "a head without CPUs says how many env runners the full cluster holds"
    assert lines[1].startswith("REFUSED no worker joined the cluster")
    assert lines[2:4] == ["going on with room for 1 of 2 env runners", "ROOM 1"]
    assert lines[4:6] == ["DRAINING False", "DRAINING True"]
    assert "has eclipse-sumo 0.0.1, the driver has 1.28.0; use one image" in lines[6]
