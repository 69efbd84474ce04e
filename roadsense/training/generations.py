"""The counter behind "nothing is drawn twice": a new generation for every start, resume and restarted worker, kept on disk."""

from __future__ import annotations

from pathlib import Path

from roadsense.artifacts.files import write_json
from roadsense.config import read_json_object
from roadsense.errors import RunDirectoryError


class Generations:
    """Hands out generations 0, 1, 2, ... of one run; each is on disk before anybody uses it, so that no crash can repeat one."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def next(self) -> int:
        """A generation that was never handed out before in this run directory.

        Raises:
            RunDirectoryError: the counter cannot be read or written.
        """
        generation = 0
        if self._path.exists():
            last = read_json_object(self._path, RunDirectoryError).get("last")
            if not isinstance(last, int) or last < 0:
                raise RunDirectoryError(f"{self._path}: 'last' is {last!r}, expected a count; restore the file from a checkpoint")
            generation = last + 1
        write_json(self._path, {"last": generation})
        return generation
