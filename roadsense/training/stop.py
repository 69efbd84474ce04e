"""SIGTERM and SIGINT ask a training to finish its iteration, write a checkpoint and close; a second one ends it at once."""

from __future__ import annotations

import os
import signal
import threading
from types import FrameType, TracebackType
from typing import Any, Final, Self

_SIGNALS: Final = (signal.SIGINT, signal.SIGTERM)
_END: Final = b"\0"  # no signal has this number


class StopSignals:
    """Listens while the `with` block runs; enter it after `ray.init`, which installs handlers of its own.

    Python runs its handlers in the main thread, which may wait inside Ray for minutes and takes two signals in that time for one. So a
    thread of its own reads the numbers that the C handler writes (`signal.set_wakeup_fd`) as they come.

    In a thread other than the main one (Tune, notebooks) signals belong to somebody else, and nothing is installed.
    """

    def __init__(self) -> None:
        self.signal_number: int | None = None
        self._previous: dict[int, Any] = {}
        self._previous_fd = -1
        self._pipe = (-1, -1)
        self._thread: threading.Thread | None = None

    def requested(self) -> bool:
        """Whether a signal has come."""
        return self.signal_number is not None

    @property
    def exit_code(self) -> int:
        """What a shell expects of a program that a signal stopped: 128 plus its number; 0 without one."""
        return 0 if self.signal_number is None else 128 + self.signal_number

    def __enter__(self) -> Self:
        if threading.current_thread() is threading.main_thread():
            self._pipe = os.pipe()
            os.set_blocking(self._pipe[1], False)
            self._thread = threading.Thread(target=self._listen, args=(self._pipe[0],), name="stop signals", daemon=True)
            self._thread.start()
            self._previous_fd = signal.set_wakeup_fd(self._pipe[1], warn_on_full_buffer=False)
            self._previous = {number: signal.signal(number, _nothing) for number in _SIGNALS}
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if self._thread is None:
            return
        for number, handler in self._previous.items():
            signal.signal(number, handler)
        signal.set_wakeup_fd(self._previous_fd, warn_on_full_buffer=False)
        os.write(self._pipe[1], _END)
        self._thread.join()
        for end in self._pipe:
            os.close(end)
        self._thread = None

    def _listen(self, read_end: int) -> None:
        while (byte := os.read(read_end, 1)) != _END:
            if byte[0] not in _SIGNALS:
                continue  # another signal with a Python handler, somebody else's
            if self.signal_number is not None:
                # At once, whatever the main thread waits for; the guard ends what this process has started.
                os._exit(128 + byte[0])
            self.signal_number = byte[0]


def _nothing(_number: int, _frame: FrameType | None) -> None:
    """A signal needs a handler in Python to be written to the pipe; all is done there."""
