"""What the system allows a process: memory, disk, files, processes; and what a training of this size needs of it."""

from __future__ import annotations

import os
import resource
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import psutil

from roadsense.doctor.hardware import Hardware
from roadsense.findings import Finding

# Measured with four simulators per env runner (docs/performance.md): driver, Ray and everything shared; and one more env runner.
BASE_GIB: Final = 1.2
PER_ENV_RUNNER_GIB: Final = 0.45
_DISK_GIB: Final = 2.0  # checkpoints, episodes and TensorBoard of a run of 5M steps are below half of it
_LEAST_DISK_GIB: Final = 0.2
_SHARED_MEMORY_GIB: Final = 0.5  # what a local Ray is given (roadsense.training.cluster)
_FILES: Final = 4096
_LEAST_FILES: Final = 1024
# Counted in a training: Ray's processes and the driver have about 200 threads, an env runner 24 and four simulators; and some room.
_BASE_THREADS: Final = 300
_THREADS_PER_ENV_RUNNER: Final = 40
_CGROUP: Final = Path("/sys/fs/cgroup")


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What this process may have. None where there is no limit."""

    open_files: int | None  # the hard limit; Ray raises the soft one
    threads_left: int | None


def limits(cgroup: Path = _CGROUP) -> Limits:
    """Look at this process's limits and its container's."""
    _, files = resource.getrlimit(resource.RLIMIT_NOFILE)
    return Limits(open_files=None if files == resource.RLIM_INFINITY else files, threads_left=_threads_left(cgroup))


def env_runners_that_fit(memory_gib: float) -> int:
    """Env runners for which the memory lasts; 0 when not even one has room."""
    return max(0, int((memory_gib - BASE_GIB) / PER_ENV_RUNNER_GIB))


def limit_findings(machine: Hardware, allowed: Limits) -> Iterator[Finding]:
    """Memory, shared memory, disk, files and threads against what one env runner per core needs."""
    yield _memory(machine)
    if machine.shared_memory_gib is not None:
        yield _compared(
            "shared memory",
            machine.shared_memory_gib,
            wanted=_SHARED_MEMORY_GIB,
            least=0.0,
            seen=f"/dev/shm holds {machine.shared_memory_gib:.1f} GiB",  # noqa: S108 - a name, nothing is written
            remedy="Ray takes the disk instead, which is slower; in a container: docker run --shm-size=1g",
        )
    yield _compared(
        "disk",
        machine.disk_free_gib,
        wanted=_DISK_GIB,
        least=_LEAST_DISK_GIB,
        seen=f"{machine.disk_free_gib:.1f} GiB free for runs",
        remedy="free some space, or write elsewhere: --output_dir",
    )
    files = allowed.open_files
    yield _compared(
        "open files",
        float("inf") if files is None else files,
        wanted=_FILES,
        least=_LEAST_FILES,
        seen="no limit" if files is None else f"at most {files:,}",
        remedy=f"ulimit -Hn {max(65536, _FILES)} (as root, or in /etc/security/limits.conf); in a container: --ulimit nofile=65536",
    )
    threads = _BASE_THREADS + _THREADS_PER_ENV_RUNNER * machine.usable_cores
    left = allowed.threads_left
    yield _compared(
        "processes",
        float("inf") if left is None else left,
        wanted=threads,
        least=threads / 2,
        seen="no limit" if left is None else f"{left:,} threads may still be started, about {threads:,} are needed",
        remedy="ulimit -u, or the container's --pids-limit, must allow more; or fewer env runners: --num_env_runners",
    )


def _memory(machine: Hardware) -> Finding:
    fit, wanted = env_runners_that_fit(machine.memory_free_gib), machine.usable_cores
    seen = f"{machine.memory_free_gib:.1f} of {machine.memory_gib:.1f} GiB free, a training with {wanted} env runners takes about "
    seen += f"{BASE_GIB + wanted * PER_ENV_RUNNER_GIB:.1f}"
    if fit >= wanted:
        return Finding(what="memory", ok=True, seen=seen)
    if fit == 0:
        return Finding(
            what="memory", ok=False, seen=seen, remedy="end other programs, or use a machine with more memory", problem="TOO LOW"
        )
    return Finding(what="memory", ok=False, seen=seen, remedy=f"end other programs, or train with --num_env_runners {fit}", exit_code=0)


def _compared(what: str, value: float, *, wanted: float, least: float, seen: str, remedy: str) -> Finding:
    """Fine from `wanted` on; below `least` no training can run."""
    ok = value >= wanted
    return Finding(what=what, ok=ok, seen=seen, remedy="" if ok else remedy, exit_code=0 if value >= least else 1, problem="TOO LOW")


def _threads_left(cgroup: Path) -> int | None:
    rooms = []
    with suppress(OSError, ValueError):  # no such file, or "max"
        rooms.append(int((cgroup / "pids.max").read_text()) - int((cgroup / "pids.current").read_text()))
    soft, _ = resource.getrlimit(resource.RLIMIT_NPROC)
    if soft != resource.RLIM_INFINITY and os.geteuid() != 0:  # the kernel holds root to no number
        rooms.append(soft - _own_threads())
    return min(rooms) if rooms else None


def _own_threads() -> int:
    me = os.getuid()
    found = psutil.process_iter(["uids", "num_threads"])
    return sum(one.info["num_threads"] or 0 for one in found if one.info["uids"] is not None and one.info["uids"].real == me)
