"""A thread that owns the terminal: lines that stay, and below them a block that is painted over.

Who tells a line or changes the block never touches the terminal: it may be stopped (Ctrl-S), closed or read by nobody, and the training
goes on. What cannot be written is dropped; training.log has every line.
"""

from __future__ import annotations

import io
import os
import threading
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Final, TextIO

from rich.console import Console
from rich.text import Text

Block = Callable[[int, int], Sequence[Text]]  # width, height -> lines of at most that size

_FRESH_S: Final = 1.0
_MOST_LINES_WAITING: Final = 10_000
_LAST_WORDS_S: Final = 3.0  # for what is left at the end; a terminal that is stopped does not hold up the end of a run
_CONTROLS: Final = {code: None for code in (*range(32), *range(127, 160)) if chr(code) not in "\t\n"}


class Screen:
    """Shows lines on `stream`, and `block` below them where one is given; use it as a context manager.

    Args:
        stream: standard error, as a rule.
        block: called from the screen's own thread for what to paint; it must be a terminal then.
    """

    def __init__(self, stream: TextIO, block: Block | None = None) -> None:
        self._stream = stream
        self._block = block
        self._waiting: deque[str] = deque(maxlen=_MOST_LINES_WAITING)
        self._wake = threading.Condition()
        self._ended = False
        self._painted: list[int] = []  # cells of each line of the block that stands on the terminal
        self._console = Console(file=stream, highlight=False) if block is not None else None
        self._thread = threading.Thread(target=self._run, name="screen", daemon=True)

    def __enter__(self) -> Screen:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        with self._wake:
            self._ended = True
            self._wake.notify()
        self._thread.join(_LAST_WORDS_S)

    def line(self, text: str) -> None:
        """Show a line that stays; returns at once."""
        with self._wake:
            self._waiting.append(text)
            self._wake.notify()

    def refresh(self) -> None:
        """Paint the block anew; returns at once."""
        with self._wake:
            self._wake.notify()

    def _run(self) -> None:
        while True:
            with self._wake:
                if not self._waiting and not self._ended:
                    self._wake.wait(_FRESH_S if self._block is not None else None)
                lines, ended = list(self._waiting), self._ended
                self._waiting.clear()
            try:
                self._show(lines)
            except BlockingIOError:
                pass  # somebody has made the terminal non-blocking, and it is full: the next picture may fit
            except (OSError, ValueError):
                return  # the reader has gone; whoever tells more tells nobody
            if ended:
                return

    def _show(self, lines: Sequence[str]) -> None:
        told = "".join(f"{line.translate(_CONTROLS)}\n" for line in lines)
        width, height = self._size()
        block = self._lines(width, height - 1)
        if not told and not block and not self._painted:
            return
        self._write(self._back(width) + told + "".join(f"{text}\n" for text, _ in block))
        self._painted = [cells for _, cells in block]

    def _lines(self, width: int, height: int) -> list[tuple[str, int]]:
        """The block as the terminal takes it, each line with its cells; a block that fails is given up, the lines go on."""
        if self._block is None or self._console is None:
            return []
        try:
            drawn = []
            for line in self._block(width, height):
                with self._console.capture() as captured:
                    self._console.print(line, end="", soft_wrap=True)
                drawn.append((captured.get(), line.cell_len))
        except Exception:
            self._block = None
            return []
        return drawn

    def _back(self, width: int) -> str:
        """To the first line of the block, erasing it; where the terminal has become too narrow for it, on to a new place.

        A terminal may or may not have broken the lines that do not fit any more, so nobody knows where the block begins: rather an old
        picture left above than a told line erased.
        """
        if not self._painted or max(self._painted) > width:
            return ""
        return f"\x1b[{len(self._painted)}A\r\x1b[J"

    def _size(self) -> tuple[int, int]:
        size = os.terminal_size((0, 0))
        with suppress(OSError, ValueError, io.UnsupportedOperation):
            size = os.get_terminal_size(self._stream.fileno())
        return size.columns or 80, size.lines or 24

    def _write(self, text: str) -> None:
        encoding = self._stream.encoding or "utf-8"
        self._stream.write(text.encode(encoding, "replace").decode(encoding))
        self._stream.flush()
