"""The machine in figures: processor, memory, disk, shared memory, GPU; in a container, what its limits leave of them."""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import psutil

_CGROUP: Final = Path("/sys/fs/cgroup")
_SHARED_MEMORY: Final = Path("/dev/shm")  # noqa: S108 - the kernel's own place, nothing is written
_GIB: Final = 2**30
_GPU_TIMEOUT_S: Final = 10.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Hardware:
    """Figures of this machine. Sizes in GiB; `None` where there is no such thing or it cannot be told."""

    processor: str
    cores: int  # this process may use
    cpu_quota: float | None  # cores' worth of time that the container is given, None without a limit
    load: float  # processes that run or want to, mean of the last minute
    memory_gib: float
    memory_free_gib: float
    disk_free_gib: float  # where runs are written
    shared_memory_gib: float | None
    gpus: tuple[str, ...]

    @property
    def usable_cores(self) -> int:
        """Cores that are worth an env runner: at least 1, and no more than the container's time allows."""
        return self.cores if self.cpu_quota is None else max(1, min(self.cores, int(self.cpu_quota)))


def hardware(runs: Path, cgroup: Path = _CGROUP) -> Hardware:
    """Look at this machine; `runs` is the folder where runs are written, which need not exist."""
    memory = psutil.virtual_memory()
    limit, used = _memory_limit_bytes(cgroup)
    total_bytes = memory.total if limit is None else min(memory.total, limit)
    free_bytes = memory.available if limit is None else min(memory.available, max(0, limit - used))
    folder = next(parent for parent in (runs.absolute(), *runs.absolute().parents) if parent.exists())
    return Hardware(
        processor=processor(),
        cores=len(os.sched_getaffinity(0)),
        cpu_quota=_cpu_quota(cgroup),
        load=os.getloadavg()[0],
        memory_gib=total_bytes / _GIB,
        memory_free_gib=free_bytes / _GIB,
        disk_free_gib=shutil.disk_usage(folder).free / _GIB,
        shared_memory_gib=shutil.disk_usage(_SHARED_MEMORY).total / _GIB if _SHARED_MEMORY.is_dir() else None,
        gpus=_gpus(),
    )


def processor() -> str:
    """The processor's name as Linux tells it."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return platform.machine()
    names = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(names, platform.machine())


def _cpu_quota(cgroup: Path) -> float | None:
    """Of `cpu.max` (version 2: "max 100000" or "150000 100000") or of version 1's two files."""
    parts = _text(cgroup / "cpu.max").split()
    if len(parts) != 2:
        parts = [_text(cgroup / "cpu" / "cpu.cfs_quota_us"), _text(cgroup / "cpu" / "cpu.cfs_period_us")]
    quota, period = (_whole(part) for part in parts)
    return quota / period if quota and quota > 0 and period else None


def _memory_limit_bytes(cgroup: Path) -> tuple[int | None, int]:
    """The container's limit, and what of it is in use beyond caches that the kernel would give up."""
    for limit_file, used_file in (("memory.max", "memory.current"), ("memory/memory.limit_in_bytes", "memory/memory.usage_in_bytes")):
        limit = _whole(_text(cgroup / limit_file))
        if limit is not None:
            held = _text(cgroup / limit_file.replace("memory.max", "memory.stat").replace("memory.limit_in_bytes", "memory.stat"))
            cached = sum(
                _whole(line.split()[-1]) or 0 for line in held.splitlines() if line.startswith(("inactive_file ", "total_inactive_file "))
            )
            return limit, max(0, (_whole(_text(cgroup / used_file)) or 0) - cached)
    return None, 0


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="ascii", errors="replace").strip()
    except OSError:
        return ""


def _whole(text: str) -> int | None:
    try:
        return int(text)
    except ValueError:
        return None


def _gpus() -> tuple[str, ...]:
    program = shutil.which("nvidia-smi")
    if program is None:
        return ()
    command = [program, "--query-gpu=name,memory.total", "--format=csv,noheader"]
    try:
        result = subprocess.run(command, capture_output=True, text=True, timeout=_GPU_TIMEOUT_S, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return ()
    return tuple(line.strip() for line in result.stdout.splitlines() if line.strip()) if result.returncode == 0 else ()
