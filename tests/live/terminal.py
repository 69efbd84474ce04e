"""A program on a real pseudo-terminal, and a small terminal that shows what it wrote."""

import fcntl
import os
import pty
import re
import select
import struct
import subprocess
import termios
import time

_PIECE = re.compile(r"\x1b\[(\d*)([A-Za-z])|\r?\n|\r|[^\x1b\r\n]+")


def shown(written: str) -> list[str]:
    """The lines that stand on the terminal, scrollback included: newlines, carriage returns, cursor up, erasing below; colours are left out."""
    lines, row = [""], 0
    for piece in _PIECE.finditer(written):
        text, command = piece.group(), piece.group(2)
        if command == "A":
            row -= int(piece.group(1) or 1)
            assert row >= 0
        elif command == "J":
            lines[row:] = [""]
        elif command == "m" or text == "\r":
            continue
        elif command is not None:
            raise AssertionError(f"a sequence that not every terminal knows: {text!r}")
        elif text.endswith("\n"):
            row += 1
            if row == len(lines):
                lines.append("")
        else:
            lines[row] += text
    return lines


class OnTerminal:
    """A command whose standard output and error are one pseudo-terminal of its own."""

    def __init__(self, command, columns=80, rows=24, environment=None, cwd=None):
        self.master, slave = pty.openpty()
        self.resize(columns, rows)
        environment = {**os.environ, "TERM": "xterm-256color", **(environment or {})}
        self.process = subprocess.Popen(command, stdin=slave, stdout=slave, stderr=slave, env=environment, cwd=cwd, start_new_session=True)
        os.close(slave)
        self.written = b""

    def resize(self, columns, rows=24):
        fcntl.ioctl(self.master, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    def read_until(self, text, timeout_s=120.0):
        """Read until `text` was written (since the last call); fails when it never comes."""
        start, deadline = len(self.written), time.monotonic() + timeout_s
        while text.encode() not in self.written[start:]:
            assert time.monotonic() < deadline and self._read(), f"no {text!r} in:\n{self.text}"

    def finish(self, timeout_s=120.0):
        """Read to the end; returns the exit code."""
        deadline = time.monotonic() + timeout_s
        while self._read():
            assert time.monotonic() < deadline, self.text
        os.close(self.master)
        return self.process.wait(10)

    @property
    def text(self):
        return self.written.decode()

    def _read(self):
        if select.select([self.master], [], [], 0.2)[0]:
            try:
                data = os.read(self.master, 65536)
            except OSError:  # EIO: the last process with the terminal has ended
                return False
            self.written += data
            return bool(data)
        return True
