"""Reads the log of a drive: what the ego sent (`V001_tx.csv`) and what it received (`V001_rx.csv`).

Columns: timestamp_local_ms (the ego's clock), msg_timestamp (the source's clock, ms, when it measured), vehicle_id or from_vehicle_id (the
source of the message, not who forwarded it), lat, lon (degrees), speed (m/s), heading (degrees clockwise from north), accel_x, accel_y,
accel_z (m/s2), hop_count (links before the last; 0 is heard from the source itself). Others are ignored.
"""

from __future__ import annotations

import csv
import math
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

from roadsense.config import STEP_LENGTH_S
from roadsense.errors import ConfigError

Axis = Literal["x", "y", "z", "-x", "-y", "-z"]

_ID_COLUMNS: Final = ("vehicle_id", "from_vehicle_id")
_NUMBERS: Final = ("timestamp_local_ms", "msg_timestamp", "lat", "lon", "speed", "heading", "hop_count")
# Clocks count as common when the fastest message seems to have taken this long; a board's own clock starts at its boot, seconds apart.
_COMMON_CLOCK_MS: Final = (-20.0, 500.0)
_RELAY_S: Final = STEP_LENGTH_S  # what a link after the first costs: cars forward in their next broadcast


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """One measurement of one car, as it was logged. Times are seconds of the ego's clock."""

    source_id: str
    logged_s: float
    measured_s: float
    latitude_deg: float
    longitude_deg: float
    speed_mps: float
    accel_mps2: float
    compass_deg: float
    hop_count: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Recording:
    """A drive.

    Attributes:
        ego_id: whose log it is.
        own: the ego's own measurements, by time.
        heard: what it received from others, by the time of receiving.
        left_out: rows that were not used, by reason.
        clock_offsets_s: by source, what was subtracted from its clock; 0 where both clocks agree.
    """

    ego_id: str
    own: tuple[Message, ...]
    heard: tuple[Message, ...]
    left_out: dict[str, int]
    clock_offsets_s: dict[str, float]


def read_recording(tx: Path, rx: Path, *, ego_id: str, forward: Axis = "x") -> Recording:
    """Read both logs.

    Rows of the sent log that were relayed for other vehicles are left out, and so are the ego's own messages among the received ones and
    rows without a fix (an empty or non-finite number). Clocks that run apart are aligned by the fastest message of each source, a period
    taken off for every relay.

    Args:
        tx: what the ego sent.
        rx: what it received.
        ego_id: the ego's id in the logs.
        forward: the accelerometer's axis along the car, with its sign.

    Raises:
        ConfigError: a file or column is missing, an entry is no number or out of range, or nothing is left; the line is named.
    """
    left_out: Counter[str] = Counter()
    own, relayed = [], 0
    for message in _messages(tx, forward, left_out):
        if message.source_id == ego_id and message.hop_count == 0:
            own.append(message)
        else:
            relayed += 1
    heard = []
    for message in _messages(rx, forward, left_out):
        if message.source_id == ego_id:
            left_out["own messages that came back"] += 1
        else:
            heard.append(message)
    if relayed:
        left_out["sent for other vehicles"] = relayed
    if len(own) < 2:
        raise ConfigError(f"{tx}: holds {len(own)} rows of {ego_id!r} itself; give the log that {ego_id} wrote, or another --ego_id")
    offsets_s = _clock_offsets(heard)
    aligned = [_shifted(message, offsets_s[message.source_id]) for message in heard]
    return Recording(
        ego_id=ego_id,
        own=tuple(sorted(own, key=lambda message: message.logged_s)),
        heard=tuple(sorted(aligned, key=lambda message: message.logged_s)),
        left_out=dict(left_out),
        clock_offsets_s=offsets_s,
    )


def _messages(path: Path, forward: Axis, left_out: Counter[str]) -> Iterator[Message]:
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            rows = csv.DictReader(file)
            id_column = _check_columns(path, rows.fieldnames or (), f"accel_{forward[-1]}")
            for row in rows:
                message = _message(f"{path} line {rows.line_num}", row, id_column, forward)
                if message is None:
                    left_out["without a fix"] += 1
                else:
                    yield message
    except FileNotFoundError:
        raise ConfigError(f"{path}: no such file; check the path") from None
    except (OSError, UnicodeDecodeError, csv.Error) as problem:
        raise ConfigError(f"{path}: cannot be read as CSV ({problem}); check that it is a readable text file") from None


def _check_columns(path: Path, names: Sequence[str], accel_column: str) -> str:
    missing = [name for name in (*_NUMBERS, accel_column) if name not in names]
    id_column = next((name for name in _ID_COLUMNS if name in names), None)
    if id_column is None:
        missing.insert(0, " or ".join(_ID_COLUMNS))
    if id_column is None or missing:
        raise ConfigError(
            f"{path}: the column {missing[0]} is missing, there are {', '.join(names) or 'none'}; name the columns in the first line"
        )
    return id_column


def _message(where: str, row: Mapping[str, str | None], id_column: str, forward: Axis) -> Message | None:
    """A row as a message, None without a fix."""
    values = {name: _number(where, name, row.get(name)) for name in (*_NUMBERS, f"accel_{forward[-1]}")}
    if not all(math.isfinite(value) for value in values.values()):
        return None
    source_id = (row.get(id_column) or "").strip()
    if not source_id:
        raise ConfigError(f"{where}: {id_column} is empty; every row needs the source of its message")
    for name, low, high in (("lat", -90, 90), ("lon", -180, 180), ("speed", 0, 150), ("heading", -360, 360), ("hop_count", 0, 255)):
        if not low <= values[name] <= high:
            raise ConfigError(f"{where}: {name} is {values[name]:g}, expected {low} to {high}; check the unit")
    return Message(
        source_id=source_id,
        logged_s=values["timestamp_local_ms"] * 1e-3,
        measured_s=values["msg_timestamp"] * 1e-3,
        latitude_deg=values["lat"],
        longitude_deg=values["lon"],
        speed_mps=values["speed"],
        accel_mps2=-values[f"accel_{forward[-1]}"] if forward.startswith("-") else values[f"accel_{forward}"],
        compass_deg=values["heading"],
        hop_count=int(values["hop_count"]),
    )


def _number(where: str, name: str, text: str | None) -> float:
    if text is None:
        raise ConfigError(f"{where}: ends before the column {name}; complete the row or remove it")
    if not text.strip():
        return math.nan
    try:
        return float(text)
    except ValueError:
        raise ConfigError(f"{where}: {name} is {text[:40]!r}, which is no number; correct or remove the row") from None


def _clock_offsets(heard: Sequence[Message]) -> dict[str, float]:
    """How far each source's clock lags behind the ego's: its fastest message, as if its first link took no time; 0 for a common clock."""
    fastest_s: dict[str, float] = {}
    direct_s: dict[str, float] = {}  # the same, without what relays cost
    for message in heard:
        source, taken_s = message.source_id, message.logged_s - message.measured_s
        fastest_s[source] = min(taken_s, fastest_s.get(source, math.inf))
        direct_s[source] = min(taken_s - message.hop_count * _RELAY_S, direct_s.get(source, math.inf))
    low_s, high_s = (limit * 1e-3 for limit in _COMMON_CLOCK_MS)
    return {source: 0.0 if low_s <= taken_s <= high_s else direct_s[source] for source, taken_s in fastest_s.items()}


def _shifted(message: Message, offset_s: float) -> Message:
    if offset_s == 0:
        return message
    values = {name: getattr(message, name) for name in Message.__slots__}
    return Message(**values | {"measured_s": message.measured_s + offset_s})
