"""`s3://` where a path is expected: datasets are fetched, run directories are copied there while they grow, and fetched to be resumed."""

from __future__ import annotations

import argparse
from pathlib import Path

from rich.console import Console

from roadsense.artifacts.layout import RunLayout
from roadsense.cloud.dataset_cache import DATASET, EVAL_DATASET, fetch_dataset, fetch_stored
from roadsense.cloud.mirror import fetch_run
from roadsense.cloud.object_store import is_remote
from roadsense.config import read_json_object
from roadsense.errors import RunDirectoryError, UsageError

_DATASETS = ("dataset_dir", "eval_dir")
_LOCAL_ONLY = ("sumo_cfg", "emulator_params", "base_dir")


def bring_here(flags: argparse.Namespace) -> None:
    """Replace every `s3://` address in the flags by what stands for it on this machine.

    Raises:
        CloudError: the store refused or did not answer. UsageError: a flag that takes paths only.
    """
    for name in _LOCAL_ONLY:
        if is_remote(getattr(flags, name, None)):
            raise UsageError(f"--{name} {getattr(flags, name)}: takes a path on this machine; copy the file here first")
    console = Console(stderr=True, highlight=False)
    for name in _DATASETS:
        address = getattr(flags, name, None)
        if is_remote(address):
            console.print(f"fetching {address}", soft_wrap=True)
            setattr(flags, name, str(fetch_dataset(str(address))))
    if is_remote(flags.resume):
        address = str(flags.resume).rstrip("/")
        console.print(f"fetching {address}", soft_wrap=True)
        flags.resume = str(fetch_run(address, Path("runs") / _last_part(address)))
        flags.mirror = flags.mirror or address
        _bring_datasets(flags, address)
    if is_remote(flags.output_dir):
        address = str(flags.output_dir).rstrip("/")
        flags.mirror = flags.mirror or address
        flags.output_dir = str(Path("runs") / _last_part(address))


def _bring_datasets(flags: argparse.Namespace, address: str) -> None:
    """A run that began on another machine names datasets of that machine; they lie below its address."""
    recorded = read_json_object(RunLayout(Path(flags.resume)).config, RunDirectoryError)
    for name, stored in zip(_DATASETS, (DATASET, EVAL_DATASET), strict=True):
        place = recorded.get(name)
        if getattr(flags, name, None) is None and isinstance(place, str) and not Path(place).exists():
            fetched = fetch_stored(address, stored)
            if fetched is not None:
                setattr(flags, name, str(fetched))


def _last_part(address: str) -> str:
    name = address.rsplit("/", 1)[-1]
    if not name or address.count("/") < 3:
        raise UsageError(f"{address}: names a bucket but no run in it; write s3://bucket/runs/name")
    return name
