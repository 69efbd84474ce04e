"""`roadsense inspect`."""

from __future__ import annotations

import argparse
from pathlib import Path

from rich.console import Console

from roadsense.artifacts.layout import RunLayout
from roadsense.cli.pace import Pace
from roadsense.config import SumoSettings
from roadsense.errors import UsageError
from roadsense.report.dataset.page import write_dataset_page
from roadsense.report.dataset.window import show, some_scenarios
from roadsense.scenario.dataset import Dataset


def add_flags(parser: argparse.ArgumentParser) -> None:
    """The dataset, where the page goes, and what is shown in SUMO."""
    parser.add_argument("dataset_dir", type=Path, help="directory with manifest.json")
    parser.add_argument("--output", type=Path, default=Path("dataset.html"), metavar="F", help="the page (default: dataset.html)")
    parser.add_argument("--figures", type=Path, metavar="DIR", help="also write every figure there, as SVG and PNG")
    parser.add_argument("--gui", type=int, default=0, metavar="N", help="then open N random scenarios in sumo-gui, one after the other")
    parser.add_argument("--seed", type=int, default=0, help="which ones (default: 0)")
    parser.add_argument("--gui_s", type=float, default=50.0, metavar="S", help="simulated seconds of each (default: 50)")
    parser.add_argument("--speed", type=float, default=1.0, help="times real time, with --gui (default: 1)")


def run(flags: argparse.Namespace) -> int:
    """Write the page, and open the windows."""
    for name in ("gui_s", "speed"):
        if not 0 < getattr(flags, name) < float("inf"):
            raise UsageError(f"--{name} is {getattr(flags, name)}; give a positive number")
    if flags.gui < 0 or flags.seed < 0:
        raise UsageError(f"--gui {flags.gui} --seed {flags.seed}: neither can be negative")
    if RunLayout(flags.dataset_dir).config.is_file():
        raise UsageError(
            f"{flags.dataset_dir}: is a run, with a copy of its dataset's manifest; give the dataset itself, see its config.json"
        )
    dataset = Dataset.load(flags.dataset_dir)
    chosen = some_scenarios(dataset, flags.gui, flags.seed) if flags.gui else ()
    write_dataset_page(dataset, flags.output, figures_dir=flags.figures)
    console = Console(highlight=False)
    console.print(f"written: {flags.output} ({flags.output.stat().st_size / 1e6:.1f} MB)", soft_wrap=True)
    if chosen:
        show(chosen, flags.gui_s, Pace(flags.speed), SumoSettings(), lambda line: console.print(line, soft_wrap=True))
    return 0
