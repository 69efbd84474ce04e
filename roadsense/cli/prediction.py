"""A training in predicted figures: on this machine and on the presets of the cloud."""

from __future__ import annotations

from dataclasses import dataclass

from rich.console import Console
from rich.table import Table

from roadsense.cloud.estimate import AROUND_TRAINING_HOURS, listed_usd_per_hour, predicted_iteration
from roadsense.cloud.settings import PRESETS
from roadsense.doctor.hardware import Hardware
from roadsense.doctor.limits import env_runners_that_fit
from roadsense.scaling.cluster import one_machine
from roadsense.scaling.measured import Calibration, packaged
from roadsense.scaling.model import Iteration, hours_for, iteration


@dataclass(frozen=True, slots=True, kw_only=True)
class Prediction:
    """A training of so many steps somewhere. Money is None where nobody sends a bill."""

    where: str
    env_runners: int
    steps_per_s: float
    hours: float
    usd: float | None
    usd_on_demand: float | None


def predictions(machine: Hardware, calibration: Calibration | None, steps: int) -> list[Prediction]:
    """Here with as many env runners as there are cores and memory for, and on every preset; no one is asked."""
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


def show_predictions(console: Console, found: list[Prediction], steps: int, calibration: Calibration | None) -> None:
    """A table, and what it is about."""
    table = Table("predicted", "env runners", "steps/s", f"hours for {steps:,}", "$ with spot", "$ on demand", box=None)
    for one in found:
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
