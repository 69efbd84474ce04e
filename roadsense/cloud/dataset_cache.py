"""Datasets from an object store: fetched once per machine, verified file by file before anybody sees them."""

from __future__ import annotations

import fcntl
import os
import shutil
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path
from typing import Final

from roadsense.artifacts.files import sha256_of
from roadsense.cloud.object_store import ObjectStore
from roadsense.errors import CloudError, DatasetError
from roadsense.scenario.dataset import Dataset
from roadsense.scenario.manifest import MANIFEST_FILE

# Below a run's address: what it is trained and evaluated on, for a machine that goes on with it and has neither.
DATASET: Final = "dataset"
EVAL_DATASET: Final = "eval_dataset"
_PARALLEL: Final = 8  # a dataset is hundreds of small files, and each costs a round trip


def cache_directory() -> Path:
    """Where fetched datasets lie: `ROADSENSE_CACHE`, else the user's cache folder."""
    home = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    return Path(os.environ.get("ROADSENSE_CACHE") or Path(home) / "roadsense") / "datasets"


def fetch_dataset(address: str, cache: Path | None = None) -> Path:
    """The dataset's folder on this machine; the manifest names the copy, so another dataset under the same address is fetched anew.

    Processes that ask at the same time wait for the one that fetches.

    Raises:
        CloudError: the store refused or did not answer. DatasetError: what came is not what the manifest says.
    """
    cache = cache or cache_directory()
    store = ObjectStore(address)
    try:
        manifest = store.read(MANIFEST_FILE)
    except CloudError as problem:
        raise CloudError(f"{address}: no dataset could be read there ({problem})") from None
    name = f"{address.rstrip('/').rsplit('/', 1)[-1]}-{sha256(manifest).hexdigest()[:16]}"
    with _locked(cache, name):
        target = cache / name
        if not target.is_dir():
            _fetch(store, target)
    return target


def store_dataset(directory: Path, address: str) -> None:
    """Copy a dataset to an object store, the manifest last: what has one is complete.

    Raises:
        CloudError: the store refused or did not answer. DatasetError: the folder is no sound dataset.
    """
    Dataset.load(directory, verify=True)
    store = ObjectStore(address)
    there = {file.key: file.size_bytes for file in store.list()}
    names = [path.relative_to(directory).as_posix() for path in sorted(directory.rglob("*")) if path.is_file()]
    if there.get(MANIFEST_FILE) is not None and _same(store, directory / MANIFEST_FILE):
        return
    store.delete(MANIFEST_FILE)
    with ThreadPoolExecutor(_PARALLEL) as pool:
        list(pool.map(lambda name: store.put(directory / name, name), [name for name in names if name != MANIFEST_FILE]))
    store.put(directory / MANIFEST_FILE, MANIFEST_FILE)


def store_datasets(run_address: str, dataset_dir: Path | None, eval_dir: Path | None) -> None:
    """Copy a run's datasets below its address; what is there already is left alone.

    Raises:
        CloudError: the store refused or did not answer. DatasetError: a folder is no sound dataset.
    """
    if dataset_dir is not None:
        store_dataset(dataset_dir, f"{run_address}/{DATASET}")
    if eval_dir is not None and eval_dir != dataset_dir:
        store_dataset(eval_dir, f"{run_address}/{EVAL_DATASET}")


def fetch_stored(run_address: str, name: str) -> Path | None:
    """A dataset that `store_datasets` has put below a run's address, on this machine; None when there is none.

    Raises:
        CloudError: the store refused or did not answer. DatasetError: what came is not what its manifest says.
    """
    address = f"{run_address}/{name}"
    return fetch_dataset(address) if ObjectStore(address).exists(MANIFEST_FILE) else None


def _same(store: ObjectStore, manifest: Path) -> bool:
    return sha256(store.read(MANIFEST_FILE)).hexdigest() == sha256_of(manifest)


def _fetch(store: ObjectStore, target: Path) -> None:
    """Into a folder beside the target, which gets its name only when every hash is right."""
    scratch = Path(tempfile.mkdtemp(prefix=f".{target.name}.", dir=target.parent))
    try:
        with ThreadPoolExecutor(_PARALLEL) as pool:
            list(pool.map(lambda file: store.fetch(file.key, scratch / file.key), store.list()))
        try:
            Dataset.load(scratch, verify=True)
        except DatasetError as problem:
            raise DatasetError(f"{store.address}: {str(problem).replace(f'{scratch}/', '')}") from None
        scratch.chmod(0o755)
        scratch.rename(target)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


@contextmanager
def _locked(cache: Path, name: str) -> Iterator[None]:
    try:
        cache.mkdir(parents=True, exist_ok=True)
        lock = (cache / f".{name}.lock").open("w")
    except OSError as problem:
        raise DatasetError(f"{cache}: cannot be written ({problem.strerror}); set ROADSENSE_CACHE to a folder that can") from None
    with lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
