"""What goes wrong in a worker: counted, reported to the driver, and kept from happening for ever."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from roadsense.env.record import EpisodeRecord
from roadsense.errors import DatasetError, SumoError

# One failure may be anybody's fault; the third in a row, with no episode of the scenario between them, is the scenario's.
_FAILURES_IN_A_ROW = 3
_LONGEST_REASON = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerReport:
    """What a worker tells the driver after an iteration.

    Attributes:
        records: the episodes finished since the last report, in the order of the sub-environments.
        faults: episodes that failed since then, also those that could not begin and have no record.
        last_fault: why the last one of them failed, in one line.
        quarantined: every scenario that the worker leaves out -> why.
    """

    records: list[EpisodeRecord]
    faults: int
    last_fault: str | None
    quarantined: Mapping[str, str]


class ScenarioFaults:
    """The failures of one worker by scenario, shared by its environments."""

    def __init__(self) -> None:
        self._in_a_row: dict[str, int] = {}
        self._quarantined: dict[str, str] = {}
        self._uncollected = 0
        self._last: str | None = None

    @property
    def quarantined(self) -> Mapping[str, str]:
        """Scenario that is left out -> why."""
        return self._quarantined

    def failed(self, scenario_id: str | None, error: Exception) -> None:
        """An episode failed; `scenario_id` is None when none had been drawn yet. What a user's own code does wrong quarantines none."""
        self._uncollected += 1
        self._last = one_line(error)
        if scenario_id is None or not isinstance(error, SumoError | DatasetError):
            return
        self._in_a_row[scenario_id] = self._in_a_row.get(scenario_id, 0) + 1
        if self._in_a_row[scenario_id] >= _FAILURES_IN_A_ROW:
            self._quarantined.setdefault(scenario_id, f"{_FAILURES_IN_A_ROW} failures in a row, the last: {one_line(error)}")

    def finished(self, scenario_id: str) -> None:
        """An episode was driven to its end."""
        self._in_a_row.pop(scenario_id, None)

    def leave_out(self, quarantined: Mapping[str, str]) -> None:
        """Take over what other workers, or this one before it was restarted, have found."""
        self._quarantined |= quarantined

    def collect(self) -> tuple[int, str | None]:
        """Failures since the last call, and why the last one of them was."""
        collected = self._uncollected, self._last
        self._uncollected, self._last = 0, None
        return collected


def one_line(error: Exception) -> str:
    """Kind and first line of an exception, short enough for a table."""
    lines = str(error).strip().splitlines()
    text = f"{type(error).__name__}: {lines[0]}" if lines else type(error).__name__
    return text if len(text) <= _LONGEST_REASON else f"{text[: _LONGEST_REASON - 3]}..."
