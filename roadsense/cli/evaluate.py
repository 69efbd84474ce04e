"""`roadsense evaluate`."""

from __future__ import annotations

import argparse
import os
from pathlib import Path
from typing import Any, Self

from pydantic import Field, model_validator
from rich.console import Console

from roadsense.artifacts.files import write_json
from roadsense.artifacts.layout import RunLayout
from roadsense.cli.flags import add_settings_flags, settings_from_flags
from roadsense.config import DEFAULT_EGO_ID, Settings, SumoSettings, read_json_object
from roadsense.env.convoy_env import open_dataset
from roadsense.env.settings import TaskSettings
from roadsense.errors import RunDirectoryError, UsageError
from roadsense.evaluation.compare import compare
from roadsense.evaluation.evaluate import EnvironmentSpec, close_environments, evaluation_list, settings_json
from roadsense.evaluation.judgement import BASELINE, Judgement
from roadsense.evaluation.metrics_file import LEARNED, metrics_content
from roadsense.evaluation.policies import resolve_policy
from roadsense.evaluation.process_pool import process_map
from roadsense.evaluation.table import print_judgement, table_console
from roadsense.radio.parameters import load_parameters
from roadsense.training.settings import TrainSettings


class EvaluateSettings(Settings):
    """An evaluation on the fixed list."""

    run: Path | None = Field(None, description="run directory whose policy is evaluated")
    policy: str | None = Field(
        None,
        description="reference policy, module:function, run directory, model_final.zip, or policy.h, policy.onnx, encoder.tflite",
    )
    compare: str | None = Field(None, description="further policies beside it, separated by commas")
    no_references: bool = Field(
        False, description=f"drive the named policies alone, without {BASELINE} beside them (critical hazards are then unknown)"
    )
    dataset_dir: Path | None = Field(None, description="dataset with the evaluation list (default: the run's)")
    sumo_cfg: Path | None = Field(None, description="a single .sumocfg instead of a dataset")
    ego_id: str = Field(DEFAULT_EGO_ID, description="id of the ego in --sumo_cfg")
    emulator_params: Path | None = Field(None, description="radio parameter file (default: the run's, else the packaged convoy profile)")
    rounds: int = Field(1, ge=1, description="times the list is driven, each with draws of its own")
    eval_episodes: int | None = Field(None, ge=1, description="first k episodes only")
    output_dir: Path = Field(Path("evaluation"), description="where metrics.json and episodes.parquet are written")
    num_workers: int | None = Field(None, ge=1, description="parallel processes (default: one per core); the numbers do not depend on it")
    gui: bool = Field(False, description="open sumo-gui; implies one process and --no_references")
    sumo: SumoSettings = SumoSettings()
    task: TaskSettings = TaskSettings()

    @model_validator(mode="after")
    def _check_exclusive(self) -> Self:
        if (self.run is None) == (self.policy is None):
            raise ValueError("give exactly one of --run and --policy")
        if self.dataset_dir is not None and self.sumo_cfg is not None:
            raise ValueError("--dataset_dir and --sumo_cfg exclude each other; give one of them")
        return self


def add_flags(parser: argparse.ArgumentParser) -> None:
    """One flag per setting."""
    add_settings_flags(parser, EvaluateSettings)


def run(flags: argparse.Namespace) -> int:
    """Evaluate, print the tables, write metrics.json and episodes.parquet."""
    settings, recorded, run_metrics = _with_run_defaults(settings_from_flags(EvaluateSettings, flags))
    dataset = open_dataset(settings.dataset_dir, settings.sumo_cfg, settings.ego_id)
    _, emulator_params_hash = load_parameters(settings.emulator_params)
    episodes = evaluation_list(dataset, rounds=settings.rounds, episodes=settings.eval_episodes)
    policies = _policies(settings)
    for spec in policies.values():
        resolve_policy(spec)  # a misspelt policy is refused before anything runs
    judgement = _compare(settings, policies, episodes)
    config = (recorded.model_dump(mode="json") if recorded else {}) | settings.model_dump(mode="json")
    config |= {"dataset_hash": dataset.hash, "emulator_params_hash": emulator_params_hash}
    run_id = recorded.run_id if recorded and recorded.run_id else next(iter(policies))
    write_json(settings.output_dir / "metrics.json", metrics_content(config, run_metrics, judgement, run_id))
    console = table_console()
    print_judgement(console, judgement, f"{len(episodes)} identical episodes for every policy")
    console.print(f"written: {settings.output_dir}", soft_wrap=True)
    return 0


def _with_run_defaults(settings: EvaluateSettings) -> tuple[EvaluateSettings, TrainSettings | None, dict[str, Any] | None]:
    """Dataset, radio and task as the run had them, where the flags do not say otherwise."""
    if settings.run is None:
        return settings, None, None
    layout = RunLayout(settings.run)
    recorded = TrainSettings.load_json(layout.config, RunDirectoryError)
    update: dict[str, Any] = {}
    if settings.dataset_dir is None and settings.sumo_cfg is None:
        update = {"dataset_dir": recorded.eval_dir or recorded.dataset_dir, "ego_id": recorded.ego_id}
        update["sumo_cfg"] = recorded.sumo_cfg if update["dataset_dir"] is None else None
    for name in ("emulator_params", "task"):
        if name not in settings.model_fields_set:
            update[name] = getattr(recorded, name)
    training = read_json_object(layout.metrics, RunDirectoryError).get("training") if layout.metrics.exists() else None
    return settings.model_copy(update=update), recorded, training


def _policies(settings: EvaluateSettings) -> dict[str, str]:
    policies = {LEARNED: str(RunLayout(settings.run).model)} if settings.run is not None else {str(settings.policy): str(settings.policy)}
    for name in filter(None, (settings.compare or "").split(",")):
        if name in policies:
            raise UsageError(f"--compare names {name} twice; name each policy once")
        policies[name] = name
    if not settings.no_references and not settings.gui:
        policies.setdefault(BASELINE, BASELINE)
    return policies


def _compare(settings: EvaluateSettings, policies: dict[str, str], episodes: list[tuple[str, int]]) -> Judgement:
    cores = len(os.sched_getaffinity(0))
    processes = 1 if settings.gui else min(settings.num_workers or cores, len(episodes))
    environment = EnvironmentSpec(
        dataset_dir=settings.dataset_dir.resolve() if settings.dataset_dir is not None else None,
        sumo_cfg=settings.sumo_cfg.resolve() if settings.sumo_cfg is not None else None,
        emulator_params_path=settings.emulator_params.resolve() if settings.emulator_params is not None else None,
        ego_id=settings.ego_id,
        sumo_json=settings_json(settings.sumo.model_copy(update={"gui": settings.gui})),
        task_json=settings_json(settings.task),
    )
    console = Console(stderr=True, highlight=False)
    with console.status("evaluating") as status, process_map(processes, close_environments) as run_map:
        return compare(
            environment,
            policies,
            episodes,
            run_map,
            table=settings.output_dir / "episodes.parquet",
            progress=lambda name, done, total: status.update(f"evaluating {name}: {done} of {total} episodes"),
        )
