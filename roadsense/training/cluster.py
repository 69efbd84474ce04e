"""Joining a running Ray cluster, or starting a local one that ends with the run."""

from __future__ import annotations

import logging
import os
import resource
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import ray

from roadsense.errors import DependencyError
from roadsense.training.capacity import full_capacity
from roadsense.training.dataset_transport import ray_job_environment

# What a local cluster keeps shared batches in; the samples of an iteration are far below it.
_OBJECT_STORE_BYTES = 512 * 1024 * 1024
_START_ATTEMPTS = 3


@dataclass(frozen=True, slots=True)
class Cluster:
    """Where the workers run."""

    address: str | None  # of the cluster that was joined; None for a local one that ends with the run
    cpus: int


@contextmanager
def ray_cluster(num_env_runners: int | None, dataset_dir: Path | None, *, dashboard: bool) -> Iterator[Cluster]:
    """Join the cluster that `RAY_ADDRESS` or a running head on this machine names, else start a local one.

    With 0 env runners everything runs in this process; RLlib asks for a Ray instance all the same, so the smallest one is started.

    Raises:
        DependencyError: the cluster runs another version of Ray.
    """
    # Ray's own warnings about its defaults would drown the progress lines; what goes wrong still comes as an exception.
    os.environ.setdefault("RAY_BACKEND_LOG_LEVEL", "fatal")
    for name in ("ray", "ray.tune"):
        logging.getLogger(name).setLevel(logging.ERROR)
    # RLlib logs a traceback for every lost worker; the progress lines count them and say why.
    logging.getLogger("ray.rllib").setLevel(logging.CRITICAL)
    # There is nobody to report usage to, and a driver on a closed network would wait for it.
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    address = running_cluster() if num_env_runners != 0 else None
    if address is not None:
        _join(address, dataset_dir)
    else:
        cores = len(os.sched_getaffinity(0)) if num_env_runners != 0 else 1
        _start(
            address="local",
            num_cpus=max(cores, num_env_runners or 1),
            include_dashboard=dashboard,
            dashboard_host="127.0.0.1",
            object_store_memory=_OBJECT_STORE_BYTES,
        )
    try:
        yield Cluster(address=address, cpus=full_capacity())
    finally:
        ray.shutdown()


def running_cluster() -> str | None:
    """Address of the cluster to join: what `RAY_ADDRESS` says ("local" for none), else the head that `ray start` left on this machine.

    Only a cluster started by `ray start` (as `ray up` does) counts: another training's local cluster ends with that training. A head that
    died without cleaning up has left its address behind, so that address has to answer, too.
    """
    named = os.environ.get("RAY_ADDRESS", "")
    if named:
        return None if named == "local" else named
    note = Path(os.environ.get("RAY_TMPDIR", "/tmp")) / "ray" / "ray_current_cluster"  # noqa: S108 - Ray's own place for it
    try:
        if note.stat().st_uid != os.getuid():
            return None
        address = note.read_text(encoding="utf-8").strip()
        host, _, port = address.rpartition(":")
        socket.create_connection((host, int(port)), timeout=2).close()
    except (OSError, ValueError):
        return None
    return address


def _join(address: str, dataset_dir: Path | None) -> None:
    try:
        # Ray turns its token on by itself only for a cluster that it finds by itself, which is why that address is not passed on.
        _init(address=os.environ.get("RAY_ADDRESS") or None, runtime_env=ray_job_environment(dataset_dir))
    except ConnectionError as problem:
        raise DependencyError(f"no Ray cluster answers at {address} ({problem}); start it, or set RAY_ADDRESS=local") from None
    except RuntimeError as problem:
        if "ersion mismatch" in str(problem):
            first_line = str(problem).strip().splitlines()[0]
            raise DependencyError(f"the running Ray cluster does not fit this installation ({first_line}); use one image for all") from None
        raise


def _start(**options: Any) -> None:
    """Start a local cluster; Ray gives its own processes 30 s and no more, which a busy machine may need for importing alone."""
    for _ in range(_START_ATTEMPTS):
        try:
            return _init(**options)
        except Exception as problem:
            if "timed out during startup" not in str(problem):
                raise
            ray.shutdown()
    raise DependencyError(
        f"Ray did not start, {_START_ATTEMPTS} times in a row within its 30 s; the machine is too busy or out of memory, try again later"
    )


def _init(**options: Any) -> None:
    # Ray raises the soft limit of open files for its own processes only if it may; thousands of sockets need it.
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < min(hard, 65536):
        resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, 65536), hard))
    ray.init(logging_level=logging.ERROR, log_to_driver=False, configure_logging=True, **options)
