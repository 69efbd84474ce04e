"""One episode as a page of its own."""

from __future__ import annotations

from pathlib import Path

from roadsense.report.episode.events import OUTCOME_WORDS
from roadsense.report.episode.payload import packed, payload
from roadsense.report.episode.recording import Recording
from roadsense.report.pages import write_page


def headline(recording: Recording) -> str:
    """What happened, in one line."""
    return f"The ego {OUTCOME_WORDS[recording.record.outcome]}"


def write_replay(recording: Recording, path: Path) -> None:
    """Write the page.

    Raises:
        RunDirectoryError: the file cannot be written.
    """
    title = headline(recording)
    write_page(
        path,
        "replay.html.j2",
        title=title,
        identity=recording.record.identity,
        styles=("base.css", "player.css"),
        episode=packed(payload(recording, title)),
    )
