"""Several policies on the identical episodes: the learned one, and the reference policies beside it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from roadsense.artifacts.files import atomic_path
from roadsense.env.record import EpisodeRecord
from roadsense.evaluation.episode_table import EpisodeTableWriter
from roadsense.evaluation.evaluate import EnvironmentSpec, Map, evaluate
from roadsense.evaluation.judgement import Judgement, judge

Progress = Callable[[str, int, int], None]  # policy name, episodes done, episodes in all


def compare(
    environment: EnvironmentSpec,
    policies: dict[str, str],
    episodes: list[tuple[str, int]],
    run_map: Map,
    *,
    table: Path,
    earlier: list[Path] | None = None,
    progress: Progress | None = None,
) -> Judgement:
    """Evaluate each policy on the same episodes and write them all to one table.

    Args:
        environment: how each worker builds its environment.
        policies: shown name -> what `resolve_policy` understands; the first one is judged.
        episodes: (scenario id, round), see `evaluation_list`.
        run_map: applies a function to chunks, in order; see `roadsense.evaluation.process_pool`.
        table: the Parquet file to write, complete or absent.
        earlier: episode tables (of training) that come first in `table`.
        progress: called after every episode.
    """
    records: dict[str, list[EpisodeRecord]] = {name: [] for name in policies}
    with atomic_path(table) as temporary, EpisodeTableWriter(temporary) as writer:
        for part in earlier or []:
            writer.add_table(part)
        for name, spec in policies.items():
            for done, record in enumerate(evaluate(environment, spec, episodes, run_map), start=1):
                writer.add(record, phase="eval", policy=name)
                # The actions are by far the largest part of a record, and no figure needs them.
                records[name].append(replace(record, actions=()))
                if progress is not None:
                    progress(name, done, len(episodes))
    return judge(records)
