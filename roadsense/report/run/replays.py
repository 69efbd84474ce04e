"""The worst episodes, driven again to be watched in the report."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from roadsense.artifacts.layout import RunLayout
from roadsense.env.convoy_env import ConvoyEnv
from roadsense.env.record import EpisodeRecord
from roadsense.errors import DefectsFoundError, DependencyError, RoadSenseError
from roadsense.evaluation.episode_table import read_episodes, records_of
from roadsense.report.episode.payload import packed, payload
from roadsense.report.episode.recording import record_episode
from roadsense.report.episode.stage import stage
from roadsense.report.run.lists import EvaluationList
from roadsense.report.run.source import Source
from roadsense.report.run.worst import Worst, worst_episodes


@dataclass(frozen=True, slots=True, kw_only=True)
class ShownEpisode:
    """One of the worst episodes; `packed` is what the player unpacks, None where it could not be driven again, for `problem`.

    `row` is its place in the episodes.parquet of `directory`, for `roadsense replay`.
    """

    worst: Worst
    title: str
    directory: Path
    row: int
    packed: str | None
    problem: str | None


def shown_episodes(
    listed: EvaluationList, count: int, *, dataset_dir: Path | None, play: bool, progress: Callable[[str], None] | None = None
) -> tuple[ShownEpisode, ...]:
    """The worst episodes of every judged policy of a list, played again where `play` is set and the dataset is still there.

    Raises:
        DependencyError: SUMO is missing or has another version.
    """
    shown: list[ShownEpisode] = []
    for policy, source in listed.sources.items():
        worst = worst_episodes(listed, policy, count)
        if worst:
            shown += _of_source(source, worst, several=len(listed.judged) > 1, dataset_dir=dataset_dir, play=play, progress=progress)
    return tuple(shown)


def _of_source(
    source: Source, worst: Sequence[Worst], *, several: bool, dataset_dir: Path | None, play: bool, progress: Callable[[str], None] | None
) -> list[ShownEpisode]:
    rows = _rows(source, {episode.record.identity for episode in worst})
    env: ConvoyEnv | None = None
    problem = None if play else "replays were left out (--no_replays)"
    if play:
        try:
            env = stage(source.directory, training=False, dataset_dir=dataset_dir)
        except DependencyError:
            raise
        except RoadSenseError as refused:
            problem = str(refused)
    shown = []
    try:
        for episode in worst:
            if progress is not None:
                progress(episode.record.identity)
            row, recorded = rows[episode.record.identity]
            title = f"{episode.policy} {episode.reason}" if several else _sentence(episode.reason)
            content, why = (None, problem) if env is None else _played(env, recorded, episode.policy, title)
            shown.append(ShownEpisode(worst=episode, title=title, directory=source.directory, row=row, packed=content, problem=why))
    finally:
        if env is not None:
            env.close()
    return shown


def _played(env: ConvoyEnv, recorded: EpisodeRecord, policy: str, title: str) -> tuple[str | None, str | None]:
    """The packed episode, or why there is none: a dataset of another hash, or code that drives differently."""
    try:
        return packed(payload(record_episode(env, recorded, policy), title)), None
    except DependencyError:
        raise
    except (RoadSenseError, DefectsFoundError) as problem:
        return None, str(problem).splitlines()[0]


def _rows(source: Source, identities: set[str]) -> dict[str, tuple[int, EpisodeRecord]]:
    """Row number and record with its actions, of the judged policy's episodes with these identities."""
    found: dict[str, tuple[int, EpisodeRecord]] = {}
    for row, values in enumerate(read_episodes(RunLayout(source.directory).episodes)):
        if values["phase"] == "eval" and values["policy"] == source.judged and values["identity"] in identities:
            found[values["identity"]] = (row, next(records_of([values])))
    return found


def _sentence(text: str) -> str:
    return f"The ego {text}"
