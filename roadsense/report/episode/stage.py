"""The environment in which a recorded episode can be driven again: dataset, radio and task as its run or evaluation had them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from roadsense.artifacts.layout import RunLayout, recorded_path
from roadsense.config import DEFAULT_EGO_ID, SumoSettings, read_json_object
from roadsense.env.convoy_env import ConvoyEnv
from roadsense.env.settings import TaskSettings
from roadsense.errors import RunDirectoryError


def stage(
    directory: Path,
    *,
    training: bool,
    dataset_dir: Path | None = None,
    gui: bool = False,
    sumo: SumoSettings | None = None,
    task: TaskSettings | None = None,
) -> ConvoyEnv:
    """The environment of a run directory or of an evaluation's output directory; starts nothing.

    Args:
        directory: where episodes.parquet lies.
        training: whether a training episode is to be driven.
        dataset_dir: where the dataset lies now, if it was moved.
        gui: open sumo-gui.
        sumo: how SUMO is run; default is as usual, with the radius that the run watched.
        task: what was driven, where that is not what the directory names: a run's training episodes are shorter than its evaluation's.

    Raises:
        RunDirectoryError: the directory holds neither config.json nor metrics.json, or they are not ours.
        DatasetError, ConfigError: dataset, radio or task are missing or refused.
    """
    config, is_run = _recorded_config(RunLayout(directory))
    named = config.get("dataset_dir")
    if is_run and not training:
        named = config.get("eval_dir") or named
    chosen = dataset_dir or (recorded_path(named, directory) if named else None)
    single = config.get("sumo_cfg")
    if chosen is None and not single:
        raise RunDirectoryError(f"{directory}: does not say which dataset it was driven on; name it with --dataset_dir")
    parameters = config.get("emulator_params")
    is_packaged = not parameters or str(parameters).startswith("packaged")
    return ConvoyEnv(
        dataset_dir=chosen,
        sumo_cfg=recorded_path(str(single), directory) if chosen is None else None,
        scenario_mode="train" if training else "eval",
        emulator_params_path=None if is_packaged else recorded_path(str(parameters), directory),
        ego_id=config.get("ego_id", DEFAULT_EGO_ID),
        gui=gui,
        sumo=sumo or _sumo_settings(config, directory),
        task=task or TaskSettings.parse(config.get("task") or {}, f"{directory}: task settings", RunDirectoryError),
    )


def _sumo_settings(config: dict[str, Any], directory: Path) -> SumoSettings:
    """Of the recorded settings only what changes the meaning of an episode: the run may have had another backend, or a window."""
    recorded = SumoSettings.parse(config.get("sumo") or {}, f"{directory}: sumo settings", RunDirectoryError)
    return SumoSettings(watch_radius_m=recorded.watch_radius_m)


def _recorded_config(layout: RunLayout) -> tuple[dict[str, Any], bool]:
    """The settings, and whether they are those of a training run."""
    if layout.config.is_file() or not layout.metrics.is_file():
        return read_json_object(layout.config, RunDirectoryError), True
    config = read_json_object(layout.metrics, RunDirectoryError).get("config")
    if not isinstance(config, dict):
        raise RunDirectoryError(f"{layout.metrics}: not a metrics.json of RoadSense (no config); check the path")
    return config, False
