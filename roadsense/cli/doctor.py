"""`roadsense doctor`: what this machine is, whether a training can run, how fast it would be, and what it would cost elsewhere."""

from __future__ import annotations

import argparse
import importlib
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

from pydantic import Field
from rich.console import Console
from rich.table import Table

from roadsense.artifacts.files import check_writable, write_json
from roadsense.artifacts.provenance import collect_provenance
from roadsense.cli.findings import print_findings
from roadsense.cli.flags import add_settings_flags, settings_from_flags
from roadsense.cloud.estimate import AROUND_TRAINING_HOURS, listed_usd_per_hour, predicted_iteration
from roadsense.cloud.settings import PRESETS
from roadsense.config import Settings
from roadsense.doctor.examine import examine
from roadsense.doctor.hardware import Hardware, hardware
from roadsense.doctor.limits import env_runners_that_fit, limits
from roadsense.errors import DependencyError, RoadSenseError
from roadsense.evaluation.table import table_console
from roadsense.findings import Finding, exit_code_of
from roadsense.scaling.cluster import one_machine
from roadsense.scaling.measured import Calibration, packaged
from roadsense.scaling.model import Iteration, hours_for, iteration

_IMPORTED: Final = ("torch", "ray.rllib")


class DoctorSettings(Settings):
    """What to look at."""

    quick: bool = Field(False, description="no calibration: the speed of a core is that of the machine that was measured")
    total_timesteps: int = Field(5_000_000, ge=1, description="steps whose hours and cost are predicted")
    output_dir: Path = Field(Path("runs"), description="folder where runs would be written, for the free disk space")


@dataclass(frozen=True, slots=True, kw_only=True)
class Prediction:
    """A training of so many steps somewhere. Money is None where nobody sends a bill."""

    where: str
    env_runners: int
    steps_per_s: float
    hours: float
    usd: float | None
    usd_on_demand: float | None


def add_flags(parser: argparse.ArgumentParser) -> None:
    """One flag per setting."""
    parser.add_argument("--json", type=Path, metavar="PATH", help="write everything to this file")
    add_settings_flags(parser, DoctorSettings)


def run(flags: argparse.Namespace) -> int:
    """Look, calibrate, predict; the exit code says whether a training can run."""
    settings = settings_from_flags(DoctorSettings, flags)
    if flags.json is not None:
        check_writable(flags.json)
    console = table_console()
    machine = hardware(settings.output_dir)
    findings = list(examine(machine, limits()))
    calibration = None
    if not settings.quick and exit_code_of(findings) == 0:
        found, calibration = _calibrated()
        findings += found
    print_findings(console, findings)
    code = exit_code_of(findings)
    predictions = _predictions(machine, calibration, settings.total_timesteps)
    _show(console, settings, predictions, calibration)
    console.print(_verdict(code), soft_wrap=True)
    if flags.json is not None:
        write_json(flags.json, _content(machine, findings, calibration, predictions, code))
    return code


def _calibrated() -> tuple[list[Finding], Calibration | None]:
    """Really import and drive what a training needs; what fails is a finding."""
    try:
        for name in _IMPORTED:
            importlib.import_module(name)
        from roadsense.bench.calibration import calibrate

        return [], calibrate()
    except ImportError as problem:
        package = (problem.name or "").partition(".")[0] or "it"
        seen = f"cannot be imported ({str(problem).splitlines()[0]})"
        return [_broken(package, seen, f"install it again: pip install --force-reinstall {package}", DependencyError.exit_code)], None
    except RoadSenseError as problem:
        return [_broken("calibration", str(problem).splitlines()[0], "roadsense doctor --debug shows where", problem.exit_code)], None


def _broken(what: str, seen: str, remedy: str, exit_code: int) -> Finding:
    return Finding(what=what, ok=False, seen=seen, remedy=remedy, exit_code=exit_code, problem="BROKEN")


def _predictions(machine: Hardware, calibration: Calibration | None, steps: int) -> list[Prediction]:
    env_runners = max(1, min(machine.usable_cores, env_runners_that_fit(machine.memory_free_gib)))
    here = here_iteration(env_runners, calibration)
    found = [
        Prediction(
            where="this machine",
            env_runners=env_runners,
            steps_per_s=here.steps_per_s,
            hours=hours_for(steps, here.steps_per_s),
            usd=None,
            usd_on_demand=None,
        )
    ]
    for name, preset in PRESETS.items():
        there = predicted_iteration(preset.env_runners, None if preset.head_type is None else preset.worker_vcpus)
        hours = hours_for(steps, there.steps_per_s) + AROUND_TRAINING_HOURS
        spot, on_demand = listed_usd_per_hour(preset)
        found.append(
            Prediction(
                where=f"cloud preset {name}",
                env_runners=preset.env_runners,
                steps_per_s=there.steps_per_s,
                hours=hours,
                usd=hours * spot,
                usd_on_demand=hours * on_demand,
            )
        )
    return found


def here_iteration(env_runners: int, calibration: Calibration | None) -> Iteration:
    """The model with the speeds of this machine; without a calibration with those of the machine that was measured."""
    measured = packaged()
    if calibration is None:
        return iteration(measured.costs(), one_machine(env_runners))
    return iteration(
        measured.costs(),
        one_machine(
            env_runners,
            sampling_speed=calibration.sampling_steps_per_cpu_s / measured.calibration.sampling_steps_per_cpu_s,
            learning_speed=calibration.learner_rows_per_cpu_s / measured.calibration.learner_rows_per_cpu_s,
        ),
    )


def _show(console: Console, settings: DoctorSettings, predictions: list[Prediction], calibration: Calibration | None) -> None:
    table = Table("predicted", "env runners", "steps/s", f"hours for {settings.total_timesteps:,}", "$ with spot", "$ on demand", box=None)
    for one in predictions:
        money = ["--" if usd is None else f"{usd:.2f}" for usd in (one.usd, one.usd_on_demand)]
        table.add_row(one.where, str(one.env_runners), f"{one.steps_per_s:,.0f}", f"{one.hours:.1f}", *money)
    console.print("", table)
    if calibration is None:
        console.print("no calibration: every core counts as one of the machine behind docs/scaling.md", soft_wrap=True)
    else:
        reference = packaged().calibration
        sampling = calibration.sampling_steps_per_cpu_s / reference.sampling_steps_per_cpu_s
        learning = calibration.learner_rows_per_cpu_s / reference.learner_rows_per_cpu_s
        console.print(
            f"calibrated: a core here drives {sampling:.2f} and learns {learning:.2f} times as fast as one behind docs/scaling.md",
            soft_wrap=True,
        )
    console.print("for the default dataset, policy and task on an idle machine; prices of the table, see docs/cloud.md", soft_wrap=True)


def _verdict(code: int) -> str:
    if code == 0:
        return "a training can run"
    return "no training can run: a dependency is missing or wrong" if code == DependencyError.exit_code else "no training can run as it is"


def _content(
    machine: Hardware, findings: list[Finding], calibration: Calibration | None, predictions: list[Prediction], code: int
) -> dict[str, Any]:
    return {
        "can_train": code == 0,
        "exit_code": code,
        "machine": asdict(machine) | {"usable_cores": machine.usable_cores},
        "findings": [asdict(finding) for finding in findings],
        "calibration": None if calibration is None else calibration.model_dump(),
        "predictions": [asdict(prediction) for prediction in predictions],
        "provenance": collect_provenance({}),
    }
