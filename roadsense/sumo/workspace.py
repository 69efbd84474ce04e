"""The private directory of one SUMO: its logs, named after the process that owns it, swept when that process left it behind."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import tempfile
from pathlib import Path
from typing import Final

_TAIL_LINES: Final = 15
_TAIL_BYTES: Final = 8192
_PREFIX: Final = "roadsense-sumo"
_NAME: Final = re.compile(rf"{_PREFIX}-(?P<namespace>\d+)-(?P<pid>\d+)-(?P<started>\d+)-")

_swept_by_pid: int | None = None


class Workspace:
    """The files of one SUMO process.

    Attributes:
        path: the directory; its name is unique on this machine, which makes `log_path` the identity of the SUMO that was given it.
    """

    def __init__(self) -> None:
        sweep_once()
        pid = os.getpid()
        prefix = f"{_PREFIX}-{_pid_namespace()}-{pid}-{_start_time(pid)}-"
        self.path = Path(tempfile.mkdtemp(prefix=prefix))  # created with mode 0700

    @property
    def log_path(self) -> Path:
        """SUMO's own `--log`; SUMO buffers it, so it may be short of the last lines after a crash."""
        return self.path / "log.txt"

    @property
    def error_log_path(self) -> Path:
        """SUMO's own `--error-log`."""
        return self.path / "errors.txt"

    @property
    def stdout_path(self) -> Path:
        """What SUMO printed."""
        return self.path / "stdout.txt"

    @property
    def stderr_path(self) -> Path:
        """What SUMO printed on its error channel, unbuffered: what a crash leaves."""
        return self.path / "stderr.txt"

    def truncate_output(self) -> None:
        """Empty what was printed before a new episode, so that the files stay small however long SUMO lives."""
        for path in (self.stdout_path, self.stderr_path):
            with contextlib.suppress(OSError):
                os.truncate(path, 0)

    def log_tail(self) -> str:
        """The last lines over all files, each line once."""
        lines: dict[str, None] = {}
        for path in (self.log_path, self.stdout_path, self.error_log_path, self.stderr_path):
            for line in _last_lines(path):
                lines.pop(line, None)
                lines[line] = None
        return "\n".join(list(lines)[-_TAIL_LINES:]) or "(SUMO wrote nothing)"

    def remove(self) -> None:
        """Remove the directory and everything in it; can be called again."""
        shutil.rmtree(self.path, ignore_errors=True)


def sweep_once() -> None:
    """Remove, once per process, the directories of this user's processes that are no more."""
    global _swept_by_pid  # noqa: PLW0603 (once per process is the point; a forked child sweeps again)
    if _swept_by_pid == os.getpid():
        return
    _swept_by_pid = os.getpid()
    for path in Path(tempfile.gettempdir()).glob(f"{_PREFIX}-*"):
        if _is_stale(path):
            shutil.rmtree(path, ignore_errors=True)


def _is_stale(path: Path) -> bool:
    match = _NAME.match(path.name)
    # Containers may share the temporary directory: process numbers mean something only in their own namespace.
    if match is None or int(match["namespace"]) != _pid_namespace():
        return False
    try:
        if path.lstat().st_uid != os.getuid():
            return False
        return _start_time(int(match["pid"])) != int(match["started"])
    except (FileNotFoundError, ProcessLookupError):
        return True
    except (OSError, LookupError, ValueError):
        return False


def _pid_namespace() -> int:
    return Path("/proc/self/ns/pid").stat().st_ino


def _start_time(pid: int) -> int:
    """When a process started, in clock ticks since boot (proc(5), field 22): tells it from a later one with the same number."""
    # The second field is the program's name in parentheses and may hold anything.
    return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19])


def _last_lines(path: Path) -> list[str]:
    try:
        with path.open("rb") as file:
            file.seek(max(0, path.stat().st_size - _TAIL_BYTES))
            text = file.read(_TAIL_BYTES).decode("utf-8", "replace")
    except OSError:
        return []
    return [line.rstrip() for line in text.splitlines() if line.strip()][-_TAIL_LINES:]
