"""Exclusive leases on TraCI ports.

Two workers that pick the same free port can end up driving each other's simulation without any error: SUMO stops listening once its one
client is connected, so the second SUMO binds the same port. A lease rules that out; docs/decisions/0002-port-leases.md says why it is
an abstract Unix socket.
"""

from __future__ import annotations

import errno
import os
import socket

from roadsense.errors import SumoStartError


class PortLease:
    """One port that no other lease in this network namespace holds, until the last process that holds its descriptor is gone.

    Attributes:
        port: the leased TCP port.
    """

    def __init__(self, port: int, lock: socket.socket) -> None:
        self.port = port
        self._lock = lock

    @classmethod
    def acquire(cls, first_port: int, last_port: int) -> PortLease:
        """Lease a free port of the band, searched from a random place so that simultaneous starts do not queue behind each other.

        Raises:
            SumoStartError: every port of the band is leased or in use, or the kernel refuses leases.
        """
        count = last_port - first_port + 1
        # Drawn from the system: a worker's own seeded generators are the same in every worker.
        start = int.from_bytes(os.urandom(8), "big") % count
        for offset in range(count):
            port = first_port + (start + offset) % count
            lock = _try_lock(port)
            if lock is None:
                continue
            if _is_unused(port):
                return cls(port, lock)
            lock.close()
        raise SumoStartError(
            f"all {count} ports of the band {first_port}-{last_port} are leased or in use; "
            "close sessions that are no longer needed, or widen first_port..last_port"
        )

    def fileno(self) -> int:
        """The descriptor that SUMO inherits, so that the lease lives as long as either process."""
        return self._lock.fileno()

    def release(self) -> None:
        """Give up this process's hold; the port is free once SUMO is gone too. Can be called again."""
        self._lock.close()


def _try_lock(port: int) -> socket.socket | None:
    lock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        lock.bind(b"\0roadsense-port-%d" % port)
    except OSError as refused:
        lock.close()
        if refused.errno == errno.EADDRINUSE:
            return None
        raise SumoStartError(f"cannot lease port {port} ({refused}); RoadSense needs abstract Unix sockets (Linux or WSL2)") from None
    except BaseException:
        lock.close()
        raise
    return lock


def _is_unused(port: int) -> bool:
    with socket.socket() as probe:
        # As SUMO binds: connections that linger in TIME_WAIT are no obstacle, a listener is.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("", port))
        except OSError:
            return False
    return True
