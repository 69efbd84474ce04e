"""TraCI's bytes, as far as a step needs them: commands packed into one message, its answer read in one pass.

Source: SUMO's documentation of TraCI ("Protocol", "Object Context Subscription"); all numbers are big-endian. The stock client reads
the same answer value by value through Python objects, which costs several times what SUMO takes to compute the step.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from struct import Struct
from typing import Any, Final

from traci import constants as tc
from traci.exceptions import TraCIException

from roadsense.state import Collision, SimulatorState, VehicleStates
from roadsense.sumo.backend import SpeedWrite
from roadsense.sumo.snapshot import VEHICLE_VARIABLES
from roadsense.sumo.uneventful import NO_VEHICLES, UneventfulStep
from roadsense.sumo.vehicle_layout import ByteArray, VehicleReader, read_string

_INT: Final = Struct("!i")
_DOUBLE: Final = Struct("!d")
_STATUS: Final = Struct("!BBBi")  # length, command, result, length of the description
_SET_INT: Final = Struct("!Bi")
_SET_DOUBLE: Final = Struct("!Bd")
_STEP: Final = Struct("!BBd")
_PLAIN_CONTENT: Final = _STEP.pack(_STEP.size, tc.CMD_SIMSTEP, 0.0)
_PLAIN_STEP: Final = _INT.pack(len(_PLAIN_CONTENT) + _INT.size) + _PLAIN_CONTENT
_PLAIN_COMMANDS: Final = (tc.CMD_SIMSTEP,)
_TIME_MARK: Final = bytes((tc.VAR_TIME, tc.RTYPE_OK, tc.TYPE_DOUBLE))
_SHORT_LIMIT: Final = 255  # a longer command carries its length in four more bytes


def step_message(writes: Sequence[SpeedWrite], until_s: float) -> tuple[bytes, tuple[int, ...]]:
    """The message that commands the vehicles and then steps, and the commands in it in their order."""
    if not writes and not until_s:
        return _PLAIN_STEP, _PLAIN_COMMANDS
    parts, commands = [], []
    for write in writes:
        vehicle = write.vehicle_id.encode()
        if write.mode is not None:
            parts.append(_set_vehicle(tc.VAR_SPEEDSETMODE, vehicle, _SET_INT.pack(tc.TYPE_INTEGER, write.mode)))
            commands.append(tc.CMD_SET_VEHICLE_VARIABLE)
        parts.append(_set_vehicle(tc.VAR_SPEED, vehicle, _SET_DOUBLE.pack(tc.TYPE_DOUBLE, write.speed_mps)))
        commands.append(tc.CMD_SET_VEHICLE_VARIABLE)
    parts.append(_STEP.pack(_STEP.size, tc.CMD_SIMSTEP, until_s))
    commands.append(tc.CMD_SIMSTEP)
    return _message(parts), tuple(commands)


def settings_message(variable: int, values: Mapping[str, int | float]) -> tuple[bytes, Sequence[int]]:
    """The message that sets one variable of several vehicles (vehicle -> value), and the commands in it."""
    parts = [_set_vehicle(variable, vehicle_id.encode(), _typed_number(value)) for vehicle_id, value in values.items()]
    return _message(parts), (tc.CMD_SET_VEHICLE_VARIABLE,) * len(parts)


def questions_message(variable: int, vehicle_ids: Sequence[str]) -> bytes:
    """The message that asks for one variable of several vehicles."""
    return _message([_command(tc.CMD_GET_VEHICLE_VARIABLE, variable, vehicle_id.encode()) for vehicle_id in vehicle_ids])


def watch_message(ego_id: str, radius_m: float) -> bytes:
    """The message that subscribes to `VEHICLE_VARIABLES` of all vehicles within a radius around the ego, while it is there."""
    ego = ego_id.encode()
    times = _DOUBLE.pack(tc.INVALID_DOUBLE_VALUE) * 2  # from now on, for ever
    what = bytes((tc.CMD_GET_VEHICLE_VARIABLE,)) + _DOUBLE.pack(radius_m) + bytes((len(VEHICLE_VARIABLES), *VEHICLE_VARIABLES))
    return _message([_framed(bytes((tc.CMD_SUBSCRIBE_VEHICLE_CONTEXT,)) + times + _INT.pack(len(ego)) + ego + what)])


def read_doubles(answer: bytes, count: int) -> list[float]:
    """The numbers in the answer to a `questions_message` for this many vehicles. Raises as `StepReader.read`."""
    place, values = 0, []
    for _ in range(count):
        place = _check_status(answer, place, tc.CMD_GET_VEHICLE_VARIABLE)
        place += 1 if answer[place] else 5
        _, place = read_string(answer, place + 2)  # behind the kind of answer and the variable
        value, place = _typed(answer, place)
        values.append(float(value))
    return values


def check_settings(answer: bytes, commands: Sequence[int]) -> None:
    """That SUMO accepted every command. Raises as `StepReader.read`."""
    _check_statuses(answer, commands)


class StepReader:
    """Reads the answers to the `step_message`s of one simulator, and remembers what uneventful ones look like."""

    def __init__(self) -> None:
        self._vehicles = VehicleReader()
        self._uneventful: dict[tuple[int, ...], UneventfulStep] = {}  # by the commands that were answered

    def quick(self, content: ByteArray, size: int, commands: tuple[int, ...]) -> SimulatorState | None:
        """The state in the first `size` bytes of `content`, if they are an uneventful answer as the last one to these commands was.

        Returns:
            None when anything but numbers has changed; `read` says what that is.
        """
        uneventful = self._uneventful.get(commands)
        return None if uneventful is None or uneventful.size != size else uneventful.state(content)

    def read(self, answer: bytes, commands: tuple[int, ...]) -> SimulatorState:
        """The state in the answer to a message of these commands.

        Raises:
            TraCIException: SUMO refused one of the commands.
            ValueError, struct.error, IndexError: the bytes are no such answer.
        """
        place = _check_statuses(answer, commands)
        simulation: dict[int, Any] = {}
        vehicles = NO_VEHICLES
        time_begin, vehicles_begin = 0, None
        (subscriptions,) = _INT.unpack_from(answer, place)
        place += _INT.size
        for _ in range(subscriptions):
            response, place = _read_heading(answer, place)
            if response == tc.RESPONSE_SUBSCRIBE_SIM_VARIABLE:
                time_begin = answer.find(_TIME_MARK, place) + len(_TIME_MARK)
                simulation, place = _read_variables(answer, place)
            elif response == tc.RESPONSE_SUBSCRIBE_VEHICLE_CONTEXT:
                vehicles_begin = place
                vehicles, place = self._vehicles.read(answer, place)
            else:
                raise ValueError(f"an answer to a subscription that nobody made: {response:#x}")
        state = SimulatorState(
            time_s=simulation[tc.VAR_TIME],
            vehicles=vehicles,
            collisions=simulation[tc.VAR_COLLISIONS],
            departed_ids=tuple(simulation[tc.VAR_DEPARTED_VEHICLES_IDS]),
            arrived_ids=tuple(simulation[tc.VAR_ARRIVED_VEHICLES_IDS]),
        )
        if place == len(answer) and not any(value for variable, value in simulation.items() if variable != tc.VAR_TIME):
            around = None if vehicles_begin is None or self._vehicles.layout is None else (vehicles_begin, self._vehicles.layout)
            if _DOUBLE.unpack_from(answer, time_begin)[0] == state.time_s:  # and no other number behind the same three bytes
                self._uneventful[commands] = UneventfulStep(answer, time_begin, around)
        return state

    def watched(self, answer: bytes) -> VehicleStates:
        """The vehicles in the answer to a `watch_message`. Raises as `read`."""
        response, place = _read_heading(answer, _check_statuses(answer, (tc.CMD_SUBSCRIBE_VEHICLE_CONTEXT,)))
        if response != tc.RESPONSE_SUBSCRIBE_VEHICLE_CONTEXT:
            raise ValueError(f"an answer to a subscription that nobody made: {response:#x}")
        return self._vehicles.read(answer, place)[0]


def _message(parts: Sequence[bytes]) -> bytes:
    content = b"".join(parts)
    return _INT.pack(len(content) + _INT.size) + content


def _typed_number(value: float) -> bytes:
    return _SET_INT.pack(tc.TYPE_INTEGER, value) if isinstance(value, int) else _SET_DOUBLE.pack(tc.TYPE_DOUBLE, value)


def _set_vehicle(variable: int, vehicle: bytes, value: bytes) -> bytes:
    return _command(tc.CMD_SET_VEHICLE_VARIABLE, variable, vehicle, value)


def _command(command: int, variable: int, vehicle: bytes, value: bytes = b"") -> bytes:
    return _framed(bytes((command, variable)) + _INT.pack(len(vehicle)) + vehicle + value)


def _framed(content: bytes) -> bytes:
    if len(content) + 1 <= _SHORT_LIMIT:
        return bytes((len(content) + 1,)) + content
    return b"\0" + _INT.pack(len(content) + 5) + content


@lru_cache(maxsize=64)
def _accepted(commands: tuple[int, ...]) -> bytes:
    return b"".join([_STATUS.pack(_STATUS.size, command, tc.RTYPE_OK, 0) for command in commands])


def _check_statuses(answer: bytes, commands: Sequence[int]) -> int:
    """Read past one status for each command; the place behind the last one."""
    accepted = _accepted(tuple(commands))
    if answer.startswith(accepted):
        return len(accepted)
    place = 0
    for command in commands:
        place = _check_status(answer, place, command)
    return place


def _check_status(answer: bytes, place: int, command: int) -> int:
    """Read past the status of one command; the place behind it."""
    length, answered, result, described = _STATUS.unpack_from(answer, place)
    if length == 0:  # a long description: the length follows in four bytes
        answered, result = answer[place + 5], answer[place + 6]
        (described,) = _INT.unpack_from(answer, place + 7)
        place += 4
    place += _STATUS.size
    if result or described:
        raise TraCIException(answer[place : place + described].decode(), answered, str(result))
    if answered != command:
        raise ValueError(f"an answer to command {answered:#x} where {command:#x} was sent")
    return place


def _read_heading(answer: bytes, place: int) -> tuple[int, int]:
    """Which kind of subscription begins here, and the place behind the name of what was subscribed to."""
    place += 1 if answer[place] else 5
    response = answer[place]
    (named,) = _INT.unpack_from(answer, place + 1)
    if named < 0:
        raise ValueError(f"a name of {named} bytes")
    return response, place + 1 + _INT.size + named


def _read_variables(answer: bytes, place: int) -> tuple[dict[int, Any], int]:
    """Variable -> value of one subscription."""
    count = answer[place]
    place += 1
    values = {}
    for _ in range(count):
        variable, status = answer[place], answer[place + 1]
        read = _read_collisions if variable == tc.VAR_COLLISIONS and not status else _typed
        value, place = read(answer, place + 2)
        if status:
            raise ValueError(f"variable {variable:#x} of the simulation was refused: {value}")
        values[variable] = value
    return values, place


def _typed(answer: bytes, place: int) -> tuple[Any, int]:
    """A value with its type in front of it."""
    kind = answer[place]
    place += 1
    if kind == tc.TYPE_DOUBLE:
        return _DOUBLE.unpack_from(answer, place)[0], place + _DOUBLE.size
    if kind == tc.TYPE_INTEGER:
        return _INT.unpack_from(answer, place)[0], place + _INT.size
    if kind == tc.TYPE_STRING:
        return read_string(answer, place)
    if kind == tc.TYPE_STRINGLIST:
        (count,) = _INT.unpack_from(answer, place)
        return _several(read_string, count, answer, place + _INT.size)
    raise ValueError(f"a value of unknown type {kind:#x}")


def _several(read: Callable[[bytes, int], tuple[Any, int]], count: int, answer: bytes, place: int) -> tuple[list[Any], int]:
    items = []
    for _ in range(count):
        item, place = read(answer, place)
        items.append(item)
    return items, place


_COLLISION_FIELDS: Final = 9


def _read_collisions(answer: bytes, place: int) -> tuple[tuple[Collision, ...], int]:
    """SUMO's records: how many, then collider, victim, their types, their speeds, kind, lane and position of each.

    The compound's own count is passed over: with collisions it says less than what follows (SUMO 1.28).
    """
    if answer[place] != tc.TYPE_COMPOUND:
        raise ValueError(f"collisions of type {answer[place]:#x}")
    count, place = _typed(answer, place + 1 + _INT.size)
    values, place = _several(_typed, count * _COLLISION_FIELDS, answer, place)
    records = (values[start : start + _COLLISION_FIELDS] for start in range(0, len(values), _COLLISION_FIELDS))
    collisions = tuple(
        Collision(
            collider_id=collider, victim_id=victim, kind=kind, collider_speed_mps=collider_speed_mps, victim_speed_mps=victim_speed_mps
        )
        for collider, victim, _, _, collider_speed_mps, victim_speed_mps, kind, _, _ in records
    )
    return collisions, place
