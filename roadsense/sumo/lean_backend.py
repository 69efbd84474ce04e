"""The default way to talk to SUMO: starting, loading and asking as the stock client does, stepping with one message and one pass.

The stock client sends every command by itself, waits for each answer, and reads subscriptions value by value. Here the commands and
the step go out together in `begin_step`, and nothing waits before `finish_step`, so the steps of several simulations overlap. States are
the same to the last bit (tests/sumo/test_lean_client.py).
"""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Iterable, Mapping, Sequence
from typing import Final

from traci import constants as tc

from roadsense.config import SumoSettings
from roadsense.errors import SumoError
from roadsense.state import SimulatorState
from roadsense.sumo.api_backend import NO_LANE_CHANGES
from roadsense.sumo.backend import SpeedWrite
from roadsense.sumo.connection import Channel
from roadsense.sumo.traci_backend import TraciBackend
from roadsense.sumo.wire import StepReader, check_settings, questions_message, read_doubles, settings_message, step_message, watch_message

_NOT_THERE: Final = -1  # where the size of an answer would stand


class LeanBackend(TraciBackend):
    """A `TraciBackend` with its own step."""

    def __init__(self, settings: SumoSettings, options: Sequence[str]) -> None:
        super().__init__(settings, options)
        self._channel = Channel(self._api)
        self._reader = StepReader()
        self._commands: tuple[int, ...] = ()
        self._writes: Sequence[SpeedWrite] = ()
        self._answer_bytes = _NOT_THERE
        self._latest: SimulatorState | None = None

    def begin_step(self, writes: Sequence[SpeedWrite], until_s: float = 0.0) -> None:
        """First half: send the commands and the step; nothing is waited for."""
        message, self._commands = step_message(writes, until_s)
        self._answer_bytes = _NOT_THERE
        self._writes = writes
        began_s = time.monotonic()
        try:
            self._channel.send(message)
        except self._faults as error:
            raise self._failure(self._doing(), error, time.monotonic() - began_s) from error

    def await_step(self) -> None:
        """Wait for the answer and keep it."""
        began_s = time.monotonic()
        try:
            self._answer_bytes = self._channel.receive()
        except self._faults as error:
            raise self._failure(self._doing(), error, time.monotonic() - began_s) from error

    def finish_step(self) -> SimulatorState:
        """Second half: wait for the answer, unless it is there, and read it."""
        if self._answer_bytes == _NOT_THERE:
            self.await_step()
        size, content, commands = self._answer_bytes, self._channel.content, self._commands
        self._answer_bytes = _NOT_THERE
        try:
            state = self._reader.quick(content, size, commands) or self._reader.read(content[:size].tobytes(), commands)
        except self._faults as error:
            raise self._failure(self._doing(), error, 0.0) from error
        self._latest = state
        return state

    def keep_lanes(self, vehicle_ids: Sequence[str]) -> None:
        """Forbid vehicles to change lanes on their own account, all in one message."""
        self._set(tc.VAR_LANECHANGE_MODE, dict.fromkeys(vehicle_ids, NO_LANE_CHANGES), "setting the lane change mode")

    def limit_emergency_decels(self, vehicle_ids: Sequence[str], limit_mps2: float) -> None:
        """Lower the emergency deceleration of vehicles to `limit_mps2` where it is higher: one message to ask, one to set."""
        doing = "limiting the braking"
        if not vehicle_ids:
            return
        with self._talking(f"{doing} of vehicles {_listed(vehicle_ids)}"):
            self._channel.send(questions_message(tc.VAR_EMERGENCY_DECEL, vehicle_ids))
            decels_mps2 = read_doubles(self._channel.answer(), len(vehicle_ids))
        harder = [vehicle_id for vehicle_id, decel_mps2 in zip(vehicle_ids, decels_mps2, strict=True) if decel_mps2 > limit_mps2]
        self._set(tc.VAR_EMERGENCY_DECEL, dict.fromkeys(harder, float(limit_mps2)), doing)  # SUMO refuses an integer here

    def _set(self, variable: int, values: Mapping[str, int | float], doing: str) -> None:
        if not values:
            return
        message, commands = settings_message(variable, values)
        with self._talking(f"{doing} of vehicles {_listed(values)}"):
            self._channel.send(message)
            check_settings(self._channel.answer(), commands)

    def watch_vehicles(self, ego_id: str, radius_m: float) -> SimulatorState:
        """Ask for the vehicles around the ego with every step; the state as it is now."""
        if self._latest is None:
            raise SumoError("vehicles cannot be watched before the first step; step once")
        with self._talking("subscribing to the vehicles around the ego"):
            self._channel.send(watch_message(ego_id, radius_m))
            vehicles = self._reader.watched(self._channel.answer())
        self._ego_id, self._radius_m = ego_id, radius_m
        self._latest = dataclasses.replace(self._latest, vehicles=vehicles)
        return self._latest

    def _doing(self) -> str:
        named = _listed(write.vehicle_id for write in self._writes)
        return f"commanding vehicle {named} and stepping" if named else "stepping"


def _listed(vehicle_ids: Iterable[str]) -> str:
    return ", ".join(map(repr, vehicle_ids))
