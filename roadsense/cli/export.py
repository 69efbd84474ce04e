"""`roadsense export`."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any, Self, cast

from pydantic import Field, model_validator
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from roadsense.artifacts.layout import RunLayout
from roadsense.artifacts.provenance import collect_provenance
from roadsense.cli.flags import add_settings_flags, settings_from_flags
from roadsense.config import DEFAULT_EGO_ID, Settings, SumoSettings
from roadsense.env.convoy_env import open_dataset
from roadsense.env.settings import TaskSettings
from roadsense.errors import PolicyError, RunDirectoryError, UsageError
from roadsense.evaluation.observations import recorded_observations
from roadsense.evaluation.policies import FunctionPolicy
from roadsense.evaluation.table import table_console
from roadsense.export.export import FORMATS, Export, Format, check_request, export_policy
from roadsense.model.policy_file import load_policy
from roadsense.radio.parameters import load_parameters
from roadsense.training.settings import TrainSettings

# The draws of these episodes belong to no training: a run's own seed would show the int8 model what the policy has seen.
_SEED = 20_260


class ExportSettings(Settings):
    """What to export, and on which recorded episodes it is proven."""

    format: str = Field("c", description=f"formats, separated by commas: {', '.join(FORMATS)}; all but c need roadsense[export]")
    int8: bool = Field(False, description="write int8 versions of the TFLite files as well, calibrated on recorded episodes")
    output_dir: Path = Field(Path("export"), description="where the files are written; must not exist, or be empty")
    dataset_dir: Path | None = Field(None, description="dataset whose training episodes are recorded (default: the run's)")
    sumo_cfg: Path | None = Field(None, description="a single .sumocfg instead of a dataset")
    ego_id: str = Field(DEFAULT_EGO_ID, description="id of the ego in --sumo_cfg")
    emulator_params: Path | None = Field(None, description="radio parameter file (default: the run's, else the packaged convoy profile)")
    episodes: int = Field(24, ge=2, description="episodes to record: two thirds calibrate int8, on the others everything is compared")
    sumo: SumoSettings = SumoSettings()
    task: TaskSettings = TaskSettings()

    @model_validator(mode="after")
    def _check_exclusive(self) -> Self:
        if self.dataset_dir is not None and self.sumo_cfg is not None:
            raise ValueError("--dataset_dir and --sumo_cfg exclude each other; give one of them")
        return self


def add_flags(parser: argparse.ArgumentParser) -> None:
    """The run, and one flag per setting."""
    parser.add_argument("run", type=Path, metavar="RUN", help="run directory or model_final.zip")
    add_settings_flags(parser, ExportSettings)


def run(flags: argparse.Namespace) -> int:
    """Export, and say what was measured."""
    settings = settings_from_flags(ExportSettings, flags)
    formats = _formats(settings.format)
    model = RunLayout(flags.run).model if flags.run.is_dir() else flags.run
    policy = load_policy(model)
    settings = _with_run_defaults(settings, flags.run)
    check_request(formats, settings.output_dir, int8=settings.int8)
    dataset = open_dataset(settings.dataset_dir, settings.sumo_cfg, settings.ego_id)
    _, emulator_params_hash = load_parameters(settings.emulator_params)
    console = Console(stderr=True, highlight=False)
    with console.status(f"recording {settings.episodes} episodes"):
        episodes = recorded_observations(
            dataset,
            FunctionPolicy(policy),
            episodes=settings.episodes,
            seed=_SEED,
            emulator_params=settings.emulator_params,
            task=settings.task,
            sumo=settings.sumo,
        )
    calibrating = max(1, len(episodes) * 2 // 3)
    with console.status("writing and comparing with torch"):
        exported = export_policy(
            policy,
            formats,
            settings.output_dir,
            calibration=[observation for episode in episodes[:calibrating] for observation in episode],
            held_out=[observation for episode in episodes[calibrating:] for observation in episode],
            int8=settings.int8,
            provenance=collect_provenance(
                {
                    "model": str(model),
                    "dataset_hash": dataset.hash,
                    "emulator_params_hash": emulator_params_hash,
                    "recorded_episodes": settings.episodes,
                    "recorded_seed": _SEED,
                }
            ),
        )
    _print(exported)
    return 0


def _formats(text: str) -> tuple[Format, ...]:
    names = [name for name in text.split(",") if name]
    for name in names:
        if name not in FORMATS:
            raise UsageError(f"--format {text}: {name!r} is unknown; give some of {','.join(FORMATS)}")
    return tuple(cast("Format", name) for name in dict.fromkeys(names))


def _with_run_defaults(settings: ExportSettings, run_dir: Path) -> ExportSettings:
    """Dataset, radio and task as the run had them, where the flags do not say otherwise."""
    layout = RunLayout(run_dir if run_dir.is_dir() else run_dir.parent)
    if not layout.config.exists():
        if settings.dataset_dir is None and settings.sumo_cfg is None:
            raise PolicyError(f"{run_dir}: lies in no run directory, so its episodes are unknown; give --dataset_dir")
        return settings
    recorded = TrainSettings.load_json(layout.config, RunDirectoryError)
    update: dict[str, Any] = {}
    if settings.dataset_dir is None and settings.sumo_cfg is None:
        update = {"dataset_dir": recorded.dataset_dir, "ego_id": recorded.ego_id, "sumo_cfg": recorded.sumo_cfg}
    for name in ("emulator_params", "task"):
        if name not in settings.model_fields_set:
            update[name] = getattr(recorded, name)
    return settings.model_copy(update=update)


def _print(exported: Export) -> None:
    table = Table(title="Largest differences from torch", title_justify="left", box=SIMPLE_HEAD, padding=(0, 1, 0, 0))
    for header in ("artifact", "peers"):
        table.add_column(header, no_wrap=True)
    for header in ("cases", "parameters", "relative", "action", "gate", "ties"):
        table.add_column(header, justify="right", no_wrap=True)
    for name, verification in exported.verifications.items():
        for group, errors in verification.groups.items():
            figures = (errors.parameter_error, errors.relative_error, errors.action_error)
            counts = (str(errors.gate_differs), str(errors.ties))
            table.add_row(name, group, str(errors.cases), *(f"{figure:.1e}" for figure in figures), *counts)
    console = table_console()
    console.print(table)
    sizes = ", ".join(f"{name} {size / 1000:.1f} kB" for name, size in exported.sizes_bytes.items())
    console.print(f"written: {exported.directory} ({sizes})", soft_wrap=True)
