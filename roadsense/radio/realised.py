"""What a radio environment really does: packets counted at a receiver, instead of believed from a file."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np

from roadsense.config import STEP_LENGTH_S
from roadsense.radio.links import DELIVERED
from roadsense.radio.parameters import RadioParameters
from roadsense.radio.radio import Radio
from roadsense.state import SimulatorState, VehicleStates

_IDS: Final = ("ego", "peer")
_DISTANCE_M: Final = 30.0  # of a convoy, and within every band that a profile has


@dataclass(frozen=True, slots=True, kw_only=True)
class Realised:
    """What a receiver counted.

    Attributes:
        loss: share of the packets that never arrive.
        heard_age_s: mean age of a measurement in the step in which it is first heard; None when nothing was. It is the latency rounded up
            to the next step, since the ego listens once per 0.1 s.
    """

    loss: float
    heard_age_s: float | None


def realised(parameters: RadioParameters, rng: np.random.Generator, *, periods: int = 5000, distance_m: float = _DISTANCE_M) -> Realised:
    """Drive the radio of a standing ego and one standing peer for this many periods (no relaying is possible) and count.

    Raises:
        UsageError: never with `periods` of at least 1.
    """
    radio = Radio(parameters, ego_id=_IDS[0], rng=rng)
    lost, newest_s, ages_s = 0, -np.inf, []
    for period in range(periods):
        state = _standing(period * STEP_LENGTH_S, distance_m)
        heard = radio.step(state)
        lost += int(radio.view(state).fates[1, 0]) != DELIVERED
        if len(heard.age_s) and (measured_s := state.time_s - float(heard.age_s[0])) > newest_s + STEP_LENGTH_S / 2:
            newest_s = measured_s
            ages_s.append(float(heard.age_s[0]))
    return Realised(loss=lost / periods, heard_age_s=float(np.mean(ages_s)) if ages_s else None)


def _standing(time_s: float, distance_m: float) -> SimulatorState:
    zero = np.zeros(2)
    x_m = np.array([0.0, distance_m])
    vehicles = VehicleStates(
        ids=_IDS,
        lane_ids=("lane", "lane"),
        x_m=x_m,
        y_m=zero,
        speed_mps=zero,
        accel_mps2=zero,
        heading_rad=zero,
        lane_position_m=x_m,
        length_m=np.full(2, 5.0),
        index={vehicle_id: row for row, vehicle_id in enumerate(_IDS)},
    )
    return SimulatorState(time_s=time_s, vehicles=vehicles)
