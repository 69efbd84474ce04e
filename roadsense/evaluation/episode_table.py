"""Episodes as a Parquet table: one row per finished episode, actions included, written as they come."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import fields
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

import pyarrow as pa
import pyarrow.parquet as pq

from roadsense.env.outcome import Outcome
from roadsense.env.record import EpisodeRecord
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
        ("reward_terms", pa.map_(pa.string(), pa.float64())),  # users add terms of their own
        ("hazard_fired", pa.bool_()),
        ("hazard_kind", pa.string()),
        ("hazard_onset_s", pa.float64()),
        ("hazard_rank", pa.int32()),
        ("hazard_decel_mps2", pa.float64()),
        ("hazard_heard_s", pa.float64()),
        ("benign_braking", pa.bool_()),
        ("distracted", pa.bool_()),
        ("impact_speed_mps", pa.float64()),
        ("reaction_s", pa.float64()),
        ("steps_outside_hazard", pa.int32()),
        ("false_braking_steps", pa.int32()),
        ("unsafe_steps", pa.int32()),
        ("min_gap_m", pa.float64()),
        ("min_time_to_collision_s", pa.float64()),
        ("max_decel_mps2", pa.float64()),
        ("peak_braking_mps2", pa.float64()),
        ("rms_jerk_mps3", pa.float64()),
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
        """Append all rows of another episode table.

        Raises:
            RunDirectoryError: the file is no episode table of this version.
        """
        self._flush()
        for rows in _row_groups(path):
            self._writer.write_table(rows)

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


def read_episodes(path: Path, columns: Sequence[str] = tuple(SCHEMA.names)) -> Iterator[dict[str, Any]]:
    """Rows of an episode table as dictionaries with these columns, a group at a time.

    Raises:
        RunDirectoryError: the file is missing or is no episode table of this version.
    """
    for rows in _row_groups(path, columns):
        yield from rows.to_pylist(maps_as_pydicts="strict")


def records_of(rows: Iterable[dict[str, Any]]) -> Iterator[EpisodeRecord]:
    """Rows as records again; rows that were read without their actions give records without any."""
    for row in rows:
        values: dict[str, Any] = {name: row.get(name) for name in _RECORD_FIELDS}
        values.update(outcome=Outcome(row["outcome"]), actions=tuple(row.get("actions", ())))
        yield EpisodeRecord(**values)


def evaluation_records(path: Path) -> dict[str, list[EpisodeRecord]]:
    """Evaluation episodes by policy, in the order of the table, without their actions (by far the largest part, and no figure needs them).

    Raises:
        RunDirectoryError: the file is no episode table of this version, or holds no evaluation episode.
    """
    found: dict[str, list[EpisodeRecord]] = {}
    for row in read_episodes(path, [name for name in SCHEMA.names if name != "actions"]):
        if row["phase"] == "eval":
            found.setdefault(row["policy"], []).extend(records_of([row]))
    if not found:
        raise RunDirectoryError(f"{path}: holds no evaluation episode; give the episodes.parquet of an evaluation or of a finished run")
    return found


def _row_groups(path: Path, columns: Sequence[str] = tuple(SCHEMA.names)) -> Iterator[pa.Table]:
    """The groups of a table, checked against the schema."""
    if not path.is_file():
        raise RunDirectoryError(
            f"{path}: no such file; give a finished run (a training writes its episodes at its end), or the --output_dir of an evaluation"
        )
    try:
        with pq.ParquetFile(path) as table:
            _check_schema(path, table.schema_arrow)
            for group in range(table.num_row_groups):
                yield table.read_row_group(group, columns=list(columns))
    except (OSError, pa.ArrowInvalid) as problem:
        raise RunDirectoryError(f"{path}: not a readable episode table ({problem}); give a run that has finished episodes") from None


def _check_schema(path: Path, schema: pa.Schema) -> None:
    if schema.equals(SCHEMA):
        return
    missing = [name for name in SCHEMA.names if name not in schema.names]
    unknown = [name for name in schema.names if name not in SCHEMA.names]
    other = [name for name in SCHEMA.names if name in schema.names and not schema.field(name).equals(SCHEMA.field(name))]
    raise RunDirectoryError(
        f"{path}: its columns are not those of this version (missing {missing}, unknown {unknown}, of another type {other}); "
        "read it with the version that wrote it (provenance.json), or evaluate again"
    )
