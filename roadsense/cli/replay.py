"""`roadsense replay`."""

from __future__ import annotations

import argparse
from pathlib import Path

from pydantic import Field
from rich.console import Console

from roadsense.artifacts.files import check_writable
from roadsense.artifacts.layout import RunLayout
from roadsense.cli.flags import add_settings_flags, settings_from_flags
from roadsense.cli.pace import Pace
from roadsense.config import Settings, SumoSettings
from roadsense.env.record import EpisodeRecord
from roadsense.errors import RunDirectoryError, UsageError
from roadsense.evaluation.replay import recorded_episode
from roadsense.report.episode.recording import Recording, record_episode
from roadsense.report.episode.stage import stage
from roadsense.training.settings import TrainSettings


class ReplaySettings(Settings):
    """Which episode to play again, and how it is to be watched."""

    run: Path = Field(description="run directory, or the --output_dir of an evaluation")
    episode: int = Field(0, ge=0, description="row of its episodes.parquet, counted from 0")
    dataset_dir: Path | None = Field(None, description="where the run's dataset lies now, if it was moved")
    html: Path | None = Field(None, description="write a page to watch it in")
    gif: Path | None = Field(None, description="write an animation of it")
    gif_from_s: float | None = Field(
        None, ge=0, description="begin of the animation (default: 2 s before the hazard, or before the braking)"
    )
    gif_until_s: float | None = Field(None, ge=0, description="end of the animation (default: 12 s after its begin, or the episode's end)")
    gui: bool = Field(False, description="watch it in sumo-gui")
    speed: float = Field(1.0, gt=0, description="times real time, with --gui")
    sumo: SumoSettings = SumoSettings()


def add_flags(parser: argparse.ArgumentParser) -> None:
    """One flag per setting."""
    add_settings_flags(parser, ReplaySettings)


def run(flags: argparse.Namespace) -> int:
    """Play the episode, say whether it went as recorded, and write what was asked for."""
    settings = settings_from_flags(ReplaySettings, flags)
    if settings.gif is not None:
        from roadsense.report.episode.gif import require_pillow

        require_pillow()  # refused before anything is driven
    elif settings.gif_from_s is not None or settings.gif_until_s is not None:
        raise UsageError("--gif_from_s and --gif_until_s choose a part of an animation; name its file with --gif")
    for path in filter(None, (settings.html, settings.gif)):
        check_writable(path)
    recorded, policy = recorded_episode(RunLayout(settings.run).episodes, settings.episode)
    sumo = settings.sumo if "sumo" in settings.model_fields_set else None
    training = recorded.identity.startswith("train:")
    task = TrainSettings.load_json(RunLayout(settings.run).config, RunDirectoryError).training_task if training else None
    env = stage(settings.run, training=training, dataset_dir=settings.dataset_dir, gui=settings.gui, sumo=sumo, task=task)
    console = Console(highlight=False)
    console.print(
        f"{recorded.identity} in {recorded.scenario_id}, policy {policy}: {recorded.outcome.value} after {recorded.steps} steps, "
        f"return {recorded.episode_return:.3f}, {_hazard(recorded)}",
        soft_wrap=True,
    )
    try:
        recording = record_episode(env, recorded, policy, Pace(settings.speed) if settings.gui else lambda: None)
    finally:
        env.close()
    console.print("replayed exactly")
    _write(settings, recording, console)
    return 0


def _write(settings: ReplaySettings, recording: Recording, console: Console) -> None:
    if settings.html is not None:
        from roadsense.report.episode.page import write_replay

        write_replay(recording, settings.html)
        console.print(f"written: {settings.html}", soft_wrap=True)
    if settings.gif is not None:
        from roadsense.report.episode.gif import write_gif

        write_gif(recording, settings.gif, from_s=settings.gif_from_s, until_s=settings.gif_until_s)
        console.print(f"written: {settings.gif}", soft_wrap=True)


def _hazard(recorded: EpisodeRecord) -> str:
    return f"hazard at {recorded.hazard_onset_s:.1f} s" if recorded.hazard_fired else "no hazard"
