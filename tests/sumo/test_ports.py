import os
import signal
import socket
import subprocess
import sys

import pytest

from roadsense.errors import SumoStartError
from roadsense.sumo.ports import PortLease

FIRST, LAST = 19000, 19015


def test_leases_are_exclusive_until_released():
    leases = [PortLease.acquire(FIRST, LAST) for _ in range(16)]
    assert sorted(lease.port for lease in leases) == list(range(FIRST, LAST + 1))
    with pytest.raises(SumoStartError, match=r"all 16 ports of the band 19000-19015.*close sessions"):
        PortLease.acquire(FIRST, LAST)
    leases[3].release()
    leases[3].release()
    again = PortLease.acquire(FIRST, LAST)
    assert again.port == leases[3].port
    for lease in [*leases, again]:
        lease.release()


def test_search_starts_at_random_places():
    ports = set()
    for _ in range(20):
        lease = PortLease.acquire(20000, 29999)
        ports.add(lease.port)
        lease.release()
    assert len(ports) > 15


@pytest.mark.parametrize("address", ["127.0.0.1", ""])
def test_ports_with_a_listener_are_skipped(address):
    with socket.socket() as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((address, FIRST))
        listener.listen()
        with pytest.raises(SumoStartError):
            PortLease.acquire(FIRST, FIRST)
    PortLease.acquire(FIRST, FIRST).release()


def test_lease_lives_as_long_as_the_last_process_that_holds_it():
    lease = PortLease.acquire(FIRST, FIRST)
    child = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE, pass_fds=(lease.fileno(),))
    lease.release()
    try:
        with pytest.raises(SumoStartError):
            PortLease.acquire(FIRST, FIRST)
    finally:
        os.kill(child.pid, signal.SIGKILL)
        child.wait()
        child.stdin.close()
    PortLease.acquire(FIRST, FIRST).release()
