"""`roadsense report`."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Final

from rich.console import Console

from roadsense.errors import UsageError
from roadsense.report.run.report import write_report

_MOST_REPLAYS: Final = 50


def add_flags(parser: argparse.ArgumentParser) -> None:
    """The runs, and where the page goes."""
    parser.add_argument(
        "runs", type=Path, nargs="+", metavar="RUN", help="run directory with its evaluation, or --output_dir of an evaluation"
    )
    parser.add_argument("--output", type=Path, default=Path("report.html"), metavar="F", help="the page (default: report.html)")
    parser.add_argument("--figures", type=Path, metavar="DIR", help="also write every figure there, as SVG and PNG")
    parser.add_argument("--replays", type=int, default=4, metavar="N", help="worst episodes shown per policy (default: 4)")
    parser.add_argument("--no_replays", action="store_true", help="name them without driving them again: no SUMO is needed")
    parser.add_argument("--dataset_dir", type=Path, metavar="D", help="where the runs' dataset lies now, if it was moved")


def run(flags: argparse.Namespace) -> int:
    """Write the page, and say where it lies."""
    if not 0 <= flags.replays <= _MOST_REPLAYS:
        raise UsageError(f"--replays is {flags.replays}; give 0 to {_MOST_REPLAYS}")
    with Console(stderr=True, highlight=False).status("reading") as status:
        write_report(
            flags.runs,
            flags.output,
            figures_dir=flags.figures,
            replays=flags.replays,
            play=not flags.no_replays,
            dataset_dir=flags.dataset_dir,
            progress=status.update,
        )
    size_mb = flags.output.stat().st_size / 1e6
    Console(highlight=False).print(f"written: {flags.output} ({size_mb:.1f} MB)", soft_wrap=True)
    return 0
