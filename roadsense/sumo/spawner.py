"""The one thread that starts processes.

The kernel sends the parent-death signal when the *thread* that created a process ends. Sessions are created on threads that come and
go, so every SUMO is created by one thread that lives as long as its process.
"""

from __future__ import annotations

import os
import subprocess
import threading
from collections.abc import Callable
from concurrent.futures import Future
from queue import SimpleQueue
from typing import TypeAlias

_Process: TypeAlias = "subprocess.Popen[bytes]"


class Spawner:
    """A daemon thread that starts processes on request, one at a time."""

    def __init__(self) -> None:
        self._jobs: SimpleQueue[tuple[Callable[[], _Process], Future[_Process]]] = SimpleQueue()
        threading.Thread(target=self._run, name="roadsense-spawner", daemon=True).start()

    def spawn(self, start: Callable[[], _Process], timeout_s: float) -> _Process:
        """Call `start` on the thread and hand its process back; raises whatever `start` raises, and TimeoutError."""
        started: Future[_Process] = Future()
        self._jobs.put((start, started))
        try:
            return started.result(timeout_s)
        except BaseException:
            # Interrupted while the process is on its way: nobody else would ever end it.
            started.add_done_callback(_kill_unclaimed)
            raise

    def _run(self) -> None:
        while True:
            start, started = self._jobs.get()
            try:
                started.set_result(start())
            except BaseException as failed:
                # The thread must survive; the caller gets the exception.
                started.set_exception(failed)
            # Nothing of the last job may stay alive while the thread waits for the next one.
            del start, started


_lock = threading.Lock()
_spawner: Spawner | None = None


def spawn(start: Callable[[], _Process], timeout_s: float) -> _Process:
    """Start a process on this process's spawner thread, which is created when it is first needed."""
    global _spawner  # noqa: PLW0603 (one thread per process is the point)
    with _lock:
        if _spawner is None:
            _spawner = Spawner()
        spawner = _spawner
    return spawner.spawn(start, timeout_s)


def _forget() -> None:
    """A forked child has neither the thread nor, perhaps, a free lock."""
    global _lock, _spawner  # noqa: PLW0603
    _lock = threading.Lock()
    _spawner = None


def _kill_unclaimed(started: Future[_Process]) -> None:
    if started.exception() is None:
        process = started.result()
        process.kill()
        process.wait()


os.register_at_fork(after_in_child=_forget)
