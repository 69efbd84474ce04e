"""`roadsense sweep`."""

from __future__ import annotations

import argparse
from pathlib import Path

from rich.console import Console

from roadsense.cli.flags import add_settings_flags, settings_from_flags
from roadsense.cli.storage import bring_here
from roadsense.cli.train import add_recipe_flag
from roadsense.cloud.object_store import is_remote
from roadsense.errors import UsageError
from roadsense.evaluation.table import table_console
from roadsense.sweep.run import describe, planned, run_sweep
from roadsense.sweep.table import print_table
from roadsense.training.recipe import RECIPE_VALUES
from roadsense.training.sweep.files import SweepLayout
from roadsense.training.sweep.settings import SweepSettings
from roadsense.training.sweep.space import known_keys, parse_space

# What may differ between a sweep and its continuation: the budget, and how it runs. Anything else would make it another sweep.
_MAY_CHANGE = frozenset(
    {
        "stop_after_steps",
        "stop_after_minutes",
        "stop_after_usd",
        "trials_at_once",
        "dataset_dir",  # may have moved; that it is the same one is told by its hash
        "eval_dir",
        "best",
        "rounds",
        "compare",
        "dashboard",
        "mirror",
        "resume",
        "output_dir",
    }
)


def add_flags(parser: argparse.ArgumentParser) -> None:
    """One flag per setting, and what is varied."""
    add_settings_flags(parser, SweepSettings)
    add_recipe_flag(parser)
    parser.add_argument(
        "--vary",
        action="append",
        default=[],
        metavar="KEY=DOMAIN",
        help="vary this parameter instead of the default space, once for each: log(A,B), uniform(A,B) or A|B|C; "
        f"KEY is one of {', '.join(known_keys())}",
    )
    parser.add_argument("--dry_run", action="store_true", help="check everything and print the plan; start nothing, leave nothing")


def run(flags: argparse.Namespace) -> int:
    """Sweep, print the table and where everything lies."""
    chosen = settings(flags)
    if flags.dry_run:
        layout, plan = planned(chosen)
        Console(highlight=False).print(describe(chosen, layout, plan), markup=False, soft_wrap=True)
        return 0
    result = run_sweep(chosen)
    console = table_console()
    if result.table is not None:
        print_table(console, result.table)
    console.print(f"sweep directory: {result.layout.root}", soft_wrap=True)
    return result.exit_code


def settings(flags: argparse.Namespace) -> SweepSettings:
    """The settings that the flags describe; with --resume they stand on those of the sweep.

    Raises:
        UsageError: a flag would make it another sweep. RunDirectoryError: there is nothing to go on with.
    """
    if is_remote(flags.resume):
        raise UsageError(f"--resume {flags.resume}: a sweep goes on where its directory is; copy it here first, with all its files")
    bring_here(flags)
    if flags.resume is None:
        return settings_from_flags(SweepSettings, flags, {**(RECIPE_VALUES if flags.recipe else {}), "space": parse_space(flags.vary)})
    recorded = SweepLayout(Path(flags.resume)).read().settings
    if flags.vary:
        raise UsageError("--vary with --resume: the trials are drawn already; leave it out, or start a new sweep")
    resumed = settings_from_flags(SweepSettings, flags, recorded.model_dump())
    for name in SweepSettings.model_fields:
        if name not in _MAY_CHANGE and getattr(resumed, name) != getattr(recorded, name):
            raise UsageError(f"--{name} was {getattr(recorded, name)} in the sweep that is resumed; leave it out, or start a new sweep")
    return resumed
