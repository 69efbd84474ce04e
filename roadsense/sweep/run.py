"""A sweep from settings to a finished directory: what stands behind `roadsense sweep` and experiments/sweep_convoy.py."""

from __future__ import annotations

import os
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from rich.console import Console

from roadsense.artifacts.cost import cost_so_far
from roadsense.artifacts.files import atomic_path, write_json
from roadsense.artifacts.provenance import collect_provenance
from roadsense.cloud.dataset_cache import store_datasets
from roadsense.cloud.mirror import RunMirror
from roadsense.errors import RunDirectoryError, UsageError
from roadsense.evaluation.judgement import BASELINE
from roadsense.sweep.final import Judged, choose, judge_references, judge_trials
from roadsense.sweep.table import content, markdown
from roadsense.training.plan import TrainingPlan, plan_training
from roadsense.training.progress import Say
from roadsense.training.stop import StopSignals
from roadsense.training.sweep.files import SweepFile, SweepLayout, draw_trials, write_sweep
from roadsense.training.sweep.rungs import choose_episodes
from roadsense.training.sweep.settings import SweepSettings
from roadsense.training.sweep.tuning import Tuned, run_trials


@dataclass(frozen=True, slots=True, kw_only=True)
class SweepResult:
    """A finished sweep, or one that was stopped.

    Attributes:
        layout: where it lies.
        table: the content of table.json; None when a signal stopped it before the evaluation.
        exit_code: 0, or 128 + the signal.
    """

    layout: SweepLayout
    table: dict[str, Any] | None
    exit_code: int


def run_sweep(settings: SweepSettings, *, quiet: bool = False) -> SweepResult:
    """Draw, train, stop, judge; with `resume` from where it was.

    Raises:
        RoadSenseError: with what to do, see `roadsense.errors`.
    """
    layout, plan = planned(settings)
    sweep = None
    if settings.resume is not None:
        sweep = layout.read()
        if sweep.settings.output_dir != layout.root:
            raise RunDirectoryError(
                f"{layout.root}: was begun as {sweep.settings.output_dir}, and Tune goes on only where it began; move it back there"
            )
        settings = _absolute(settings, layout, plan)
        sweep = sweep.model_copy(update={"settings": settings})
        if sweep.dataset_hash != plan.dataset.hash:
            raise RunDirectoryError(
                f"{layout.root}: swept over dataset {sweep.dataset_hash[:12]}, this is {plan.dataset.hash[:12]}; give the sweep's own"
            )
    console = Console(stderr=True, quiet=quiet, highlight=False)
    with ExitStack() as stack:
        if settings.mirror is not None:
            stack.enter_context(RunMirror(layout.root, settings.mirror))
            store_datasets(settings.mirror, plan.dataset_dir, plan.eval_dir)
        say = _teller(console, layout)
        console.print(describe(settings, layout, plan), markup=False, soft_wrap=True)
        if sweep is None:
            sweep = _begin(settings, layout, plan, console)
        else:
            write_sweep(layout, sweep)  # the trials read it: the dataset may have moved
        stop = StopSignals()
        tuned = run_trials(layout, sweep, plan, stop, say)
        for name in tuned.unfinished if tuned.stopped_by is not None else ():
            say(f"{name}: not finished")
        if stop.requested():
            say(f"stopped by {tuned.stopped_by}; go on with: roadsense sweep --resume {layout.root}")
            return SweepResult(layout=layout, table=None, exit_code=stop.exit_code)
        table = _finish(layout, sweep, plan, tuned, say)
    return SweepResult(layout=layout, table=table, exit_code=0)


def planned(settings: SweepSettings) -> tuple[SweepLayout, TrainingPlan]:
    """Check everything; writes nothing. The plan is that of the base configuration.

    Raises:
        RoadSenseError: an input is missing or refused, or the output directory holds something else.
    """
    layout = SweepLayout(settings.resume.resolve()) if settings.resume is not None else _new_layout(settings)
    _check_money(settings)
    settings.check()
    return layout, plan_training(settings.base, place=("base", layout.root))


def describe(settings: SweepSettings, layout: SweepLayout, plan: TrainingPlan) -> str:
    """The plan of a sweep in a few lines."""
    varied = "\n".join(f"  {key}: {domain}" for key, domain in settings.space.domains.items())
    stops = {
        "steps": settings.stop_after_steps,
        "minutes": settings.stop_after_minutes,
        "USD": settings.stop_after_usd,
    }
    limits = ", ".join(f"{value:,g} {unit}" for unit, value in stops.items() if value is not None) or "no limit"
    return (
        f"sweep on {plan.dataset_dir or plan.sumo_cfg}: {settings.trials} trials of {settings.algorithm} and the base configuration with "
        f"{settings.base_seeds} seeds, {settings.total_timesteps:,} steps each at most, rungs at "
        f"{', '.join(f'{rung:,}' for rung in settings.rungs)}; {limits}\n{varied}\nsweep directory: {layout.root}"
    )


def _new_layout(settings: SweepSettings) -> SweepLayout:
    name = settings.run_id or datetime.now().strftime("sweep_%Y%m%d_%H%M%S")
    root = (settings.output_dir or Path("runs") / name).resolve()
    if root.exists() and (not root.is_dir() or any(root.iterdir())):
        remedy = f"--resume {root} to go on with it" if SweepLayout(root).sweep.is_file() else "choose an empty one"
        raise RunDirectoryError(f"{root}: exists and is not empty; give another --output_dir, or {remedy}")
    existing = next(parent for parent in (root, *root.parents) if parent.exists())
    if not os.access(existing, os.W_OK):
        raise RunDirectoryError(f"{root}: cannot be written (permissions, or a read-only file system); give another --output_dir")
    return SweepLayout(root)


def _check_money(settings: SweepSettings) -> None:
    if settings.stop_after_usd is not None and cost_so_far() is None:
        raise UsageError(
            "--stop_after_usd: nothing here says what this machine costs; give --stop_after_minutes, or launch with roadsense cloud run"
        )


def _begin(settings: SweepSettings, layout: SweepLayout, plan: TrainingPlan, console: Console) -> SweepFile:
    processes = 1 if settings.num_env_runners == 0 else len(os.sched_getaffinity(0))
    with console.status(f"driving the {settings.rung_episodes} episodes of the rungs with {BASELINE}"):
        rung = choose_episodes(settings, plan, processes)
    inputs = {"dataset_hash": plan.dataset.hash, "emulator_params_hash": plan.emulator_params_hash, "seed": settings.seed}
    sweep = SweepFile(
        settings=_absolute(settings, layout, plan),
        trials=tuple(draw_trials(settings)),
        rung=rung,
        dataset_hash=plan.dataset.hash,
        provenance=collect_provenance(inputs),
    )
    write_sweep(layout, sweep)
    return sweep


def _absolute(settings: SweepSettings, layout: SweepLayout, plan: TrainingPlan) -> SweepSettings:
    """As trials and later sessions need them, wherever those are started."""
    described = {
        "output_dir": layout.root,
        "dataset_dir": plan.dataset_dir,
        "sumo_cfg": plan.sumo_cfg,
        "eval_dir": plan.eval_dir if settings.eval_dir is not None else None,
        "emulator_params": plan.emulator_params,
        "resume": None,
    }
    return settings.model_copy(update=described)


def _finish(layout: SweepLayout, sweep: SweepFile, plan: TrainingPlan, tuned: Tuned, say: Say) -> dict[str, Any]:
    best, base = choose(layout, sweep)
    if not best and not base:
        why = next(iter(tuned.failed.values()), tuned.stopped_by or "it was stopped before the first rung")
        raise RunDirectoryError(f"{layout.root}: no trial came as far as its first rung ({why}); see {layout.root}/trials/*/training.log")
    say(f"evaluating {', '.join(trial.name for trial in (*best, *base))} on the evaluation list, {sweep.settings.rounds} rounds")
    judged: list[Judged] = judge_trials(layout, sweep, best, say)
    judged.sort(key=lambda one: 9.0 if one.objective is None else one.objective.objective)
    judged += judge_trials(layout, sweep, base, say)
    judged += judge_references(layout, sweep, plan, say)
    table = content(sweep, tuned, [layout.read_trial(spec) for spec in sweep.trials], judged)
    write_json(layout.table_json, table)
    with atomic_path(layout.table) as temporary:
        temporary.write_text(markdown(table), encoding="utf-8")
    return table


def _teller(console: Console, layout: SweepLayout) -> Say:
    """Shows lines, and keeps them in the sweep's directory."""

    def tell(line: str) -> None:
        console.print(line, markup=False, soft_wrap=True)
        with suppress(OSError), layout.log.open("a", encoding="utf-8") as log:
            log.write(f"{line}\n")

    return tell
