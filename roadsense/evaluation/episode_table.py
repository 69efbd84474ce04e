"""Episodes as a Parquet table: one row per finished episode, actions included, written as they come."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import fields
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

import pyarrow as pa
import pyarrow.parquet as pq

from roadsense.env.outcome import Outcome
from roadsense.env.record import EpisodeRecord
from roadsense.env.reward import TERM_NAMES
from roadsense.errors import RunDirectoryError

SCHEMA: Final = pa.schema(
    [
        ("phase", pa.string()),  # "train" or "eval"
        ("policy", pa.string()),
        ("identity", pa.string()),
        ("scenario_id", pa.string()),
        ("base", pa.string()),
        ("peer_count", pa.int32()),
        ("outcome", pa.string()),
        ("steps", pa.int32()),
        ("episode_return", pa.float64()),
        ("reward_terms", pa.struct([(name, pa.float64()) for name in TERM_NAMES])),
        ("hazard_fired", pa.bool_()),
        ("hazard_onset_s", pa.float64()),
        ("hazard_rank", pa.int32()),
        ("hazard_decel_mps2", pa.float64()),
        ("distracted", pa.bool_()),
        ("impact_speed_mps", pa.float64()),
        ("reaction_s", pa.float64()),
        ("steps_outside_hazard", pa.int32()),
        ("false_braking_steps", pa.int32()),
        ("min_gap_m", pa.float64()),
        ("min_time_to_collision_s", pa.float64()),
        ("max_decel_mps2", pa.float64()),
        ("progress_m", pa.float64()),
        ("actions", pa.list_(pa.float32())),
    ]
)
_ROWS_PER_GROUP = 64
_RECORD_FIELDS = tuple(field.name for field in fields(EpisodeRecord))


class EpisodeTableWriter:
    """Writes rows in groups of 64, so memory stays bounded. The file is complete after `close` (or the end of the `with` block)."""

    def __init__(self, path: Path) -> None:
        try:
            self._writer = pq.ParquetWriter(path, SCHEMA, compression="zstd")
        except OSError as problem:
            raise RunDirectoryError(f"{path}: cannot be written ({problem}); check permissions and free space") from None
        self._rows: list[dict[str, Any]] = []

    def add(self, record: EpisodeRecord, *, phase: str, policy: str) -> None:
        """Append one episode."""
        row = {name: getattr(record, name) for name in _RECORD_FIELDS}
        row.update(phase=phase, policy=policy, outcome=record.outcome.value)
        self._rows.append(row)
        if len(self._rows) >= _ROWS_PER_GROUP:
            self._flush()

    def add_table(self, path: Path) -> None:
        """Append all rows of another episode table."""
        self._flush()
        source = pq.ParquetFile(path)
        for group in range(source.num_row_groups):
            self._writer.write_table(source.read_row_group(group).cast(SCHEMA))

    def close(self) -> None:
        """Write what is left and finish the file."""
        self._flush()
        self._writer.close()

    def _flush(self) -> None:
        if self._rows:
            self._writer.write_table(pa.Table.from_pylist(self._rows, schema=SCHEMA))
            self._rows = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()


def read_episodes(path: Path) -> Iterator[dict[str, Any]]:
    """Rows of an episode table as dictionaries, a group at a time.

    Raises:
        RunDirectoryError: the file is missing or is no episode table.
    """
    try:
        table = pq.ParquetFile(path)
        for group in range(table.num_row_groups):
            yield from table.read_row_group(group).to_pylist()
    except (OSError, pa.ArrowInvalid) as problem:
        raise RunDirectoryError(f"{path}: not a readable episode table ({problem}); give a run that has finished episodes") from None


def records_of(rows: Iterable[dict[str, Any]]) -> Iterator[EpisodeRecord]:
    """Rows as records again."""
    for row in rows:
        values = {name: row[name] for name in _RECORD_FIELDS}
        values.update(outcome=Outcome(row["outcome"]), actions=tuple(row["actions"]))
        yield EpisodeRecord(**values)
