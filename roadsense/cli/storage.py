"""`s3://` where a path is expected: datasets are fetched, run directories are copied there while they grow, and fetched to be resumed."""

from __future__ import annotations

import argparse
from pathlib import Path

from rich.console import Console

from roadsense.cloud.dataset_cache import fetch_dataset
from roadsense.cloud.mirror import fetch_run
from roadsense.cloud.object_store import is_remote
from roadsense.errors import UsageError

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
    if is_remote(flags.output_dir):
        address = str(flags.output_dir).rstrip("/")
        flags.mirror = flags.mirror or address
        flags.output_dir = str(Path("runs") / _last_part(address))


def _last_part(address: str) -> str:
    name = address.rsplit("/", 1)[-1]
    if not name or address.count("/") < 3:
        raise UsageError(f"{address}: names a bucket but no run in it; write s3://bucket/runs/name")
    return name
