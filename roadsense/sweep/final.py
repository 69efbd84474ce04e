"""The last word on a sweep: the best trials and the base configuration on the evaluation list, each as `roadsense evaluate` does it."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from roadsense.artifacts.files import atomic_path
from roadsense.config import read_json_object
from roadsense.env.record import EpisodeRecord
from roadsense.errors import RunDirectoryError
from roadsense.evaluation.episode_table import EpisodeTableWriter, evaluation_records
from roadsense.evaluation.evaluate import EnvironmentSpec, close_environments, evaluate, evaluation_list, settings_json
from roadsense.evaluation.judgement import BASELINE, Judgement, judge
from roadsense.evaluation.metrics import critical_identities
from roadsense.evaluation.metrics_file import LEARNED
from roadsense.evaluation.objective import Objective, objective
from roadsense.evaluation.process_pool import process_map
from roadsense.training.plan import TrainingPlan
from roadsense.training.run_files import write_results
from roadsense.training.sweep.files import SweepFile, SweepLayout, TrialFile
from roadsense.training.sweep.trial import plan_trial
from roadsense.training.train import TrainingSummary

Progress = Callable[[str], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Judged:
    """A policy on the evaluation list.

    Attributes:
        name: of the trial or reference policy.
        trial: what the trial says of itself; None for a reference policy.
        figures: as in metrics.json.
        objective: None where the list holds no critical hazard.
    """

    name: str
    trial: TrialFile | None
    figures: dict[str, Any] = field(repr=False)
    objective: Objective | None


def choose(layout: SweepLayout, sweep: SweepFile) -> tuple[list[TrialFile], list[TrialFile]]:
    """(The best drawn trials, best first; the base configuration with its seeds): those that have a policy.

    Those that have come furthest first, and among them the lowest objective: what a trial reached after few steps says little.
    """
    found = [layout.read_trial(spec) for spec in sweep.trials]
    measured = [trial for trial in found if trial.last is not None and layout.trial(trial.name).model.is_file()]
    base = {spec.name for spec in sweep.trials if spec.is_base}
    drawn = sorted((trial for trial in measured if trial.name not in base), key=lambda trial: _rank(sweep, trial))
    return drawn[: sweep.settings.best], [trial for trial in measured if trial.name in base]


def judge_trials(layout: SweepLayout, sweep: SweepFile, trials: Sequence[TrialFile], progress: Progress) -> list[Judged]:
    """Drive the evaluation list with each of them; what has been driven before a resume is read.

    Their run directories are complete afterwards: episodes.parquet and metrics.json as after `roadsense train`.

    Raises:
        RoadSenseError: a policy or the dataset cannot be read, or SUMO cannot drive an episode.
    """
    specs = {spec.name: spec for spec in sweep.trials}
    settings = sweep.settings
    judged: list[Judged] = []
    with process_map(_processes(settings.num_env_runners), close_environments) as run_map:
        baselines: dict[str, list[EpisodeRecord]] = {}
        for trial in trials:
            plan = plan_trial(sweep, specs[trial.name], trial.drawn, layout.trial(trial.name))
            environment = environment_of(plan)
            episodes = evaluation_list(plan.eval_dataset, rounds=settings.rounds, episodes=settings.eval_episodes)
            records = _recorded(plan, trial, len(episodes))
            if records is None:
                # With reward weights of its own a trial has returns of its own, and so has the baseline beside it.
                if environment.task_json not in baselines:
                    progress(f"{BASELINE}: {len(episodes)} episodes")
                    baselines[environment.task_json] = list(evaluate(environment, BASELINE, episodes, run_map))
                progress(f"{trial.name}: {len(episodes)} episodes")
                learned = list(evaluate(environment, str(plan.layout.model), episodes, run_map))
                records = {LEARNED: learned, BASELINE: baselines[environment.task_json]}
                _write(plan, records)
            judged.append(_judged(plan, trial, records, settings.false_braking_weight))
    return judged


def judge_references(layout: SweepLayout, sweep: SweepFile, plan: TrainingPlan, progress: Progress) -> list[Judged]:
    """The reference policies on the same list, with the base configuration's task.

    Raises:
        RoadSenseError: the dataset cannot be read, or SUMO cannot drive an episode.
    """
    settings = sweep.settings
    names = list(dict.fromkeys((BASELINE, *settings.compared)))
    episodes = evaluation_list(plan.eval_dataset, rounds=settings.rounds, episodes=settings.eval_episodes)
    table = layout.references / "episodes.parquet"
    records = evaluation_records(table) if table.is_file() else {}
    if list(records) != names or any(len(driven) != len(episodes) for driven in records.values()):
        environment = environment_of(plan)
        with process_map(_processes(settings.num_env_runners), close_environments) as run_map:
            for name in names:
                progress(f"{name}: {len(episodes)} episodes")
                records[name] = list(evaluate(environment, name, episodes, run_map))
        _write_table(table, {name: records[name] for name in names}, [])
    judgement = judge({name: records[name] for name in names})
    critical = critical_identities(records[BASELINE])
    return [
        Judged(name=name, trial=None, figures=figures, objective=objective(records[name], critical, settings.false_braking_weight))
        for name, figures in judgement.figures.items()
    ]


def environment_of(plan: TrainingPlan) -> EnvironmentSpec:
    """The evaluation environment of a run, as `roadsense evaluate --run` builds it."""
    return EnvironmentSpec(
        dataset_dir=plan.eval_dir,
        sumo_cfg=plan.sumo_cfg if plan.eval_dir is None else None,
        emulator_params_path=plan.emulator_params,
        ego_id=plan.settings.ego_id,
        sumo_json=settings_json(plan.settings.sumo),
        task_json=settings_json(plan.settings.task),
    )


def _rank(sweep: SweepFile, trial: TrialFile) -> tuple[int, float]:
    last = trial.last
    if last is None:
        return 0, 0.0
    return -max((rung for rung in sweep.settings.rungs if rung <= last.timesteps), default=0), last.objective


def _processes(num_env_runners: int | None) -> int:
    return 1 if num_env_runners == 0 else len(os.sched_getaffinity(0))


def _recorded(plan: TrainingPlan, trial: TrialFile, episodes: int) -> dict[str, list[EpisodeRecord]] | None:
    """What a session before this one drove with this very policy; None when it did not come to that."""
    layout = plan.layout
    if not layout.episodes.is_file() or trial.last is None:
        return None
    metrics = read_json_object(layout.metrics, RunDirectoryError)
    records = evaluation_records(layout.episodes)
    complete = metrics.get("evaluation") is not None and all(len(records.get(name, ())) == episodes for name in (LEARNED, BASELINE))
    current = metrics.get("training", {}).get("training_timesteps") == trial.last.timesteps
    return {name: records[name] for name in (LEARNED, BASELINE)} if complete and current else None


def _write(plan: TrainingPlan, records: dict[str, list[EpisodeRecord]]) -> Judgement:
    layout = plan.layout
    _write_table(layout.episodes, records, sorted(layout.training_episodes.glob("until_*.parquet")))
    training = dict(read_json_object(layout.metrics, RunDirectoryError)["training"])
    training.pop("cost", None)
    judgement = judge(records)
    write_results(plan, TrainingSummary(**training), judgement)
    return judgement


def _write_table(path: Path, records: dict[str, list[EpisodeRecord]], parts: Sequence[Path]) -> None:
    with atomic_path(path) as temporary, EpisodeTableWriter(temporary) as writer:
        for part in parts:
            writer.add_table(part)
        for name, driven in records.items():
            for record in driven:
                writer.add(record, phase="eval", policy=name)


def _judged(plan: TrainingPlan, trial: TrialFile, records: dict[str, list[EpisodeRecord]], weight: float) -> Judged:
    found = objective(records[LEARNED], critical_identities(records[BASELINE]), weight)
    figures = read_json_object(plan.layout.metrics, RunDirectoryError)["evaluation"]
    return Judged(name=trial.name, trial=trial, figures=figures, objective=found)
