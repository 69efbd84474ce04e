"""Connecting to the SUMO that was started, and to no other. The only place that touches the inside of a `traci` connection."""

from __future__ import annotations

import os
import socket
import struct
import time
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from traci.exceptions import FatalTraCIError, TraCIException
from traci.main import connect as traci_connect

from roadsense.errors import SumoStartError
from roadsense.sumo.faults import BROKEN_ANSWER
from roadsense.sumo.installation import check_answered_version
from roadsense.sumo.process import SumoProcess

_LENGTH: Final = struct.Struct("!i")
_FIRST_CAPACITY_BYTES: Final = 1 << 16
_FIRST_PAUSE_S: Final = 0.005
_LONGEST_PAUSE_S: Final = 0.05
_EXIT_WAIT_S: Final = 1.0
_CLOSE_WAIT_S: Final = 1.0
_PORT_TAKEN: Final = "Unable to create listening socket"


class PortContestedError(SumoStartError):
    """Somebody else uses the leased port; another port will do."""


def connect(process: SumoProcess, *, start_timeout_s: float, timeout_s: float | None) -> Any:
    """A `traci` connection to `process`, proven by an option value that only this process was given.

    Args:
        process: the SUMO that was started; watched while it opens its port.
        start_timeout_s: time for the port to open, and again for the first answers.
        timeout_s: the watchdog: an answer that takes longer ends the connection. None waits for ever.

    Raises:
        PortContestedError: another program serves the port, or SUMO could not bind it.
        SumoStartError: SUMO ended, or did not open its port in time.
        DependencyError: SUMO has another version.
    """
    connection = _dial(process, start_timeout_s)
    try:
        set_timeout(connection, start_timeout_s)
        _check_identity(connection, process)
        set_timeout(connection, timeout_s)
    except BaseException:
        hang_up(connection)
        raise
    return connection


def set_timeout(connection: Any, timeout_s: float | None) -> None:
    """Set how long an answer may take."""
    channel: socket.socket | None = connection._socket
    if channel is not None:
        channel.settimeout(timeout_s)


class Channel:
    """Whole messages over a `traci` connection, for whoever takes the answer to one before anything else is asked.

    Answers lie in one array that is used again and again: a fresh one for each would be memory that no cache knows.

    Attributes:
        content: the last answer without its length, and behind it what is left of longer ones.
    """

    def __init__(self, connection: Any) -> None:
        self._connection = connection
        self._make_room(_FIRST_CAPACITY_BYTES)

    def send(self, message: bytes) -> None:
        """Send a complete TraCI message.

        Raises:
            OSError: the connection is lost, or SUMO took nothing for longer than the watchdog lets it.
        """
        channel: socket.socket | None = self._connection._socket
        if channel is None:
            raise ConnectionError("the connection is closed")
        # With a timeout, the socket's own calls ask the system first whether there is room; nearly always there is.
        try:
            sent = os.write(channel.fileno(), message)
        except BlockingIOError:
            sent = 0
        if sent < len(message):
            channel.sendall(message[sent:])

    def receive(self) -> int:
        """Wait for a message and lay it in `content`; the number of bytes there.

        Raises:
            OSError: the connection is lost, or the answer took longer than the watchdog lets it.
            ValueError: the length is none.
        """
        channel: socket.socket | None = self._connection._socket
        if channel is None:
            raise ConnectionError("the connection is closed")
        # Nearly always the whole answer is there at once.
        received = channel.recv_into(self._received)
        while received < _LENGTH.size:
            received += self._more(channel, received)
        (length,) = _LENGTH.unpack_from(self._received)
        if received != length:
            self._complete(channel, received, length)
        size: int = length - _LENGTH.size
        return size

    def answer(self) -> bytes:
        """Wait for a message; its content. Raises as `receive`."""
        size = self.receive()
        return self.content[:size].tobytes()

    def _complete(self, channel: socket.socket, received: int, length: int) -> None:
        if length < _LENGTH.size:
            raise ValueError(f"a message of {length} bytes")
        if length > len(self._received):
            begun = self._received[:received]
            self._make_room(length + 1)  # one more, so that a byte too many is seen
            self._received[:received] = begun
        while received < length:
            received += self._more(channel, received)
        if received > length:
            raise ValueError(f"{received - length} bytes more than the message has")

    def _more(self, channel: socket.socket, received: int) -> int:
        more = channel.recv_into(memoryview(self._received)[received:])
        if not more:
            raise ConnectionError("SUMO closed the connection")
        return more

    def _make_room(self, capacity_bytes: int) -> None:
        self._received = bytearray(capacity_bytes)
        self.content: NDArray[np.uint8] = np.frombuffer(self._received, np.uint8, offset=_LENGTH.size)


def hang_up(connection: Any) -> None:
    """Close the socket without a word; a SUMO that loses its client ends."""
    channel: socket.socket | None = connection._socket
    connection._socket = None
    if channel is not None:
        channel.close()


def say_goodbye(connection: Any) -> bool:
    """Ask SUMO to end and close the socket, within about a second; False when that was not possible."""
    try:
        # Another thread may be waiting for an answer and hold the lock for as long as the watchdog lets it.
        if not connection._lock.acquire(timeout=_CLOSE_WAIT_S):
            return False
        connection._lock.release()
        set_timeout(connection, _CLOSE_WAIT_S)
        connection.close(wait=False)
    except BROKEN_ANSWER:
        return False
    finally:
        hang_up(connection)
    return True


def _dial(process: SumoProcess, start_timeout_s: float) -> Any:
    deadline_s = time.monotonic() + start_timeout_s
    pause_s = _FIRST_PAUSE_S
    while True:
        try:
            # One try without a label: more tries print on the terminal, and a label would register the connection for good.
            return traci_connect(process.port, numRetries=0, host="127.0.0.1", label=None)
        except (FatalTraCIError, TraCIException, OSError):
            if process.exit_code() is not None:
                raise _ended(process) from None
        if time.monotonic() > deadline_s:
            raise SumoStartError(
                f"SUMO did not open port {process.port} within {start_timeout_s:g} s; raise start_timeout_s if the scenario is large",
                process.log_tail(),
            )
        time.sleep(pause_s)
        pause_s = min(2.0 * pause_s, _LONGEST_PAUSE_S)


def _check_identity(connection: Any, process: SumoProcess) -> None:
    try:
        _, version = connection.getVersion()
        identity = connection.simulation.getOption("log")
    except BROKEN_ANSWER as failed:
        # Somebody else's SUMO, or no SUMO at all, may answer anything.
        if process.exit_code(_EXIT_WAIT_S) is not None:
            raise _ended(process) from failed
        raise PortContestedError(f"port {process.port} does not answer like SUMO ({failed}); another program uses it") from failed
    if identity != process.identity:
        raise PortContestedError(f"port {process.port} is served by another SUMO (its log is {identity!r}); another port is needed")
    check_answered_version(version)


def _ended(process: SumoProcess) -> SumoStartError:
    tail = process.log_tail()
    if _PORT_TAKEN in tail:
        return PortContestedError(f"SUMO could not bind port {process.port}; another program uses it", tail)
    message = f"SUMO ended while starting ({process.exit_description()}); correct what its own words below complain about"
    return SumoStartError(message, tail)
