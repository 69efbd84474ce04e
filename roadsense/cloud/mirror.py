"""A run directory that is copied to an object store while it grows, and fetched from there to go on with it.

A thread looks for what is new every few seconds, so training never waits for the network; an object store that is gone for a while only
makes the copy late. A checkpoint counts as one only with its marker file, which is copied last, so a copy that broke off half-way is never
resumed from.
"""

from __future__ import annotations

import logging
import threading
import time
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from roadsense.artifacts.files import write_json
from roadsense.artifacts.layout import RunLayout
from roadsense.cloud.dataset_cache import DATASET, EVAL_DATASET
from roadsense.cloud.object_store import ObjectStore
from roadsense.config import read_json_object
from roadsense.errors import CloudError, RunDirectoryError

_LOOK_EVERY_S: Final = 5.0
_MARKER: Final = "roadsense.json"  # of a checkpoint, see training/checkpoint.py
_UNFINISHED: Final = ".unfinished-"
# A fetched counter may be older than the run was: far more generations than a run hands out between two copies are left out.
_GENERATION_MARGIN: Final = 1000
_LOG: Final = logging.getLogger(__name__)


class RunMirror:
    """Copies a run directory to an object store while the `with` block runs, and completely at its end.

    Args:
        directory: the run directory; it need not exist yet.
        address: `s3://...` or a folder.
        look_every_s: pause between two looks, in seconds.

    Raises:
        CloudError: at the end of the block, when the rest cannot be copied; what is on this machine stays there.
    """

    def __init__(self, directory: Path, address: str, *, look_every_s: float = _LOOK_EVERY_S) -> None:
        self._directory = directory
        self._store = ObjectStore(address)
        # The thread gives up early and looks again; only the last copy is patient.
        self._quick_store = ObjectStore(address, patience_s=0.0)
        self._look_every_s = look_every_s
        self._copied: dict[str, tuple[int, int]] = {}  # key -> (modified ns, bytes) of what the store holds
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="run mirror", daemon=True)
        self.failures = 0  # looks that the store did not survive
        self.last_copy_s: float | None = None  # monotonic time of the last look that copied everything

    def __enter__(self) -> Self:
        # Asked once before the training starts: an address that is refused outright must not be found out hours later.
        self._store.list("checkpoints")
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._ended.set()
        self._thread.join()
        try:
            self.copy(self._store)
        except CloudError as problem:
            if error is None:
                raise
            # The reason why the block failed is the one to show.
            _LOG.error("the rest of %s was not copied: %s", self._directory, problem)

    def copy(self, store: ObjectStore | None = None) -> int:
        """Copy what is new, remove checkpoints that are no longer here; returns the number of files copied.

        Raises:
            CloudError: the store refused or did not answer; what was copied by then stays copied.
        """
        store = store or self._quick_store
        present = self._present()
        copied = 0
        for key in sorted(present, key=_copying_order):
            path = self._directory / key
            if self._copied.get(key) == present[key]:
                continue
            try:
                store.put(path, key)
            except FileNotFoundError:
                continue  # a checkpoint that was removed meanwhile
            self._copied[key] = present[key]
            copied += 1
        for key in sorted(set(self._copied) - set(present), key=_removing_order):
            store.delete(key)
            del self._copied[key]
        self.last_copy_s = time.monotonic()
        return copied

    def complete(self, store: ObjectStore) -> int:
        """Copy what the store does not have in the same size, whoever copied the rest; returns the number of files copied.

        Raises:
            CloudError: the store refused or did not answer.
        """
        there = {file.key: file.size_bytes for file in store.list()}
        present = self._present()
        # Appended files and counters can change without changing their size, so only what is written once is taken for the same.
        self._copied = {key: seen for key, seen in present.items() if key.startswith("checkpoints/") and there.get(key) == seen[1]}
        return self.copy(store)

    def _watch(self) -> None:
        while not self._ended.wait(self._look_every_s):
            try:
                self.copy()
            except (CloudError, OSError) as problem:
                self.failures += 1
                _LOG.warning("copying %s is late: %s", self._directory, problem)

    def _present(self) -> dict[str, tuple[int, int]]:
        found = {}
        for path in self._directory.rglob("*"):
            key = path.relative_to(self._directory).as_posix()
            if _UNFINISHED in key or any(part.startswith(".") for part in Path(key).parts):
                continue  # files that are being written; they get their names when they are complete
            try:
                status = path.stat()
            except FileNotFoundError:
                continue
            if path.is_file():
                found[key] = (status.st_mtime_ns, status.st_size)
        return found


def fetch_run(address: str, directory: Path) -> Path:
    """A run directory from an object store, ready to be resumed; files that are here already are not fetched again.

    Checkpoints without their marker are left out. The counter of generations is moved on, so that nothing is drawn twice even though the
    copy may be older than the run was.

    Raises:
        CloudError: the store refused or did not answer. RunDirectoryError: there is no run.
    """
    store = ObjectStore(address)
    files = store.list()
    keys = {file.key for file in files}
    if RunLayout(Path()).config.name not in keys:
        raise RunDirectoryError(f"{address}: holds no run (no config.json); check the address")
    for file in files:
        parts = Path(file.key).parts
        if parts[0] in (DATASET, EVAL_DATASET):
            continue  # fetched to the machine's cache of datasets, and only when they are needed
        if parts[0] == "checkpoints" and len(parts) > 1 and f"checkpoints/{parts[1]}/{_MARKER}" not in keys:
            continue
        target = directory / file.key
        if not (target.is_file() and target.stat().st_size == file.size_bytes and parts[0] == "checkpoints"):
            store.fetch(file.key, target)
    skip_generations(directory)
    return directory


def skip_generations(directory: Path) -> None:
    """Move a run's counter of generations past every one that the run can have handed out since it was copied.

    Raises:
        RunDirectoryError: the counter cannot be read or written.
    """
    generations = RunLayout(directory).generations
    if generations.exists():
        counter = read_json_object(generations, RunDirectoryError)
        if isinstance(counter.get("last"), int):
            write_json(generations, counter | {"last": counter["last"] + _GENERATION_MARGIN})


def _copying_order(key: str) -> tuple[int, str]:
    """Counters first, then episode tables, then checkpoints with their markers last, then the figures that speak of them."""
    if key == "generations.json":
        return (0, key)
    if key.startswith("training_episodes/"):
        return (1, key)
    if key.startswith("checkpoints/"):
        return (3 if key.endswith(f"/{_MARKER}") else 2, key)
    return (4, key)


def _removing_order(key: str) -> tuple[int, str]:
    """Markers first: what is left of a removed checkpoint must not look like one."""
    return (0 if key.endswith(f"/{_MARKER}") else 1, key)
