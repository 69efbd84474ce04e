"""The yardstick: what a bare loop over SUMO's own Python client reaches on this machine just now.

T is the steps/s of one process pinned to one core, 2T those of two processes at once: `setSpeed` on the ego, `simulationStep`, the
results of one context subscription over all cars; episodes of 400 steps, reset by `load` within the time. A speed without its yardstick
says nothing on a shared machine. Beside it stand libsumo in one process, and SUMO without anybody who listens.
"""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from roadsense.bench.processes import in_processes
from roadsense.config import DEFAULT_EGO_ID, STEP_LENGTH_S
from roadsense.scenario.sumocfg import input_options
from roadsense.sumo.installation import find_program
from roadsense.sumo.options import run_options
from roadsense.sumo.ports import PortLease

EPISODE_STEPS = 400
_RADIUS_M = 1500.0


def loops(config: Path, seconds: float, cores: list[int]) -> float:
    """Steps/s of one process per entry of `cores`, all at once, each pinned to its core."""
    return sum(in_processes(_traci_loop, [(config, seconds)] * len(cores), cores))


def libsumo_loop(config: Path, seconds: float, core: int) -> float:
    """Steps/s of the same loop inside the process, without sockets."""
    return in_processes(_libsumo_loop, [(config, seconds)], [core])[0]


def advancing_steps_per_s(config: Path, seconds: float, core: int) -> float:
    """Steps/s of SUMO that is asked once per 400 steps and tells nothing: traffic physics alone."""
    return in_processes(_advancing, [(config, seconds)], [core])[0]


def _traci_loop(config: Path, seconds: float) -> float:
    import traci.constants as tc

    with _stock_client(config) as (client, options):
        return _loop(client, tc, options, seconds)


def _advancing(config: Path, seconds: float) -> float:
    with _stock_client(config) as (client, options):
        spent_s, steps = 0.0, 0
        while spent_s < seconds:
            client.load(options)
            client.simulationStep()
            began_s = time.perf_counter()
            client.simulationStep((EPISODE_STEPS + 1) * STEP_LENGTH_S)
            spent_s += time.perf_counter() - began_s
            steps += EPISODE_STEPS
        return steps / spent_s


@contextlib.contextmanager
def _stock_client(config: Path) -> Iterator[tuple[Any, list[str]]]:
    """SUMO's own client with a simulation of its own, and the options of that simulation."""
    import traci

    lease = PortLease.acquire(20000, 29999)
    port = lease.port
    lease.release()
    os.environ.update(_environment())
    options = [*run_options(input_options(config), seed=1), "--no-warnings", "true"]
    with contextlib.redirect_stdout(None):  # the stock client announces every retry
        traci.start([str(find_program("sumo").path), *options], port=port)
    try:
        yield traci, options
    finally:
        traci.close()


def _libsumo_loop(config: Path, seconds: float) -> float:
    import libsumo
    import traci.constants as tc

    os.environ.update(_environment())
    options = [*run_options(input_options(config), seed=1), "--no-warnings", "true"]
    libsumo.start(["sumo", *options])
    try:
        return _loop(libsumo, tc, options, seconds)
    finally:
        libsumo.close()


def _loop(api: Any, tc: Any, options: list[str], seconds: float) -> float:
    variables = [tc.VAR_POSITION, tc.VAR_SPEED, tc.VAR_ANGLE, tc.VAR_ACCELERATION, tc.VAR_LANE_ID, tc.VAR_LANEPOSITION]
    _episode(api, tc, options, variables)  # warm-up
    steps, began_s = 0, time.perf_counter()
    while time.perf_counter() - began_s < seconds:
        _episode(api, tc, options, variables)
        steps += EPISODE_STEPS
    return steps / (time.perf_counter() - began_s)


def _episode(api: Any, tc: Any, options: list[str], variables: list[int]) -> None:
    api.load(options)
    api.simulationStep()
    api.vehicle.subscribeContext(DEFAULT_EGO_ID, tc.CMD_GET_VEHICLE_VARIABLE, _RADIUS_M, variables)
    set_speed: Callable[[str, float], None] = api.vehicle.setSpeed
    results: Callable[[str], Any] = api.vehicle.getContextSubscriptionResults
    for _ in range(EPISODE_STEPS):
        set_speed(DEFAULT_EGO_ID, 20.0)
        api.simulationStep()
        results(DEFAULT_EGO_ID)


def _environment() -> dict[str, str]:
    home = find_program("sumo").home
    return {**os.environ, "SUMO_HOME": str(home)} if home is not None else dict(os.environ)
