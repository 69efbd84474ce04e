"""Ends what a killed driver would leave behind.

Ray's agents notice that their raylet has died, and then try for a minute to report it to a control store that has died as well. So a small
process waits for the driver's end of a pipe to close without a word, and ends everything that carries the driver's mark in its environment.

Run as a script it imports nothing but the standard library: it starts in a few milliseconds and holds a few megabytes.
"""

from __future__ import annotations

import os
import secrets
import select
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

_MARK = "ROADSENSE_DRIVER"
_GOODBYE = b"bye"
# Long enough for processes to end by themselves and in good order, short against the ten seconds that are promised.
_GRACE_S = 3.0
_ROUNDS = 3
_LOOK_EVERY_S = 0.4


@contextmanager
def guarded() -> Iterator[None]:
    """While the block runs, nothing that this process starts outlives a SIGKILL of it by more than a few seconds."""
    mark = secrets.token_hex(16)
    before = os.environ.get(_MARK)
    guard = subprocess.Popen([sys.executable, "-I", "-S", __file__, mark], stdin=subprocess.PIPE, start_new_session=True)
    os.environ[_MARK] = mark
    try:
        yield
    finally:
        if before is None:
            del os.environ[_MARK]
        else:
            os.environ[_MARK] = before
        with suppress(OSError):
            guard.communicate(_GOODBYE)


def _watch(mark: str) -> None:
    """Wait until the driver says goodbye or is gone; look meanwhile who carries its mark.

    Looking only at the end would not do: a process that renames itself, as Ray's do, writes over its environment.
    """
    known = _Marked(mark)
    while not select.select([sys.stdin], [], [], _LOOK_EVERY_S)[0]:
        known.look()
    if sys.stdin.buffer.read() == _GOODBYE:
        return
    known.look(everywhere=True)
    time.sleep(_GRACE_S)
    for _ in range(_ROUNDS):  # a process may have been starting another one just now
        known.look(everywhere=True)
        known.kill()
        time.sleep(_LOOK_EVERY_S)


class _Marked:
    """The processes that were seen with the mark, by number and start time: a number alone may be somebody else's by now."""

    def __init__(self, mark: str) -> None:
        self._wanted = f"{_MARK}={mark}".encode()
        self._looked_at: set[str] = set()
        self._started: dict[str, bytes] = {}

    def look(self, *, everywhere: bool = False) -> None:
        """Look at processes that are new since the last time, or at all: one may have been seen before it got its own environment."""
        present = {name for name in os.listdir("/proc") if name.isdigit()}  # noqa: PTH208 - twice a second for hours: no objects
        for pid in present if everywhere else present - self._looked_at:
            with suppress(OSError):
                if self._wanted in Path("/proc", pid, "environ").read_bytes().split(b"\0"):
                    self._started[pid] = _start_time(pid)
        self._looked_at = present

    def kill(self) -> None:
        """End those that still run."""
        for pid, started in self._started.items():
            with suppress(OSError):
                if _start_time(pid) == started:
                    os.kill(int(pid), signal.SIGKILL)


def _start_time(pid: str) -> bytes:
    """In clock ticks since boot; the program's name before it is in brackets and may hold anything."""
    return Path("/proc", pid, "stat").read_bytes().rpartition(b")")[2].split()[19]


if __name__ == "__main__":
    _watch(sys.argv[1])
