"""`roadsense compare`."""

from __future__ import annotations

import argparse
from pathlib import Path

from roadsense.artifacts.files import write_json
from roadsense.env.record import EpisodeRecord
from roadsense.errors import UsageError
from roadsense.evaluation.episode_table import evaluation_records
from roadsense.evaluation.judgement import BASELINE, judge
from roadsense.evaluation.metrics_file import evaluation_content
from roadsense.evaluation.table import print_judgement, table_console

Policies = dict[str, list[EpisodeRecord]]


def add_flags(parser: argparse.ArgumentParser) -> None:
    """One or two tables, and which policies in them."""
    parser.add_argument(
        "tables", type=Path, nargs="+", metavar="EPISODES", help="episodes.parquet of an evaluation or a run, or two of them"
    )
    parser.add_argument(
        "--policies",
        metavar="A,B",
        help="judge A beside B and further ones; with two tables, A in the first against B in the second (default: every policy of one "
        "table, or the first one of each of two)",
    )
    parser.add_argument("--json", type=Path, metavar="PATH", help="write all figures, as in metrics.json")


def run(flags: argparse.Namespace) -> int:
    """Judge policies by their recorded episodes; nothing is driven."""
    if len(flags.tables) > 2:
        raise UsageError(f"{len(flags.tables)} tables given; give one, or two to compare a policy of each")
    names = [name for name in (flags.policies or "").split(",") if name]
    chosen = _of_one(flags.tables[0], names) if len(flags.tables) == 1 else _of_two(flags.tables[0], flags.tables[1], names)
    judgement = judge(chosen)
    if flags.json is not None:
        write_json(flags.json, evaluation_content(judgement))
    count = len(next(iter(chosen.values())))
    print_judgement(table_console(), judgement, f"{count} identical episodes for every policy")
    return 0


def _of_one(path: Path, names: list[str]) -> Policies:
    """The named policies of a table, or all; never_brake comes along, because it tells which hazards are critical."""
    found = evaluation_records(path)
    chosen = {name: _named(found, name, path) for name in names} or found
    if BASELINE in found:
        chosen.setdefault(BASELINE, found[BASELINE])
    if len(chosen) < 2:
        raise UsageError(f"{path}: holds one policy, {next(iter(chosen))}; give a second table, or evaluate with --compare")
    return chosen


def _of_two(first: Path, second: Path, names: list[str]) -> Policies:
    """One policy of each table, told apart by a number where both have the same name; never_brake comes from whichever has it."""
    if len(names) not in (0, 2):
        raise UsageError(f"--policies {','.join(names)} with two tables; name one policy of each, for example learned,ttc_radio")
    sides = evaluation_records(first), evaluation_records(second)
    a, b = names or [next(iter(side)) for side in sides]
    shown = (a, b) if a != b else (f"{a} (1)", f"{b} (2)")
    chosen = {shown[0]: _named(sides[0], a, first), shown[1]: _named(sides[1], b, second)}
    baseline = sides[0].get(BASELINE) or sides[1].get(BASELINE)
    return chosen if baseline is None else {**chosen, BASELINE: baseline}


def _named(found: Policies, name: str, path: Path) -> list[EpisodeRecord]:
    if name not in found:
        raise UsageError(f"{path}: holds no episodes of {name!r}; its policies are {', '.join(found)}")
    return found[name]
