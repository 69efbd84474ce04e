"""The counter behind "nothing is drawn twice": a new generation for every start, resume and restarted worker, kept on disk."""

from __future__ import annotations

from pathlib import Path

from roadsense.artifacts.files import write_json
from roadsense.config import read_json_object
from roadsense.errors import RunDirectoryError


class Generations:
    """Hands out generations 0, 1, 2, ... of one run; each is on disk before anybody uses it, so that no crash can repeat one.

    Args:
        path: the file that holds the last one.
        used: the last one that a checkpoint knows of, should the file be lost.
    """

    def __init__(self, path: Path, used: int = -1) -> None:
        self._path = path
        self._used = used

    @property
    def last(self) -> int:
        """The last one that this object knows of; others may have been handed out by copies of it."""
        return self._used

    def next(self) -> int:
        """A generation that was never handed out before in this run directory.

        Raises:
            RunDirectoryError: the counter cannot be read or written.
        """
        generation = 1 + max(self._used, self._last())
        write_json(self._path, {"last": generation})
        self._used = generation
        return generation

    def _last(self) -> int:
        if not self._path.exists():
            return -1
        last = read_json_object(self._path, RunDirectoryError).get("last")
        if not isinstance(last, int) or last < 0:
            raise RunDirectoryError(
                f"{self._path}: 'last' is {last!r}, expected a count; remove the file, the checkpoint knows the last one"
            )
        return last
