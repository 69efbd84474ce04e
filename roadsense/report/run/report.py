"""The report: runs are read, put side by side, judged, drawn and written to one page."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from markupsafe import Markup

from roadsense.artifacts.files import check_writable
from roadsense.errors import UsageError
from roadsense.evaluation.judgement import BASELINE
from roadsense.evaluation.reference import REFERENCE_POLICIES
from roadsense.report.figures import comparison, course
from roadsense.report.figures.theme import Drawing, Size, inline, require_matplotlib, write_figures
from roadsense.report.pages import write_page
from roadsense.report.run import answer as words
from roadsense.report.run.answer import Answer, answer, spread
from roadsense.report.run.captions import CAPTIONS
from roadsense.report.run.facts import cost_rows, provenance_rows
from roadsense.report.run.lists import EvaluationList, evaluation_lists
from roadsense.report.run.replays import ShownEpisode, shown_episodes
from roadsense.report.run.source import Source, read_source

if TYPE_CHECKING:
    from matplotlib.figure import Figure as MatplotlibFigure


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """All that is shown of one list of episodes; figures by name, as SVG."""

    listed: EvaluationList
    answers: tuple[Answer, ...]
    spread: str
    figures: dict[str, Figure]
    shown: tuple[ShownEpisode, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """A figure in the page."""

    svg: Markup
    caption: str


def write_report(
    directories: Sequence[Path],
    output: Path,
    *,
    figures_dir: Path | None = None,
    replays: int = 4,
    play: bool = True,
    dataset_dir: Path | None = None,
    progress: Callable[[str], None] | None = None,
) -> None:
    """Read the runs, judge them again from their episodes and write the page.

    Args:
        directories: run directories or output directories of evaluations.
        output: the page.
        figures_dir: also write every figure there, as SVG and PNG.
        replays: worst episodes per judged policy.
        play: drive them again, to be watched.
        dataset_dir: where the dataset lies now, if it was moved.
        progress: called with what is being done.

    Raises:
        RunDirectoryError: a run cannot be read, or a file cannot be written. UsageError: a run is named twice.
        DependencyError: a package or SUMO is missing.
    """
    require_matplotlib()
    check_writable(output)
    resolved = [directory.resolve() for directory in directories]
    twice = [directory for directory in resolved if resolved.count(directory) > 1]
    if twice:
        raise UsageError(f"{twice[0]} is named twice; name each run once")
    say = progress or (lambda _: None)
    sources = [read_source(directory) for directory in directories]
    lists = evaluation_lists(sources)
    parts: list[Part] = []
    drawings: list[Drawing] = []
    for place, listed in enumerate(lists):
        drawn = _drawings(listed, f"list_{place + 1}_" if len(lists) > 1 else "")
        shown = shown_episodes(
            listed, replays, dataset_dir=dataset_dir, play=play, progress=lambda identity: say(f"driving {identity} again")
        )
        say("drawing")
        drawings += drawn.values()
        parts.append(
            Part(
                listed=listed,
                answers=tuple(answer(listed, policy) for policy in listed.judged),
                spread=spread(listed),
                figures={name: Figure(svg=inline(drawing), caption=drawing.caption) for name, drawing in drawn.items()},
                shown=shown,
            )
        )
    learning = _learning(lists)
    if figures_dir is not None:
        write_figures([*([learning] if learning else []), *drawings], figures_dir)
    write_page(
        output,
        "report.html.j2",
        title=_title(sources),
        subtitle=_subtitle(sources),
        sources=sources,
        parts=parts,
        learning=None if learning is None else Figure(svg=inline(learning), caption=learning.caption),
        provenance=provenance_rows(sources),
        cost=cost_rows(sources),
        styles=("base.css", "report.css", "player.css"),
        words=words,
    )


def _judged(sources: Sequence[Source]) -> Sequence[Source]:
    """Those the report is about: not the evaluations of references alone that stand beside them."""
    return [source for source in sources if source.judged not in REFERENCE_POLICIES] or sources


def _title(sources: Sequence[Source]) -> str:
    if len(judged := _judged(sources)) > 1:
        return f"{len(judged)} runs side by side"
    source = judged[0]
    return f"{source.name}: how {source.judged} drives" if source.training is None else f"{source.name}: what it learned"


def _subtitle(sources: Sequence[Source]) -> str:
    """What was trained, as far as it is recorded."""
    if len(judged := _judged(sources)) > 1:
        return ", ".join(source.name for source in judged)
    source = judged[0]
    steps = (source.training or {}).get("training_timesteps")
    seed = (source.provenance or {}).get("seed")
    parts = [
        str(source.metrics["run_id"]),
        f"{steps:,.0f} training steps" if steps is not None else "",
        f"seed {seed}" if seed is not None else "",
        f"evaluated {str(source.metrics.get('timestamp', ''))[:10]}" if source.metrics.get("timestamp") else "",
    ]
    return " · ".join(filter(None, parts))


def _learning(lists: Sequence[EvaluationList]) -> Drawing | None:
    rows_of = {name: source.progress for listed in lists for name, source in listed.sources.items()}
    if not any(rows_of.values()):
        return None
    return Drawing(name="learning_curves", caption=CAPTIONS["learning_curves"], draw=partial(course.curves, rows_of))


def _drawings(listed: EvaluationList, prefix: str) -> dict[str, Drawing]:
    heat_names = [*listed.judged, *([BASELINE] if BASELINE in listed.references else [])][:4]
    figures: dict[str, Callable[[Size], MatplotlibFigure]] = {
        "answer": partial(comparison.answer, listed),
        "outcomes": partial(comparison.outcomes, listed),
        "distributions": partial(course.distributions, listed),
    }
    if any(values["hazard_episodes"] for values in listed.figures.values()):
        figures["heat_map"] = partial(course.heat_map, listed, heat_names)
        figures["by_base"] = partial(comparison.by_base, listed)
    if any(listed.paired.values()):
        figures["avoided"] = partial(comparison.avoided, listed)
    return {name: Drawing(name=f"{prefix}{name}", caption=CAPTIONS[name], draw=draw) for name, draw in figures.items()}
