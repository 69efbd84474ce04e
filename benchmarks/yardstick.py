"""How fast this machine is just now, in the unit in which our speeds are given: the stock client's bare loop.

2T is the sum of the steps/s of two processes at once, each with a loop of `traci` alone: setSpeed on the ego, simulationStep, the
results of one context subscription over all cars, on a scenario of ours with five peers. Purpose: a speed without its yardstick says
nothing on a shared machine.

How to run: python benchmarks/yardstick.py [seconds]
"""

import contextlib
import multiprocessing
import os
import sys
import time

import traci
import traci.constants as tc

from roadsense.scenario.locate import default_scenario
from roadsense.scenario.sumocfg import input_options
from roadsense.sumo.installation import find_program
from roadsense.sumo.ports import PortLease

VARIABLES = [tc.VAR_POSITION, tc.VAR_SPEED, tc.VAR_ANGLE, tc.VAR_ACCELERATION, tc.VAR_LANE_ID, tc.VAR_LANEPOSITION]
EPISODE_STEPS = 400


def loop(seconds: float) -> float:
    """Steps per second of one process; episodes of 400 steps, reset by load inside the time."""
    options = [*input_options(default_scenario()), "--step-length", "0.1", "--no-step-log", "true", "--no-warnings", "true"]
    lease = PortLease.acquire(20000, 29999)
    port = lease.port
    lease.release()
    program = find_program("sumo")
    os.environ["SUMO_HOME"] = str(program.home)  # without it SUMO looks for its schemas and complains
    with contextlib.redirect_stdout(None):  # the stock client announces every retry
        traci.start([program.path, *options], port=port)
    steps, began_s = 0, time.perf_counter()
    while time.perf_counter() - began_s < seconds:
        traci.load(options)
        traci.simulationStep()
        traci.vehicle.subscribeContext("V001", tc.CMD_GET_VEHICLE_VARIABLE, 1500.0, VARIABLES)
        for _ in range(EPISODE_STEPS):
            traci.vehicle.setSpeed("V001", 20.0)
            traci.simulationStep()
            traci.vehicle.getContextSubscriptionResults("V001")
        steps += EPISODE_STEPS
    rate = steps / (time.perf_counter() - began_s)
    traci.close()
    return rate


def two_loops(seconds: float) -> float:
    """2T in steps per second."""
    with multiprocessing.get_context("spawn").Pool(2) as pool:
        return sum(pool.map(loop, [seconds, seconds]))


if __name__ == "__main__":
    print(f"2T = {two_loops(float(sys.argv[1]) if len(sys.argv) > 1 else 5.0):,.0f} steps/s")
