"""`roadsense soak`."""

from __future__ import annotations

import argparse
from dataclasses import fields

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from roadsense.cli.flags import add_settings_flags, settings_from_flags
from roadsense.training.soak import Footprint, SoakResult, SoakSettings, soak


def add_flags(parser: argparse.ArgumentParser) -> None:
    """One flag per setting."""
    add_settings_flags(parser, SoakSettings)


def run(flags: argparse.Namespace) -> int:
    """Torment, and show what came of it."""
    progress = Console(stderr=True, highlight=False)
    result = soak(settings_from_flags(SoakSettings, flags), lambda line: progress.print(line, soft_wrap=True))
    _print(result, Console(highlight=False))
    return 0


def _print(result: SoakResult, console: Console) -> None:
    table = Table(title="held by the soak", title_justify="left", box=SIMPLE_HEAD, padding=(0, 1, 0, 0))
    for heading in ("", "start", "end", "closed"):
        table.add_column(heading, justify="left" if not heading else "right")
    for entry in fields(Footprint):
        values = (getattr(footprint, entry.name) for footprint in (result.first, result.last, result.end))
        table.add_row(entry.name.replace("_mb", ", MB"), *(f"{value:.0f}" for value in values))
    console.print(table)
    console.print(
        f"{result.episodes:,} episodes, {result.steps:,} steps, {result.survived} faults survived, nothing lost, nothing left",
        soft_wrap=True,
    )
    for kind, times_s in result.recoveries_s.items():
        if times_s:
            mean_s = sum(times_s) / len(times_s)
            console.print(
                f"{kind}: {len(times_s)}, driving again after {mean_s:.2f} s on average, {max(times_s):.2f} s at worst", soft_wrap=True
            )
