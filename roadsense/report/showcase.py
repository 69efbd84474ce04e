"""What there is to see of a finished run, in its directory: the report, and an animation of its most telling episode."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from roadsense.artifacts.layout import RunLayout
from roadsense.env.outcome import Outcome
from roadsense.evaluation.episode_table import read_episodes
from roadsense.evaluation.judgement import BASELINE
from roadsense.evaluation.metrics_file import LEARNED
from roadsense.evaluation.replay import recorded_episode
from roadsense.report.episode.gif import require_pillow, write_gif
from roadsense.report.episode.recording import record_episode
from roadsense.report.episode.stage import stage
from roadsense.report.figures.theme import require_matplotlib
from roadsense.report.run.report import write_report

_RADAR = "ttc_leader"
_COLUMNS = ("policy", "identity", "outcome", "hazard_fired", "hazard_kind", "hazard_rank")


def require_showcase() -> None:
    """Raises DependencyError, with the command that helps, unless both can be made: for callers with hours of work before it."""
    require_matplotlib()
    require_pillow()


def write_showcase(run: Path, progress: Callable[[str], None] = lambda _: None) -> list[Path]:
    """Write `report.html`, and `episode.gif` if some episode tells something; returns what was written.

    Args:
        run: a finished run directory with its evaluation.
        progress: called with what is being done.

    Raises:
        RunDirectoryError: the run was not evaluated, or a file cannot be written. DependencyError: a package or SUMO is missing.
    """
    layout = RunLayout(run)
    write_report([run], layout.report, progress=progress)
    row = telling_episode(read_episodes(layout.episodes, _COLUMNS))
    if row is None:
        return [layout.report]
    progress("drawing an episode")
    recorded, policy = recorded_episode(layout.episodes, row)
    env = stage(run, training=False)
    try:
        recording = record_episode(env, recorded, policy)
    finally:
        env.close()
    write_gif(recording, layout.animation)
    return [layout.report, layout.animation]


def telling_episode(rows: Iterable[dict[str, Any]]) -> int | None:
    """The row of the learned policy's episode that says most about what hearing is worth; None if there is none.

    A hazard in which never_brake crashes and the learned policy does not; never_brake has driven no training episode. Before others those
    in which the forward radar crashes as well, then pile-ups, then hazards further ahead, then the first in the table.
    """
    outcomes: dict[tuple[str, str], str] = {}
    driven: list[tuple[int, dict[str, Any]]] = []
    for number, row in enumerate(rows):
        outcomes[row["policy"], row["identity"]] = row["outcome"]
        if row["policy"] == LEARNED and row["hazard_fired"] and row["outcome"] == Outcome.SAFE.value:
            driven.append((number, row))

    def crashes(policy: str, row: dict[str, Any]) -> bool:
        return outcomes.get((policy, row["identity"])) == Outcome.COLLISION.value

    critical = [(number, row) for number, row in driven if crashes(BASELINE, row)]
    if not critical:
        return None
    number, _ = max(
        critical, key=lambda one: (crashes(_RADAR, one[1]), one[1]["hazard_kind"] == "pile_up", one[1]["hazard_rank"] or 0, -one[0])
    )
    return number
