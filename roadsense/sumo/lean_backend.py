"""The default way to talk to SUMO: starting, loading and asking as the stock client does, stepping with one message and one pass.

The stock client sends every command by itself, waits for each answer, and reads subscriptions value by value. Here the commands and
the step go out together in `begin_step`, and nothing waits before `finish_step`, so the steps of several simulations overlap. States are
the same to the last bit (tests/sumo/test_lean_client.py).
"""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Sequence

from roadsense.config import SumoSettings
from roadsense.errors import SumoError
from roadsense.state import SimulatorState
from roadsense.sumo.backend import SpeedWrite
from roadsense.sumo.connection import receive_message, send_message
from roadsense.sumo.traci_backend import TraciBackend
from roadsense.sumo.wire import StepReader, step_message


class LeanBackend(TraciBackend):
    """A `TraciBackend` with its own step."""

    _commands: Sequence[int] = ()
    _writes: Sequence[SpeedWrite] = ()
    _answer: bytes | None = None
    _latest: SimulatorState | None = None

    def __init__(self, settings: SumoSettings, options: Sequence[str]) -> None:
        super().__init__(settings, options)
        self._reader = StepReader()

    def begin_step(self, writes: Sequence[SpeedWrite], until_s: float = 0.0) -> None:
        """First half: send the commands and the step; nothing is waited for."""
        message, self._commands = step_message(writes, until_s)
        self._answer = None
        self._writes = writes
        began_s = time.monotonic()
        try:
            send_message(self._api, message)
        except self._faults as error:
            raise self._failure(self._doing(), error, time.monotonic() - began_s) from error

    def await_step(self) -> None:
        """Wait for the answer and keep it."""
        began_s = time.monotonic()
        try:
            self._answer = receive_message(self._api)
        except self._faults as error:
            raise self._failure(self._doing(), error, time.monotonic() - began_s) from error

    def finish_step(self) -> SimulatorState:
        """Second half: wait for the answer, unless it is there, and read it."""
        began_s = time.monotonic()
        answer, self._answer = self._answer, None
        try:
            self._latest = self._reader.read(receive_message(self._api) if answer is None else answer, self._commands)
        except self._faults as error:
            raise self._failure(self._doing(), error, time.monotonic() - began_s) from error
        return self._latest

    def watch_vehicles(self, ego_id: str, radius_m: float) -> SimulatorState:
        """Ask for the vehicles around the ego with every step; the state as it is now."""
        # The stock client forgets what it was told only in its own step, so the cars of the last subscription would still be there.
        self._api.vehicle.getContextSubscriptionResults(ego_id).clear()
        state = super().watch_vehicles(ego_id, radius_m)
        if self._latest is None:
            raise SumoError("vehicles cannot be watched before the first step; step once")
        # The stock client has not seen the steps: only the vehicles that came with the new subscription are news.
        return dataclasses.replace(self._latest, vehicles=state.vehicles)

    def _doing(self) -> str:
        named = ", ".join(repr(write.vehicle_id) for write in self._writes)
        return f"commanding vehicle {named} and stepping" if named else "stepping"
