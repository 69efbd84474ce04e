"""`roadsense check`."""

from __future__ import annotations

import argparse
import json
import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from pathlib import Path

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from roadsense.config import SumoSettings
from roadsense.errors import DefectsFoundError
from roadsense.scenario.check import check
from roadsense.scenario.coverage import Coverage, coverage
from roadsense.scenario.dataset import read_manifest
from roadsense.scenario.defect import Defect


def add_flags(parser: argparse.ArgumentParser) -> None:
    """The dataset to check, and the form of the report."""
    parser.add_argument("dataset_dir", type=Path, help="directory with manifest.json")
    parser.add_argument("--json", action="store_true", help="print defects and coverage as one JSON object")


def run(flags: argparse.Namespace) -> int:
    """List every defect and what the dataset covers; exit code 1 when there is a defect."""
    report_defects(flags.dataset_dir, SumoSettings(), Console(stderr=True, highlight=False), as_json=flags.json)
    return 0


def report_defects(dataset_dir: Path, sumo: SumoSettings, console: Console, *, as_json: bool = False) -> None:
    """Check a dataset with live progress, list every defect and what the dataset covers.

    A peer count that a base allows and a split lacks is a note in the coverage, no defect: a dataset may be small on purpose.

    Raises:
        DefectsFoundError: at least one defect was found; all of them have been printed.
    """
    with console.status("checking") as status:
        defects = _drive(dataset_dir, sumo, lambda done, total: status.update(f"driving scenario {done} of {total}"))
    is_readable = not any(defect.kind == "manifest" for defect in defects)
    covered = coverage(read_manifest(dataset_dir)) if is_readable else ()
    out = Console(highlight=False, quiet=console.quiet and not defects)
    if as_json:
        out.print(_json(dataset_dir, defects, covered), soft_wrap=True, markup=False)
    else:
        _print(out, dataset_dir, defects, covered)
    if defects:
        raise DefectsFoundError(f"{dataset_dir}: {len(defects)} defects; generate the dataset anew, or mend what is listed above")


def _drive(dataset_dir: Path, sumo: SumoSettings, progress: Callable[[int, int], None]) -> list[Defect]:
    with ThreadPoolExecutor(os.cpu_count()) as pool:  # each thread waits for a SUMO of its own
        try:
            return check(dataset_dir, sumo=sumo, run=pool.map, progress=progress)
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise


def _json(dataset_dir: Path, defects: Sequence[Defect], covered: Sequence[Coverage]) -> str:
    rows = [{**asdict(row), "missing_peer_counts": row.missing_peer_counts} for row in covered]
    return json.dumps({"dataset_dir": str(dataset_dir), "defects": [asdict(defect) for defect in defects], "coverage": rows}, indent=1)


def _print(out: Console, dataset_dir: Path, defects: Sequence[Defect], covered: Sequence[Coverage]) -> None:
    if covered:
        out.print(_table(covered))
    for row in covered:
        if row.scenarios and row.missing_peer_counts:
            missing = ", ".join(map(str, row.missing_peer_counts))
            out.print(f"note: {row.split} holds no scenario of {row.base} with {missing} peers", soft_wrap=True)
    for defect in defects:
        out.print(str(defect), soft_wrap=True, markup=False)
    if not defects:
        out.print(f"{dataset_dir}: no defects", soft_wrap=True)


def _table(covered: Sequence[Coverage]) -> Table:
    ranks = max(len(row.hazard_ranks) for row in covered)
    title = "Scenarios, and in how many the k-th peer ahead can brake (k = 1, 2, ...)"
    table = Table(title=title, title_justify="left", box=SIMPLE_HEAD, padding=(0, 1, 0, 0))
    for header in ("base", "split"):
        table.add_column(header, no_wrap=True)
    for header in ("all", *(str(rank) for rank in range(1, ranks + 1))):
        table.add_column(header, justify="right")
    for row in covered:
        by_rank = [str(count) for count in row.hazard_ranks] + [""] * (ranks - len(row.hazard_ranks))
        table.add_row(row.base, row.split, str(row.scenarios), *by_rank)
    return table
