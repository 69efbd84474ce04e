"""Everything that is looked at beside the packages, in the order in which it is told."""

from __future__ import annotations

from collections.abc import Iterator

from roadsense.doctor.hardware import Hardware
from roadsense.doctor.limits import Limits, limit_findings
from roadsense.doctor.packages import installed_version
from roadsense.doctor.simulator import simulator_findings
from roadsense.doctor.tools import tool_findings
from roadsense.findings import Finding

_SIMULATIONS_PER_ENV_RUNNER = 4  # TrainSettings.num_envs_per_env_runner
_BUSY = 0.5  # of the cores


def examine(machine: Hardware, allowed: Limits) -> Iterator[Finding]:
    """Look at simulator, limits, machine and tools; nothing heavy is imported."""
    yield from simulator_findings(_SIMULATIONS_PER_ENV_RUNNER * machine.usable_cores)
    yield _cores(machine)
    yield from limit_findings(machine, allowed)
    yield _gpu(machine)
    yield from tool_findings()


def _cores(machine: Hardware) -> Finding:
    seen = f"{machine.cores}, {machine.processor}"
    if machine.cpu_quota is not None and machine.cpu_quota < machine.cores:
        seen += f"; the container is given the time of {machine.cpu_quota:.1f}"
    busy = machine.load > _BUSY * machine.usable_cores
    return Finding(
        what="cores",
        ok=not busy,
        seen=f"{seen}; load {machine.load:.1f}",
        remedy="the machine is busy: a training will be slower than predicted" if busy else "",
        exit_code=0,
    )


def _gpu(machine: Hardware) -> Finding:
    if not machine.gpus:
        return Finding(what="GPU", ok=True, seen="none; none is needed")
    build = installed_version("torch") or "none"
    usable = "+cpu" not in build
    return Finding(
        what="GPU",
        ok=usable,
        seen=f"{', '.join(machine.gpus)}; torch {build}",
        remedy="" if usable else "this build of torch cannot use it: install torch from PyTorch's CUDA index, then --learner_on_gpu",
        exit_code=0,
    )
