"""SUMO itself, and the ports it is spoken to through."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from roadsense.config import SumoSettings
from roadsense.errors import DependencyError, RoadSenseError
from roadsense.findings import Finding
from roadsense.sumo.installation import check_answered_version, find_program
from roadsense.sumo.ports import PortLease

_PROGRAMS: Final = ("sumo", "netconvert")
_ANSWER_TIMEOUT_S: Final = 30.0
_LISTENING: Final = "0A"  # TCP's state in /proc/net/tcp
_EPHEMERAL: Final = Path("/proc/sys/net/ipv4/ip_local_port_range")


def simulator_findings(simulations: int) -> Iterator[Finding]:
    """The programs, by really starting them, and room for so many simulations in the band of ports."""
    for name in _PROGRAMS:
        yield _program(name)
    settings = SumoSettings()
    yield _ports(settings.first_port, settings.last_port, simulations)


def _program(name: str) -> Finding:
    try:
        program = find_program(name)
        answer = _version_line(program.path, program.home)
        check_answered_version(answer.split()[-1])  # Eclipse SUMO sumo 1.28.0
    except DependencyError as problem:
        what_is, _, remedy = str(problem).partition("; ")
        return Finding(what=name, ok=False, seen=what_is, remedy=remedy or "see docs/docker.md", exit_code=DependencyError.exit_code)
    return Finding(what=name, ok=True, seen=f"{answer}, {program.path}")


def _version_line(path: Path, home: Path | None) -> str:
    environment = os.environ | ({} if home is None else {"SUMO_HOME": str(home)})
    try:
        result = subprocess.run(
            [path, "--version"], capture_output=True, text=True, timeout=_ANSWER_TIMEOUT_S, check=False, env=environment
        )
    except (OSError, subprocess.TimeoutExpired) as problem:
        raise DependencyError(f"{path} does not run ({problem}); install its libraries, or install SUMO again") from None
    if result.returncode != 0 or not result.stdout.strip():
        said = (result.stderr.strip() or "no answer").splitlines()[0]
        missing = said.rpartition(": ")[0].rpartition(": ")[2] if "shared librar" in said else ""
        help_line = f"install the library {missing} (docs/docker.md lists them)" if missing else "install SUMO again"
        raise DependencyError(f"{path} does not run ({said}); {help_line}")
    return result.stdout.strip().splitlines()[0]


def _ports(first: int, last: int, simulations: int) -> Finding:
    """Free ports, by looking; then one lease, by really taking it."""
    band = range(first, last + 1)
    taken = (_listened() | _leased()) & set(band)
    free = len(band) - len(taken)
    seen = f"{free:,} of {len(band):,} free in {first}-{last}"
    what = "ports for SUMO"
    try:
        PortLease.acquire(first, last).release()
    except RoadSenseError as problem:
        why, _, remedy = str(problem).partition("; ")
        return Finding(what=what, ok=False, seen=why, remedy=remedy)
    if free < simulations:
        return Finding(
            what=what,
            ok=False,
            seen=f"{seen}, {simulations:,} are needed",
            remedy="end what listens there (ss -ltn), or give another band: --sumo.first_port, --sumo.last_port",
        )
    low, high = _ephemeral()
    if low <= last and first <= high:
        return Finding(
            what=what,
            ok=False,
            seen=f"{seen}, but the system hands out {low}-{high} to anybody",
            remedy=f"sysctl net.ipv4.ip_local_port_range='{last + 1} 60999', or give another band: --sumo.first_port, --sumo.last_port",
            exit_code=0,  # a port that is taken is passed over
        )
    return Finding(what=what, ok=True, seen=seen)


def _listened() -> set[int]:
    ports = set()
    for name in ("tcp", "tcp6"):
        for fields in (line.split() for line in _lines(Path("/proc/net") / name)[1:]):
            if fields[3] == _LISTENING:
                ports.add(int(fields[1].rpartition(":")[2], 16))
    return ports


def _leased() -> set[int]:
    """Ports that other sessions hold; see roadsense.sumo.ports."""
    prefix = "@roadsense-port-"
    names = (line.split()[-1] for line in _lines(Path("/proc/net/unix"))[1:])
    return {int(name.removeprefix(prefix)) for name in names if name.startswith(prefix) and name.removeprefix(prefix).isdigit()}


def _ephemeral() -> tuple[int, int]:
    parts = [int(part) for line in _lines(_EPHEMERAL) for part in line.split() if part.isdigit()]
    return (parts[0], parts[1]) if len(parts) == 2 else (0, 0)


def _lines(path: Path) -> list[str]:
    try:
        return path.read_text(encoding="ascii", errors="replace").splitlines()
    except OSError:
        return []
