"""The leaderboard: reference policies and committed ones on one named evaluation list, driven again and compared with what is committed.

How to run
    make leaderboard                                                          drive everything, compare; exit code 1 if anything differs
    python benchmarks/leaderboard.py --only ttc_radio,five_million            the same for some policies (never_brake always comes along)
    python benchmarks/leaderboard.py --add mine=docs/leaderboard/mine.zip     drive a further policy and write it into the table
    python benchmarks/leaderboard.py --update                                 drive everything and write what came out

What to expect
    The dataset is generated anew and must have the committed hash. Then 385 episodes per policy: about 8 minutes on 2 cores for all.
    docs/leaderboard/leaderboard.json says what is driven and what came out; the table between the markers of docs/leaderboard.md follows
    from it.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Self

from pydantic import Field, JsonValue, model_validator
from rich.console import Console

from roadsense.artifacts.files import atomic_path, sha256_of, write_json
from roadsense.config import DEFAULT_EGO_ID, Settings
from roadsense.env.episodes import evaluation_plan
from roadsense.env.record import EpisodeRecord
from roadsense.errors import DefectsFoundError, RoadSenseError, UsageError
from roadsense.evaluation.episode_table import evaluation_records
from roadsense.evaluation.evaluate import EnvironmentSpec, close_environments, evaluate, evaluation_list
from roadsense.evaluation.judgement import BASELINE, judge
from roadsense.evaluation.metrics_file import LEARNED
from roadsense.evaluation.policies import resolve_policy
from roadsense.evaluation.process_pool import process_map
from roadsense.scenario.dataset import Dataset
from roadsense.scenario.generate import GenerateSettings, generate

ROOT = Path(__file__).resolve().parent.parent
sys.path.append(str(ROOT))  # policies named module:function lie in the repository
BEGIN, END = "<!-- leaderboard: begin, written by benchmarks/leaderboard.py -->", "<!-- leaderboard: end -->"
# What is committed of a policy's figures, and compared digit by digit: every one follows from the episodes alone.
COUNTS = ("eval_episodes", "hazard_episodes", "hazard_collisions", "critical_hazards", "critical_hazard_collisions", "faults")
RATES = (
    "hazard_collision_rate",
    "critical_hazard_collision_rate",
    "false_braking_rate",
    "avg_reaction_s",
    "avg_peak_braking_mps2",
    "avg_impact_speed_mps",
    "avg_progress_m",
    "avg_reward",
)
# Columns of the table after the shares, with the digits shown.
MEANS = (("avg_reaction_s", 2), ("avg_peak_braking_mps2", 1), ("avg_progress_m", 0), ("avg_reward", 2))
DIGITS = 9  # beyond them, another machine's last bit is no other result
_LARGEST_POLICY_BYTES = 100_000

Figures = dict[str, JsonValue]
Records = dict[str, list[EpisodeRecord]]


class Entry(Settings):
    """A policy of the board: what `resolve_policy` understands, where it comes from, and what it reached."""

    policy: str = Field(description="reference policy, model file below the repository, or module:function")
    note: str = ""
    sha256: str | None = Field(None, pattern=r"^[0-9a-f]{64}$", description="of a model file")
    figures: dict[str, JsonValue] | None = None


class Leaderboard(Settings):
    """The committed board: what is driven, and what came out."""

    dataset_seed: int = Field(ge=0)
    dataset_hash: str = Field(pattern=r"^[0-9a-f]{64}$")
    rounds: int = Field(ge=1)
    entries: dict[str, Entry]

    @model_validator(mode="after")
    def _check_baseline(self) -> Self:
        if BASELINE not in self.entries:
            raise ValueError(f"entries lack {BASELINE}, which tells the critical hazards; add it")
        return self


def figures_of(summary: Mapping[str, Any]) -> Figures:
    """What the board keeps of a policy's figures, rounded to what is compared."""
    kept: Figures = {name: summary[name] for name in COUNTS}
    kept |= {name: _rounded(summary[name]) for name in RATES}
    intervals = summary["intervals"]
    kept["intervals"] = {name: None if (ends := intervals.get(name)) is None else [_rounded(end) for end in ends] for name in RATES}
    return kept


def youden(figures: Mapping[str, Any]) -> float:
    """1 - critical crashes - false braking (the index of Youden 1950): 1 is perfect, 0 what never_brake and always_brake reach."""
    return 1.0 - (figures["critical_hazard_collision_rate"] or 0.0) - (figures["false_braking_rate"] or 0.0)


def table(board: Leaderboard) -> str:
    """The entries that have figures as a Markdown table, the best first."""
    lines = [
        "| policy | J | crashes in critical hazards | crashes in hazards | false braking | reaction s | peak m/s² | driven m | return | |",
        "|---|---|---|---|---|---|---|---|---|---|",
    ]
    shown = {name: entry for name, entry in board.entries.items() if entry.figures is not None}
    for name, entry in sorted(shown.items(), key=lambda item: (-youden(item[1].figures or {}), item[0])):
        figures: Any = entry.figures
        cells = [
            f"**{name}**" if entry.sha256 else name,
            f"{youden(figures):.3f}",
            f"{figures['critical_hazard_collisions']} of {figures['critical_hazards']}: "
            + _share(figures, "critical_hazard_collision_rate"),
            _share(figures, "hazard_collision_rate"),
            _share(figures, "false_braking_rate"),
            *(_mean(figures[key], digits) for key, digits in MEANS),
            entry.note,
        ]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def page_with(text: str, content: str, page: Path) -> str:
    """The page's text with `content` between its markers.

    Raises:
        UsageError: the markers are not there.
    """
    before, begin, rest = text.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise UsageError(f"{page}: lacks the markers of the table; put these two lines where it belongs: {BEGIN} {END}")
    return f"{before}{BEGIN}\n\n{content}\n\n{END}{after}"


def drive(board: Leaderboard, names: Sequence[str], dataset: Dataset) -> Records:
    """Drive the named policies over the whole list and return their records, without actions."""
    specs = {name: _located(board.entries[name].policy) for name in names}
    for spec in specs.values():
        resolve_policy(spec)  # refused before anything runs
    episodes = evaluation_list(dataset, rounds=board.rounds)
    environment = EnvironmentSpec(dataset_dir=dataset.directory.resolve(), sumo_cfg=None, emulator_params_path=None, ego_id=DEFAULT_EGO_ID)
    processes = min(len(os.sched_getaffinity(0)), len(episodes))
    records: Records = {name: [] for name in specs}
    with Console(stderr=True, highlight=False).status("driving") as status, process_map(processes, close_environments) as run_map:
        for name, spec in specs.items():
            for record in evaluate(environment, spec, episodes, run_map):
                records[name].append(replace(record, actions=()))
                status.update(f"driving {name}: {len(records[name])} of {len(episodes)} episodes")
    return records


def taken(path: Path, names: Sequence[str], dataset: Dataset, rounds: int) -> Records:
    """The records of the named policies that an evaluation of the same list has left in its episodes.parquet.

    Raises:
        UsageError: it was an evaluation of another list.
    """
    wanted = {
        evaluation_plan(dataset, scenario, round_index).identity.label()
        for scenario, round_index in evaluation_list(dataset, rounds=rounds)
    }
    found = {name: records for name, records in evaluation_records(path).items() if name in names or name == LEARNED}
    if LEARNED in found and len(names) == 2:  # `roadsense evaluate --run` calls every policy so: here it is the one that is added
        found[names[1]] = found.pop(LEARNED)
    for name, records in found.items():
        if {record.identity for record in records} != wanted:
            raise UsageError(f"{path}: the episodes of {name} are not those of the board; evaluate with --rounds {rounds} on its dataset")
    return found


def differences(board: Leaderboard, driven: Mapping[str, Figures]) -> list[str]:
    """One line for every figure that is not the committed one."""
    lines = []
    for name, seen in driven.items():
        committed = board.entries[name].figures
        if committed is None:
            lines.append(f"{name}: no figures are committed; write them with --update or --add")
            continue
        lines += [
            f"{name}: {key} is {value}, committed is {committed.get(key)}" for key, value in seen.items() if committed.get(key) != value
        ]
    return lines


def run(words: Sequence[str]) -> int:
    """Compare (or write) the board; returns 0, or 1 when anything differs."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0], allow_abbrev=False)
    parser.add_argument("--board", type=Path, default=ROOT / "docs/leaderboard/leaderboard.json", help="what is driven and committed")
    parser.add_argument("--page", type=Path, default=ROOT / "docs/leaderboard.md", help="the page with the table")
    parser.add_argument("--dataset_dir", type=Path, help="the dataset, if it lies here already (default: generated in a temporary folder)")
    parser.add_argument(
        "--episodes",
        type=Path,
        nargs="+",
        default=[],
        help="with --update or --add: do not drive what evaluations have left in these episodes.parquet",
    )
    parser.add_argument("--only", metavar="A,B", help="these policies alone")
    what = parser.add_mutually_exclusive_group()
    what.add_argument("--update", action="store_true", help="write what comes out instead of comparing it")
    what.add_argument("--add", metavar="NAME=POLICY", help="drive a further policy, or a known one anew, and write it")
    parser.add_argument("--note", default="", help="with --add: where the policy comes from, in a few words")
    flags = parser.parse_args(words)
    board, names = Leaderboard.load_json(flags.board), _names(flags.only)
    if flags.add is not None:
        board, name = _with_entry(board, flags.add, flags.note)
        names = [name]
    if flags.episodes and not (flags.update or flags.add is not None):
        raise UsageError("--episodes compares nothing that was driven now; leave it out, or write the board with --update or --add")
    unknown = [name for name in names if name not in board.entries]
    if unknown:
        raise UsageError(f"the board has no {unknown[0]}; it has {', '.join(board.entries)}")
    names = names or list(board.entries)
    _check_files(board, names, update=flags.update or flags.add is not None)
    with tempfile.TemporaryDirectory(prefix="roadsense-leaderboard-") as scratch:
        dataset = _dataset(board, flags.dataset_dir, Path(scratch))
        names = list(dict.fromkeys((BASELINE, *names)))  # which hazards are critical is told by it
        known: Records = {}
        for path in flags.episodes:
            known |= taken(path, names, dataset, board.rounds)
        records = known | drive(board, [name for name in names if name not in known], dataset)
    judged = judge({name: records[name] for name in names}).figures
    driven = {name: figures_of(judged[name]) for name in names}
    if flags.update or flags.add is not None:
        _write(_updated(board, driven), flags.board, flags.page)
        return 0
    found = differences(board, driven)
    page_text = flags.page.read_text(encoding="utf-8")
    if page_with(page_text, table(board), flags.page) != page_text:
        found.append(f"{flags.page}: the table is not that of {flags.board.name}; write both with --update")
    if found:
        raise DefectsFoundError("\n".join([f"{len(found)} differences from the committed leaderboard", *found]))
    print(f"{len(driven)} policies on {dataset.hash[:12]}, {board.rounds} rounds: every figure is the committed one")
    return 0


def _names(only: str | None) -> list[str]:
    return list(filter(None, (only or "").split(",")))


def _with_entry(board: Leaderboard, assignment: str, note: str) -> tuple[Leaderboard, str]:
    name, _, spec = assignment.partition("=")
    if not name or not spec:
        raise UsageError(f"--add {assignment!r} is no NAME=POLICY; write for example --add mine=docs/leaderboard/mine.zip")
    known = board.entries.get(name)
    entry = Entry(policy=spec, note=note or (known.note if known is not None else ""))
    return board.model_copy(update={"entries": {**board.entries, name: entry}}), name


def _check_files(board: Leaderboard, names: Sequence[str], *, update: bool) -> None:
    """Model files must be small, and those that were judged.

    Raises:
        UsageError: a file is too large to be committed. DefectsFoundError: it is not the one with the committed figures.
    """
    for name in names:
        entry = board.entries[name]
        path = Path(_located(entry.policy))
        if not path.is_file():
            continue
        if path.stat().st_size > _LARGEST_POLICY_BYTES:
            raise UsageError(f"{path}: {path.stat().st_size:,} bytes, more than the {_LARGEST_POLICY_BYTES:,} of a committed policy")
        if not update and sha256_of(path) != entry.sha256:
            raise DefectsFoundError(f"{path}: is not the file that was judged (its SHA-256 differs); restore it, or judge it with --add")


def _located(spec: str) -> str:
    """Model files are named from the root of the repository, wherever this is run."""
    return str(ROOT / spec) if (ROOT / spec).is_file() else spec


def _dataset(board: Leaderboard, given: Path | None, scratch: Path) -> Dataset:
    """The named dataset.

    Raises:
        DefectsFoundError: it has another hash.
    """
    if given is not None:
        dataset = Dataset.load(given)
    else:
        dataset = generate(GenerateSettings(seed=board.dataset_seed, base_dir=ROOT / "scenarios/base", output_dir=scratch / "dataset"))
    if dataset.hash != board.dataset_hash:
        raise DefectsFoundError(
            f"{dataset.directory}: the dataset hash is {dataset.hash[:12]}, the board is for {board.dataset_hash[:12]}; "
            "no figure can be compared, use the commit that the board was made with or make a new board"
        )
    return dataset


def _updated(board: Leaderboard, driven: Mapping[str, Figures]) -> Leaderboard:
    entries = dict(board.entries)
    for name, figures in driven.items():
        path = Path(_located(entries[name].policy))
        digest = sha256_of(path) if path.is_file() else None
        entries[name] = entries[name].model_copy(update={"figures": figures, "sha256": digest})
    return board.model_copy(update={"entries": entries})


def _write(board: Leaderboard, board_path: Path, page: Path) -> None:
    text = page_with(page.read_text(encoding="utf-8"), table(board), page)
    write_json(board_path, board.model_dump(mode="json"))
    with atomic_path(page) as temporary:
        temporary.write_text(text, encoding="utf-8")
    print(f"written: {board_path} and the table of {page}")


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(float(value), DIGITS)


def _share(figures: Mapping[str, Any], key: str) -> str:
    value, ends = figures[key], figures["intervals"].get(key)
    if value is None:
        return "--"
    return f"{100 * value:.2f} %" + ("" if ends is None else f" ({100 * ends[0]:.2f} to {100 * ends[1]:.2f})")


def _mean(value: float | None, digits: int) -> str:
    return "--" if value is None else f"{value:.{digits}f}"


if __name__ == "__main__":
    try:
        sys.exit(run(sys.argv[1:]))
    except RoadSenseError as error:
        print(f"leaderboard: {error}", file=sys.stderr)
        sys.exit(error.exit_code)
