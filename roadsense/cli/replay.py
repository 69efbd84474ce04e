"""`roadsense replay`."""

from __future__ import annotations

import argparse
from pathlib import Path

from pydantic import Field
from rich.console import Console

from roadsense.artifacts.layout import RunLayout
from roadsense.cli.flags import add_settings_flags, settings_from_flags
from roadsense.config import Settings, SumoSettings
from roadsense.env.convoy_env import ConvoyEnv
from roadsense.env.record import EpisodeRecord
from roadsense.errors import DefectsFoundError, RunDirectoryError
from roadsense.evaluation.replay import recorded_episode, replay
from roadsense.training.settings import TrainSettings


class ReplaySettings(Settings):
    """Which episode to play again."""

    run: Path = Field(description="run directory")
    episode: int = Field(0, ge=0, description="row of the run's episodes.parquet, counted from 0")
    dataset_dir: Path | None = Field(None, description="where the run's dataset lies now, if it was moved")
    gui: bool = Field(False, description="watch it in sumo-gui")
    sumo: SumoSettings = SumoSettings()


def add_flags(parser: argparse.ArgumentParser) -> None:
    """One flag per setting."""
    add_settings_flags(parser, ReplaySettings)


def run(flags: argparse.Namespace) -> int:
    """Play the episode and say whether it went as recorded."""
    settings = settings_from_flags(ReplaySettings, flags)
    layout = RunLayout(settings.run)
    config = TrainSettings.load_json(layout.config, RunDirectoryError)
    recorded = recorded_episode(layout.episodes, settings.episode)
    training = recorded.identity.startswith("train:")
    dataset_dir = settings.dataset_dir or (config.dataset_dir if training else config.eval_dir or config.dataset_dir)
    env = ConvoyEnv(
        dataset_dir=dataset_dir,
        sumo_cfg=config.sumo_cfg if dataset_dir is None else None,
        scenario_mode="train" if training else "eval",
        emulator_params_path=config.emulator_params,
        ego_id=config.ego_id,
        gui=settings.gui,
        sumo=settings.sumo,
        task=config.training_task if training else config.task,
    )
    try:
        result = replay(env, recorded)
    finally:
        env.close()
    console = Console(highlight=False)
    console.print(
        f"{recorded.identity} in {recorded.scenario_id}: {recorded.outcome.value} after {recorded.steps} steps, "
        f"return {recorded.episode_return:.3f}, {_hazard(recorded)}",
        soft_wrap=True,
    )
    if result.differences:
        raise DefectsFoundError(
            f"the replay differs from the record ({'; '.join(result.differences[:3])}); the code or SUMO has changed since"
        )
    console.print("replayed exactly")
    return 0


def _hazard(recorded: EpisodeRecord) -> str:
    return f"hazard at {recorded.hazard_onset_s:.1f} s" if recorded.hazard_fired else "no hazard"
