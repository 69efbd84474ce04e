"""A console on standard error whose reader may go."""

from __future__ import annotations

import sys
from contextlib import suppress
from typing import TextIO, cast

from rich.console import Console


class _Lasting:
    """A stream whose failures are nobody's concern: what it shows is a courtesy, what it would end is hours of training."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self.encoding = stream.encoding

    def write(self, text: str) -> int:
        with suppress(OSError, ValueError):
            return self._stream.write(text)
        return 0

    def flush(self) -> None:
        with suppress(OSError, ValueError):
            self._stream.flush()

    def isatty(self) -> bool:
        with suppress(ValueError):
            return self._stream.isatty()
        return False

    def fileno(self) -> int:
        return self._stream.fileno()


def progress_console(*, quiet: bool = False) -> Console:
    """Standard error for progress; a broken pipe or a terminal that has gone does not end what is told about."""
    return Console(file=cast("TextIO", _Lasting(sys.stderr)), quiet=quiet, highlight=False)
