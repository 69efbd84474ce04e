"""The vehicles of a context subscription: where their numbers stand in SUMO's answer, found once and used until something else changes.

From one step to the next only numbers change, as long as the same cars are on the same lanes. All other bytes (ids, lanes, marks, counts)
are compared with those of the layout, so a layout is never applied to bytes that it was not made of, and the numbers of all cars are taken
out in one go.

Shape suffixes: N vehicles, S bytes.
"""

from __future__ import annotations

from struct import Struct
from typing import Final

import numpy as np
from numpy.typing import NDArray
from traci import constants as tc

from roadsense.compiled import compiled
from roadsense.state import FloatArray, VehicleStates
from roadsense.sumo.snapshot import HEADING_ROW, heading_of_angle, states_from_columns

ByteArray = NDArray[np.uint8]
PlaceArray = NDArray[np.intp]

_INT: Final = Struct("!i")
_DOUBLE_BYTES: Final = 8
_MARK_BYTES: Final = 3
_COUNTS_BYTES: Final = 2 + _INT.size  # the domain, how many variables, how many vehicles

# One vehicle is its id and the variables of `snapshot.VEHICLE_VARIABLES`, each behind its number, a status and its type.
_MARKS: Final = tuple(
    bytes((variable, tc.RTYPE_OK, kind))
    for variable, kind in (
        (tc.VAR_POSITION, tc.POSITION_2D),
        (tc.VAR_SPEED, tc.TYPE_DOUBLE),
        (tc.VAR_ANGLE, tc.TYPE_DOUBLE),
        (tc.VAR_ACCELERATION, tc.TYPE_DOUBLE),
        (tc.VAR_LANE_ID, tc.TYPE_STRING),
        (tc.VAR_LANEPOSITION, tc.TYPE_DOUBLE),
        (tc.VAR_LENGTH, tc.TYPE_DOUBLE),
    )
)
_HEAD: Final = Struct("!3sdd3sd3sd3sd3si")
_TAIL: Final = Struct("!3sd3sd")
_X, _Y, _SPEED, _ANGLE, _ACCEL = 3, 11, 22, 33, 44  # from the end of the id
_LANE_POSITION, _LENGTH = 3, 14  # from the end of the lane's name


class VehicleReader:
    """Reads the vehicles of one simulation, step by step; make a new one with every subscription.

    Attributes:
        layout: of the vehicles that were read last.
    """

    def __init__(self) -> None:
        self.layout: VehicleLayout | None = None

    def read(self, answer: bytes, place: int) -> tuple[VehicleStates, int]:
        """The vehicles whose subscription begins at `place`, without those that are not on a lane, sorted by id; and the place behind them.

        Raises:
            ValueError, struct.error, IndexError: the bytes are no such answer.
        """
        vehicles = None if self.layout is None else self.layout.vehicles(answer, place)
        if self.layout is None or vehicles is None:
            self.layout = VehicleLayout(answer, place)
            vehicles = self.layout.vehicles(answer, place)
            if vehicles is None:
                raise ValueError("a layout does not fit the answer that it was made of")
        return vehicles, place + self.layout.size


class VehicleLayout:
    """The places of all numbers, relative to the begin of the subscription's counts.

    Attributes:
        size: bytes of the subscription from its counts on.
        numbers_7N: where each number begins; rows as `states_from_columns` takes them.
        pattern_2S: the bytes, see `pattern_of`.
    """

    def __init__(self, answer: bytes, begin: int) -> None:
        if answer[begin + 1] != len(_MARKS):
            raise ValueError(f"{answer[begin + 1]} variables for each vehicle where {len(_MARKS)} were asked for")
        (count,) = _INT.unpack_from(answer, begin + 2)
        place = begin + _COUNTS_BYTES
        found: list[tuple[str, str, tuple[int, ...]]] = []
        skipped: list[int] = []
        for _ in range(count):
            vehicle_id, head = read_string(answer, place)
            at_position, _, _, at_speed, _, at_angle, _, at_accel, _, at_lane, lane_bytes = _HEAD.unpack_from(answer, head)
            if lane_bytes < 0:  # else everything below lies in front of `place` and within the answer
                raise ValueError(f"a lane's name of {lane_bytes} bytes")
            lane_begin = head + _HEAD.size
            lane_id, tail = answer[lane_begin : lane_begin + lane_bytes].decode(), lane_begin + lane_bytes
            at_lane_position, _, at_length, _ = _TAIL.unpack_from(answer, tail)
            if (at_position, at_speed, at_angle, at_accel, at_lane, at_lane_position, at_length) != _MARKS:
                raise ValueError(f"the variables of vehicle {vehicle_id!r} are not the ones that were asked for")
            numbers = (head + _X, head + _Y, head + _SPEED, head + _ACCEL, head + _ANGLE, tail + _LANE_POSITION, tail + _LENGTH)
            # A vehicle that is being teleported has no lane, and a position that means nothing.
            if lane_id:
                found.append((vehicle_id, lane_id, numbers))
            else:
                skipped += numbers
            place = tail + _TAIL.size
        self.size = place - begin
        found.sort()  # SUMO's own order changes from process to process
        self._ids = tuple(vehicle_id for vehicle_id, _, _ in found)
        self._lane_ids = tuple(lane_id for _, lane_id, _ in found)
        self._index = {vehicle_id: row for row, vehicle_id in enumerate(self._ids)}
        # Column by column, so that every column lies in one piece.
        self.numbers_7N = np.ascontiguousarray(np.array([numbers for _, _, numbers in found], dtype=np.intp).reshape(-1, 7).T) - begin
        doubles = np.concatenate([self.numbers_7N.ravel(), np.array(skipped, dtype=np.intp) - begin])
        self.pattern_2S = pattern_of(np.frombuffer(answer, np.uint8, self.size, begin), doubles)

    def vehicles(self, answer: bytes, begin: int) -> VehicleStates | None:
        """The vehicles, or None when anything but their numbers is not as it was.

        Ids, lanes and index are the same objects as long as the layout fits.
        """
        if len(answer) - begin < self.size:
            return None
        content = np.frombuffer(answer, np.uint8, self.size, begin)
        columns_7N = np.empty(self.numbers_7N.shape)
        return self.states(columns_7N) if read_fitting(content, self.pattern_2S, self.numbers_7N, columns_7N) else None

    def states(self, columns_7N: FloatArray) -> VehicleStates:
        """The vehicles of this layout with the numbers that stand there."""
        return states_from_columns(self._ids, self._lane_ids, self._index, columns_7N)


@compiled
def pattern_of(content: ByteArray, doubles: PlaceArray) -> ByteArray:
    """What bytes must look like to differ from these in nothing but doubles, which begin at the given places.

    Returns:
        (2, S): the bits of each byte that count (none within a double), and those bits.
    """
    pattern_2S = np.empty((2, len(content)), dtype=np.uint8)
    for place in range(len(content)):
        pattern_2S[0, place] = 0xFF
        pattern_2S[1, place] = content[place]
    for begin in doubles:
        pattern_2S[:, begin : begin + _DOUBLE_BYTES] = 0
    return pattern_2S


@compiled
def read_fitting(content: ByteArray, pattern_2S: ByteArray, numbers_7N: PlaceArray, columns_7N: FloatArray) -> bool:
    """Whether the first S bytes look as they should; if so, lay the numbers that begin at these places in `columns_7N`.

    Numbers are big-endian in `content`; angles become headings. There must be S bytes.
    """
    wrong = 0
    for place in range(pattern_2S.shape[1]):
        wrong |= (content[place] & pattern_2S[0, place]) ^ pattern_2S[1, place]
    if wrong:
        return False
    rows, vehicles = numbers_7N.shape
    bits_7N = columns_7N.view(np.uint64)
    for row in range(rows):
        for vehicle in range(vehicles):
            bits = np.uint64(0)
            for place in range(_DOUBLE_BYTES):
                bits = (bits << np.uint64(8)) | np.uint64(content[numbers_7N[row, vehicle] + place])
            bits_7N[row, vehicle] = bits
    for vehicle in range(vehicles):
        columns_7N[HEADING_ROW, vehicle] = heading_of_angle(columns_7N[HEADING_ROW, vehicle])
    return True


def read_string(answer: bytes, place: int) -> tuple[str, int]:
    """A string with its length in front of it, and the place behind it; raises ValueError where it does not fit."""
    (length,) = _INT.unpack_from(answer, place)
    begin = place + _INT.size
    end = begin + length
    if length < 0 or end > len(answer):
        raise ValueError(f"a string of {length} bytes at {place} of {len(answer)}")
    return answer[begin:end].decode(), end
