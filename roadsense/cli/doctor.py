"""`roadsense doctor`: what this machine is, whether a training can run, how fast it would be, and what it would cost elsewhere.

It must be able to speak where packages are missing, so everything that needs one is imported when its turn comes.
"""

from __future__ import annotations

import argparse
import importlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from pydantic import Field
from rich.console import Console

from roadsense.artifacts.files import check_writable, write_json
from roadsense.cli.findings import print_findings
from roadsense.cli.flags import add_settings_flags, settings_from_flags
from roadsense.config import Settings
from roadsense.doctor.packages import package_findings
from roadsense.errors import DependencyError, RoadSenseError
from roadsense.findings import Finding, exit_code_of

if TYPE_CHECKING:
    from roadsense.scaling.measured import Calibration

_IMPORTED: Final = ("torch", "ray.rllib")


class DoctorSettings(Settings):
    """What to look at."""

    quick: bool = Field(False, description="no calibration: the speed of a core is that of the machine that was measured")
    total_timesteps: int = Field(5_000_000, ge=1, description="steps whose hours and cost are predicted")
    output_dir: Path = Field(Path("runs"), description="folder where runs would be written, for the free disk space")


def add_flags(parser: argparse.ArgumentParser) -> None:
    """One flag per setting."""
    parser.add_argument("--json", type=Path, metavar="PATH", help="write everything to this file")
    add_settings_flags(parser, DoctorSettings)


def run(flags: argparse.Namespace) -> int:
    """Look, calibrate, predict; the exit code says whether a training can run."""
    settings = settings_from_flags(DoctorSettings, flags)
    if flags.json is not None:
        check_writable(flags.json)
    console = Console(highlight=False)
    findings = list(package_findings())
    content: dict[str, Any] = {}
    with _told(findings):
        content = _look_further(settings, findings, console)
    if not content:
        print_findings(console, findings)
    code = exit_code_of(findings)
    console.print(_verdict(code), soft_wrap=True)
    if flags.json is not None:
        found = [asdict(finding) for finding in findings]
        write_json(flags.json, {"can_train": code == 0, "exit_code": code, "findings": found, **content})
    return code


def _look_further(settings: DoctorSettings, findings: list[Finding], console: Console) -> dict[str, Any]:
    """Machine, simulator and tools, added to the findings and printed; predictions below them. Returns what else the file holds."""
    from roadsense.artifacts.provenance import collect_provenance
    from roadsense.cli.prediction import predictions, show_predictions
    from roadsense.doctor.examine import examine
    from roadsense.doctor.hardware import hardware
    from roadsense.doctor.limits import limits
    from roadsense.evaluation.table import table_console

    machine = hardware(settings.output_dir)
    findings += examine(machine, limits())
    calibration: Calibration | None = None
    if not settings.quick and exit_code_of(findings) == 0:
        with _told(findings):
            calibration = _calibrated()
    predicted = predictions(machine, calibration, settings.total_timesteps)
    print_findings(console, findings)
    show_predictions(table_console(), predicted, settings.total_timesteps, calibration)
    return {
        "machine": asdict(machine) | {"usable_cores": machine.usable_cores},
        "calibration": None if calibration is None else calibration.model_dump(),
        "predictions": [asdict(prediction) for prediction in predicted],
        "provenance": collect_provenance({}),
    }


def _calibrated() -> Calibration:
    """Really import and drive what a training needs."""
    for name in _IMPORTED:
        importlib.import_module(name)
    from roadsense.bench.calibration import calibrate

    return calibrate()


@contextmanager
def _told(findings: list[Finding]) -> Iterator[None]:
    """What cannot be imported or driven becomes a finding; a package that is known to be missing is told once."""
    try:
        yield
    except ImportError as problem:
        package = (problem.name or "").partition(".")[0] or "a package"
        if exit_code_of(findings) != DependencyError.exit_code:
            seen = f"cannot be imported ({str(problem).splitlines()[0]})"
            findings.append(_broken(package, seen, f"install it again: pip install --force-reinstall {package}", DependencyError.exit_code))
    except RoadSenseError as problem:
        findings.append(_broken("calibration", str(problem).splitlines()[0], "roadsense doctor --debug shows where", problem.exit_code))


def _broken(what: str, seen: str, remedy: str, exit_code: int) -> Finding:
    return Finding(what=what, ok=False, seen=seen, remedy=remedy, exit_code=exit_code, problem="BROKEN")


def _verdict(code: int) -> str:
    if code == 0:
        return "a training can run"
    return "no training can run: a dependency is missing or wrong" if code == DependencyError.exit_code else "no training can run as it is"
