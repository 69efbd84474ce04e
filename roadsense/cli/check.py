"""`roadsense check`."""

from __future__ import annotations

import argparse
from pathlib import Path

from rich.console import Console

from roadsense.config import SumoSettings
from roadsense.errors import DefectsFoundError
from roadsense.scenario.check import check


def add_flags(parser: argparse.ArgumentParser) -> None:
    """The dataset to check."""
    parser.add_argument("dataset_dir", type=Path, help="directory with manifest.json")


def run(flags: argparse.Namespace) -> int:
    """List every defect; exit code 1 when there is one."""
    report_defects(flags.dataset_dir, SumoSettings(), Console(stderr=True, highlight=False))
    return 0


def report_defects(dataset_dir: Path, sumo: SumoSettings, console: Console) -> None:
    """Check a dataset with live progress and list every defect.

    Raises:
        DefectsFoundError: at least one defect was found; all of them have been printed.
    """
    with console.status("checking") as status:
        defects = check(dataset_dir, sumo=sumo, progress=lambda done, total: status.update(f"driving scenario {done} of {total}"))
    out = Console(highlight=False)
    for defect in defects:
        out.print(str(defect), soft_wrap=True, markup=False)
    if defects:
        raise DefectsFoundError(f"{dataset_dir}: {len(defects)} defects; generate the dataset anew, or mend what is listed above")
    out.print(f"{dataset_dir}: no defects", soft_wrap=True)
