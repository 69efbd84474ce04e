"""Workers die at random moments of a session's life; their SUMO and the lease on its port go with them."""

import contextlib
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import psutil
import pytest

from roadsense.errors import SumoStartError
from roadsense.sumo.installation import find_program
from roadsense.sumo.ports import PortLease

WORKERS = 10
GONE_WITHIN_S = 10.0

WORKER = """
import signal, sys
from roadsense.config import SumoSettings
from roadsense.sumo import traci_backend  # the import is no part of a session's life
from roadsense.sumo.session import SumoSession

def fail(*_):
    raise RuntimeError("as ordered")

port, raise_after_s, options = int(sys.argv[1]), float(sys.argv[2]), sys.argv[3:]
signal.signal(signal.SIGALRM, fail)
session = SumoSession(SumoSettings(first_port=port, last_port=port, recycle_every=4))
print("ready", flush=True)
if raise_after_s > 0:
    signal.setitimer(signal.ITIMER_REAL, raise_after_s)
seed = 0
while True:
    session.reset(options, seed=seed)
    for _ in range(20):
        session.step()
    seed += 1
"""


@pytest.fixture(scope="module")
def options(tmp_path_factory):
    directory = tmp_path_factory.mktemp("orphans")
    nodes, edges, routes = directory / "n.xml", directory / "e.xml", directory / "r.xml"
    nodes.write_text('<nodes><node id="a" x="0" y="0"/><node id="b" x="2000" y="0"/></nodes>')
    edges.write_text('<edges><edge id="road" from="a" to="b" numLanes="1" speed="30"/></edges>')
    routes.write_text('<routes><route id="r" edges="road"/><vehicle id="V001" route="r" depart="0"/></routes>')
    network = directory / "net.xml"
    subprocess.run([find_program("netconvert").path, "-n", nodes, "-e", edges, "-o", network], check=True, capture_output=True)
    return ["-n", str(network), "-r", str(routes)]


@pytest.fixture
def ports():
    leases = [PortLease.acquire(18000, 18999) for _ in range(WORKERS)]
    for lease in leases:
        lease.release()
    return [lease.port for lease in leases]


@pytest.fixture(scope="module")
def connected_after_s(options):
    """How long a worker's session takes, on this machine as busy as it is, from its first reset until SUMO is connected."""
    lease = PortLease.acquire(18000, 18999)
    lease.release()
    with worker_on(lease.port, options) as worker:
        began_s = time.monotonic()
        while not any(established(process) for process in psutil.Process(worker.pid).children()):
            assert time.monotonic() - began_s < 30.0
            time.sleep(0.002)
        return time.monotonic() - began_s


@contextlib.contextmanager
def worker_on(port, options, *, raise_after_s=0.0):
    worker = subprocess.Popen(
        [sys.executable, "-c", WORKER, str(port), str(raise_after_s), *options], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    try:
        assert worker.stdout.readline() == "ready\n"
        yield worker
    finally:
        worker.kill()
        worker.communicate()


@pytest.mark.parametrize("death", ["SIGKILL", "SIGTERM", "exception"])
def test_no_sumo_outlives_its_worker(options, ports, connected_after_s, death):
    rng = np.random.default_rng([ord(letter) for letter in death])
    # Half of the moments lie before the connection is up, half among the episodes and restarts after it.
    moments = [*rng.uniform(0.0, 1.0, WORKERS // 2), *rng.uniform(1.0, 4.0, WORKERS // 2)]
    for port, delay_s in zip(ports, np.multiply(moments, connected_after_s), strict=True):
        die(death, port, options, max(0.001, float(delay_s)))
    deadline_s = time.monotonic() + GONE_WITHIN_S
    while survivors(options) or not all(is_free(port) for port in ports):
        assert time.monotonic() < deadline_s, f"left: {survivors(options)}, ports {[port for port in ports if not is_free(port)]}"
        time.sleep(0.05)


def die(death, port, options, delay_s):
    with worker_on(port, options, raise_after_s=delay_s if death == "exception" else 0.0) as worker:
        if death != "exception":
            time.sleep(delay_s)
            worker.send_signal(signal.Signals[death])
        _, complaints = worker.communicate(timeout=30)
        assert worker.returncode == (1 if death == "exception" else -signal.Signals[death])
        assert ("RuntimeError: as ordered" in complaints) == (death == "exception")


def established(process):
    try:
        return any(connection.status == psutil.CONN_ESTABLISHED for connection in process.net_connections())
    except psutil.Error:
        return False


def survivors(options):
    """Living processes, launchers included, that were told to drive the scenario of this test."""
    found = []
    for process in psutil.process_iter(["cmdline", "status"]):
        command = process.info["cmdline"] or []
        if options[1] in command and process.info["status"] != psutil.STATUS_ZOMBIE:
            found.append((process.pid, Path(command[0]).name))
    return found


def is_free(port):
    try:
        PortLease.acquire(port, port).release()
    except SumoStartError:
        return False
    return True
