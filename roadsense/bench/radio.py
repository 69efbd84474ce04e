"""The radio alone: microseconds of a step by number of equipped cars, as CPU time of the thread, for the machine may be shared."""

from __future__ import annotations

import statistics
import time

import numpy as np

from roadsense.radio.parameters import RadioParameters, load_parameters
from roadsense.radio.radio import Radio
from roadsense.state import SimulatorState, VehicleStates

_STEPS = 400
_GAP_M = 20.0


def radio_step_us(cars: int, episodes: int) -> float:
    """The median step of the least disturbed of several episodes of the ego and a column of cars ahead of it."""
    parameters, _ = load_parameters(None)
    states = [column(step, 2, cars) for step in range(1, _STEPS + 1)]
    return min(statistics.median(step_times_us(parameters, states, seed)[1:]) for seed in range(episodes))


def column(step: int, first_car: int, cars: int) -> SimulatorState:
    """The ego and a column of cars ahead of it that moves at 20 m/s, `step` steps after its begin."""
    numbers = (1, *range(first_car, first_car + cars - 1))
    ids = tuple(f"V{number:04d}" for number in numbers)
    x_m, flat = _GAP_M * np.arange(cars, dtype=np.float64) + 2.0 * step, np.zeros(cars)
    vehicles = VehicleStates(
        ids=ids,
        lane_ids=("lane_0",) * cars,
        x_m=x_m,
        y_m=flat,
        speed_mps=flat + 20.0,
        accel_mps2=flat,
        heading_rad=flat,
        lane_position_m=x_m,
        length_m=flat + 5.0,
        index={vehicle_id: row for row, vehicle_id in enumerate(ids)},
    )
    return SimulatorState(time_s=0.1 * step, vehicles=vehicles)


def step_times_us(parameters: RadioParameters, states: list[SimulatorState], seed: int) -> list[float]:
    """Time of every step of an episode, the construction within the first."""
    times = []
    began_s = time.thread_time()
    radio = Radio(parameters, ego_id="V0001", rng=np.random.default_rng(seed))
    for state in states:
        radio.step(state)
        ended_s = time.thread_time()
        times.append(1e6 * (ended_s - began_s))
        began_s = ended_s
    return times
