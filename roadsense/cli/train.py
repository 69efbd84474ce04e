"""`roadsense train`."""

from __future__ import annotations

import argparse
from pathlib import Path

from roadsense.artifacts.layout import RunLayout
from roadsense.cli.flags import add_settings_flags, settings_from_flags
from roadsense.cli.lost_dataset import generate_again
from roadsense.cli.storage import bring_here
from roadsense.errors import RunDirectoryError, UsageError
from roadsense.experiment import run_experiment, show_result
from roadsense.training.recipe import RECIPE_VALUES, recipe_in_words
from roadsense.training.settings import TrainSettings

# What may differ between a run and its continuation; anything else would make it another run.
_MAY_CHANGE = frozenset(
    {
        "total_timesteps",
        "dataset_dir",  # may have moved; that it is the same one is told by its hash
        "eval_dir",
        "eval_episodes",
        "skip_eval",
        "num_env_runners",
        "checkpoint_every",
        "keep_checkpoints",
        "gui",
        "local",
        "dashboard",
        "mirror",
        "resume",
        "resume_anyway",
    }
)


def add_flags(parser: argparse.ArgumentParser) -> None:
    """One flag per setting."""
    add_settings_flags(parser, TrainSettings)
    add_recipe_flag(parser)
    add_quiet_flag(parser)


def add_recipe_flag(parser: argparse.ArgumentParser) -> None:
    """Where the settings begin."""
    parser.add_argument(
        "--recipe",
        action="store_true",
        help=f"begin with the recipe of docs/decisions/0007 ({recipe_in_words()}); a resumed run keeps its own",
    )


def add_quiet_flag(parser: argparse.ArgumentParser) -> None:
    """How it is shown is no setting of the run."""
    parser.add_argument("--quiet", action="store_true", help="show no progress, only the result and errors; training.log has every line")


def run(flags: argparse.Namespace) -> int:
    """Train, evaluate, print the table and the run directory."""
    result = run_experiment(settings(flags), quiet=flags.quiet)
    show_result(result)
    return result.exit_code


def settings(flags: argparse.Namespace) -> TrainSettings:
    """The settings that the flags describe; with --resume they stand on the run's own configuration.

    `s3://` addresses are fetched, or become `--mirror`.

    Raises:
        UsageError: a flag would change a setting of the run that is resumed. DatasetError: its dataset is gone and cannot be made again.
    """
    bring_here(flags)
    if flags.resume is None:
        return settings_from_flags(TrainSettings, flags, RECIPE_VALUES if flags.recipe else None)
    recorded = TrainSettings.load_json(RunLayout(Path(flags.resume)).config, RunDirectoryError)
    # The run's own directory comes from --resume: the run may have been moved since.
    base = recorded.model_dump() | {"output_dir": None, "run_id": recorded.run_id}
    if flags.dataset_dir is None and recorded.dataset_dir is not None and not recorded.dataset_dir.exists():
        base["dataset_dir"] = generate_again(Path(flags.resume), recorded)
    resumed = settings_from_flags(TrainSettings, flags, base | {"resume_anyway": False})
    if resumed.resume_anyway:
        return resumed
    for name in TrainSettings.model_fields:
        if name not in _MAY_CHANGE and name != "output_dir" and getattr(resumed, name) != getattr(recorded, name):
            was = getattr(recorded, name)
            raise UsageError(f"--{name} was {was} in the run that is resumed; leave the flag out, start a new run, or give --resume_anyway")
    return resumed
