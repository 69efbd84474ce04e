"""One experiment from settings to a finished run directory: train, evaluate beside the reference policies, package.

The same function stands behind `roadsense train`, `roadsense pipeline` and the recipes in experiments/.
"""

from __future__ import annotations

import os
from contextlib import ExitStack
from dataclasses import dataclass

from rich.console import Console

from roadsense.artifacts.cost import cost_so_far
from roadsense.artifacts.layout import RunLayout
from roadsense.cloud.dataset_cache import store_datasets
from roadsense.cloud.mirror import RunMirror
from roadsense.evaluation.compare import compare
from roadsense.evaluation.evaluate import EnvironmentSpec, close_environments, evaluation_list, settings_json
from roadsense.evaluation.judgement import Judgement
from roadsense.evaluation.metrics_file import LEARNED
from roadsense.evaluation.process_pool import process_map
from roadsense.evaluation.reference import REFERENCE_POLICIES
from roadsense.evaluation.table import print_judgement, table_console
from roadsense.live.console import progress_console
from roadsense.live.teller import telling
from roadsense.training.plan import TrainingPlan, plan_training
from roadsense.training.run_files import prepare, write_results
from roadsense.training.settings import TrainSettings
from roadsense.training.stop import StopSignals
from roadsense.training.train import TrainingSummary, train


@dataclass(frozen=True, slots=True, kw_only=True)
class ExperimentResult:
    """A finished (or cleanly stopped) run."""

    layout: RunLayout
    summary: TrainingSummary
    judgement: Judgement | None  # None when nothing was evaluated
    exit_code: int  # 0, or 128 + the signal that stopped it


def run_experiment(settings: TrainSettings, *, quiet: bool = False) -> ExperimentResult:
    """Train, evaluate and package; everything is checked before the run directory is made. `quiet` leaves training.log alone to tell of it.

    Raises:
        RoadSenseError: with what to do, see `roadsense.errors`.
    """
    plan = plan_training(settings)
    console = progress_console(quiet=quiet)
    console.print(describe(plan), markup=False, soft_wrap=True)
    with ExitStack() as stack:
        if settings.mirror is not None:
            stack.enter_context(RunMirror(plan.layout.root, settings.mirror))
            store_datasets(settings.mirror, plan.dataset_dir, plan.eval_dir)
        prepare(plan)
        stop = StopSignals()
        with telling(plan.layout.log, plan.run_id, settings.total_timesteps, quiet=quiet) as teller:
            summary = train(plan, stop, teller.say, teller)
        # Before the evaluation as well: what the training has to tell is not lost with an evaluation that fails.
        write_results(plan, summary, None)
        judgement = None
        if not settings.skip_eval and not stop.requested():
            judgement = _evaluate(plan, console)
        write_results(plan, summary, judgement)
    if stop.requested():
        console.print(f"stopped at {summary.training_timesteps:,} steps; go on with: roadsense train --resume {plan.layout.root}")
    return ExperimentResult(layout=plan.layout, summary=summary, judgement=judgement, exit_code=stop.exit_code)


def show_result(result: ExperimentResult) -> None:
    """Print the comparison and where everything lies."""
    console = table_console()
    if result.judgement is not None:
        print_judgement(console, result.judgement, "evaluation: identical episodes for every policy")
    for scenario_id, why in sorted(result.summary.quarantined.items()):
        console.print(f"left out of the training: {scenario_id} ({why})", soft_wrap=True, markup=False)
    cost = cost_so_far()
    if cost is not None:
        console.print(
            f"cost so far: ${cost.cost_usd:.2f} (at most ${cost.cost_usd_at_most:.2f}) after {cost.hours:.2f} hours", soft_wrap=True
        )
    console.print(f"run directory: {result.layout.root}", soft_wrap=True)


def describe(plan: TrainingPlan) -> str:
    """The plan of a run in a few lines."""
    settings = plan.settings
    source = plan.dataset_dir or plan.sumo_cfg
    workers = "this process" if plan.local else f"{settings.num_env_runners or 'one per core'} env runners"
    return (
        f"run {plan.run_id}: {settings.total_timesteps:,} steps on {source} "
        f"({len(plan.dataset.train)} train, {len(plan.dataset.eval)} eval scenarios), "
        f"{workers} x {settings.num_envs_per_env_runner} SUMO processes, seed {settings.seed}\n"
        f"run directory: {plan.layout.root}" + (f"\nresumed from: {plan.checkpoint.path.name}" if plan.checkpoint is not None else "")
    )


def _evaluate(plan: TrainingPlan, console: Console) -> Judgement:
    spec = EnvironmentSpec(
        dataset_dir=plan.eval_dir,
        sumo_cfg=plan.sumo_cfg if plan.eval_dir is None else None,
        emulator_params_path=plan.emulator_params,
        ego_id=plan.settings.ego_id,
        sumo_json=settings_json(plan.settings.sumo),
        task_json=settings_json(plan.settings.task),
    )
    episodes = evaluation_list(plan.eval_dataset, episodes=plan.settings.eval_episodes)
    policies = {LEARNED: str(plan.layout.model)} | {name: name for name in REFERENCE_POLICIES}
    processes = 1 if plan.local else min(len(os.sched_getaffinity(0)), len(episodes))
    parts = sorted(plan.layout.training_episodes.glob("until_*.parquet"))
    with console.status("evaluating") as status, process_map(processes, close_environments) as run_map:
        return compare(
            spec,
            policies,
            episodes,
            run_map,
            table=plan.layout.episodes,
            earlier=parts,
            progress=lambda name, done, total: status.update(f"evaluating {name}: {done} of {total} episodes"),
        )
