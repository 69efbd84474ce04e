"""`roadsense bench`."""

from __future__ import annotations

import argparse
from pathlib import Path

from rich.console import Console

from roadsense.artifacts.files import write_json
from roadsense.artifacts.provenance import collect_provenance
from roadsense.bench.benchmark import QUICK, Benchmark, BenchmarkPlan
from roadsense.bench.report import print_result, read_result, slower_ratios
from roadsense.errors import DefectsFoundError


def add_flags(parser: argparse.ArgumentParser) -> None:
    """What is measured, and where it goes."""
    parser.add_argument("--quick", action="store_true", help="fewer and shorter measurements: minutes instead of half an hour")
    parser.add_argument("--json", type=Path, metavar="PATH", help="write all figures")
    parser.add_argument("--compare_with", type=Path, metavar="PATH", help="an earlier result; exit code 1 when a ratio is clearly worse")


def run(flags: argparse.Namespace) -> int:
    """Measure, print, write, compare."""
    committed = None if flags.compare_with is None else read_result(flags.compare_with)
    progress = Console(stderr=True, highlight=False)
    result = Benchmark(QUICK if flags.quick else BenchmarkPlan(), lambda what: progress.print(what, soft_wrap=True)).run()
    result["provenance"] = collect_provenance({})
    print_result(result, Console(highlight=False))
    if flags.json is not None:
        write_json(flags.json, result)
    if committed is not None and (worse := list(slower_ratios(result, committed))):
        raise DefectsFoundError(f"slower than {flags.compare_with}: {'; '.join(worse)}")
    return 0
