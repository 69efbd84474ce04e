"""Which vehicles are commanded, and what it takes to command them and to hand them back."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Final

from roadsense.errors import UsageError
from roadsense.state import SpeedCommand
from roadsense.sumo.backend import SpeedWrite

# Speed modes are bit sets (SUMO's documentation of TraCI, "speed mode"). 32 switches every check off: safe speed, the type's acceleration
# and deceleration, right of way. With the default 31 SUMO brakes over the agent's head and clips commanded braking to the type's `decel`.
COMMANDED_MODE: Final = 32
DRIVER_MODE: Final = 31
_DRIVER_SPEED_MPS: Final = -1.0


class SpeedControl:
    """Remembers who is commanded, so that a mode is only written when it changes."""

    def __init__(self) -> None:
        self._commanded: set[str] = set()

    def writes(self, commands: Sequence[SpeedCommand]) -> list[SpeedWrite]:
        """What must be written for these commands, in their order; a release of a vehicle that is not commanded is nothing.

        Raises:
            UsageError: a commanded speed is negative, infinite or not a number; nothing has changed then.
        """
        anything = False
        for vehicle_id, speed_mps in commands:
            if speed_mps is None:
                anything = anything or vehicle_id in self._commanded
                continue
            if not 0.0 <= speed_mps < math.inf:
                raise UsageError(
                    f"vehicle {vehicle_id!r} is commanded to drive {speed_mps} m/s; "
                    "command a finite speed of at least 0, or None to hand it back to its driver"
                )
            anything = True
        if not anything:  # in most steps the ego is released once more
            return []
        return [write for command in commands if (write := self._write(command)) is not None]

    def forget(self, vehicle_ids: Iterable[str]) -> None:
        """These vehicles have left the road."""
        self._commanded.difference_update(vehicle_ids)

    def _write(self, command: SpeedCommand) -> SpeedWrite | None:
        commanded = command.vehicle_id in self._commanded
        if command.speed_mps is not None:
            self._commanded.add(command.vehicle_id)
            mode = None if commanded else COMMANDED_MODE
            return SpeedWrite(vehicle_id=command.vehicle_id, mode=mode, speed_mps=command.speed_mps)
        if not commanded:
            return None
        self._commanded.remove(command.vehicle_id)
        return SpeedWrite(vehicle_id=command.vehicle_id, mode=DRIVER_MODE, speed_mps=_DRIVER_SPEED_MPS)
