"""Processor time of this process and of the simulators it has started: on a shared machine the watch tells more about the neighbours."""

from __future__ import annotations

import time
from pathlib import Path

import psutil

_NANOSECONDS = 1e-9


def cpu_s() -> float:
    """Seconds of processor time that this process and its living children have used.

    A child's time comes from the kernel's scheduler statistics, to the nanosecond; where these are turned off from its counters, which
    tick a hundred times a second.
    """
    return time.process_time() + sum(_child_cpu_s(child) for child in psutil.Process().children())


def _child_cpu_s(child: psutil.Process) -> float:
    try:
        # SUMO has one thread, so its first thread's time is all there is.
        return int(Path(f"/proc/{child.pid}/schedstat").read_text().split()[0]) * _NANOSECONDS
    except (OSError, ValueError, IndexError):
        pass
    try:
        times = child.cpu_times()
    except psutil.Error:
        return 0.0
    return float(times.user + times.system)
