"""SIGTERM and SIGINT ask a training to finish its iteration, write a checkpoint and close; a second one ends it at once."""

from __future__ import annotations

import signal
import threading
from types import FrameType, TracebackType
from typing import Any, Self

_SIGNALS = (signal.SIGINT, signal.SIGTERM)


class StopSignals:
    """Listens while the `with` block runs; enter it after `ray.init`, which installs handlers of its own.

    In a thread other than the main one (Tune, notebooks) signals belong to somebody else, and nothing is installed.
    """

    def __init__(self) -> None:
        self.signal_number: int | None = None
        self._previous: dict[int, Any] = {}

    def requested(self) -> bool:
        """Whether a signal has come."""
        return self.signal_number is not None

    @property
    def exit_code(self) -> int:
        """What a shell expects of a program that a signal stopped: 128 plus its number; 0 without one."""
        return 0 if self.signal_number is None else 128 + self.signal_number

    def __enter__(self) -> Self:
        if threading.current_thread() is threading.main_thread():
            self._previous = {number: signal.signal(number, self._note) for number in _SIGNALS}
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        for number, handler in self._previous.items():
            signal.signal(number, handler)

    def _note(self, number: int, _frame: FrameType | None) -> None:
        self.signal_number = number
        for each in _SIGNALS:
            signal.signal(each, signal.SIG_DFL)
