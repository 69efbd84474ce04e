"""The rule that the time-to-collision policies share, so that comparing them compares what they know and not how they decide.

Given the own speed v and, for a car ahead, the gap g to its rear bumper, its speed u and its acceleration a, with d = g - `margin_m`:

- it keeps its speed: closing deceleration c = max(0, v - u)^2 / 2d;
- it brakes (-a >= `brakes_mps2`): it stops after u^2 / 2|a|, so the ego has d + u^2 / 2|a| to stop in and needs v^2 / 2(d + u^2 / 2|a|),
  or c if that is more.

Both distances, d and d + u^2 / 2|a|, count as at least `least_room_m`: with positions that are metres off, a smaller one would turn the
noise of speeds into emergencies. The most urgent car decides: below `trigger_mps2` the rule leaves the car to its driver, from there on it
brakes with `gain` times what is needed, at most with 8 m/s2. The first term is the deceleration rate to avoid a crash (DRAC; Cooper and
Ferguson, 1976) of the surrogate safety measures; the second adds that a car that brakes will stop.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np

from roadsense.errors import ConfigError
from roadsense.state import FloatArray

_FULL_BRAKING_MPS2: Final = 8.0


@dataclass(frozen=True, slots=True, kw_only=True)
class StoppingRule:
    """The constants of the rule; `docs/reference_policies.md` says how the defaults were chosen, on training episodes only.

    Raises:
        ConfigError: a constant that must be positive is not.
    """

    margin_m: float = 5.0
    least_room_m: float = 2.0
    brakes_mps2: float = 2.0
    trigger_mps2: float = 1.0
    gain: float = 1.0

    def __post_init__(self) -> None:
        for name in ("least_room_m", "brakes_mps2", "trigger_mps2", "gain"):
            if getattr(self, name) <= 0:
                raise ConfigError(f"the stopping rule's {name} is {getattr(self, name)}; give a value above 0")

    def required_decel_mps2(
        self, speed_mps: float, gap_m: FloatArray, other_speed_mps: FloatArray, other_accel_mps2: FloatArray
    ) -> FloatArray:
        """Deceleration that each of n cars ahead asks of an ego at `speed_mps`; all arrays (n,), never negative."""
        room_m = gap_m - self.margin_m
        closing_mps = np.maximum(0.0, speed_mps - other_speed_mps)
        closing_decel_mps2: FloatArray = closing_mps**2 / (2 * np.maximum(room_m, self.least_room_m))
        stopping_m = other_speed_mps**2 / (2 * np.maximum(-other_accel_mps2, self.brakes_mps2))
        stop_decel_mps2 = speed_mps**2 / (2 * np.maximum(room_m + stopping_m, self.least_room_m))
        brakes = -other_accel_mps2 >= self.brakes_mps2
        return np.where(brakes, np.maximum(stop_decel_mps2, closing_decel_mps2), closing_decel_mps2)

    def action(self, required_mps2: FloatArray) -> float:
        """The fraction of full braking that the most urgent of n cars asks for; 0 without any."""
        urgent_mps2 = float(required_mps2.max(initial=0.0))
        return min(1.0, self.gain * urgent_mps2 / _FULL_BRAKING_MPS2) if urgent_mps2 >= self.trigger_mps2 else 0.0
