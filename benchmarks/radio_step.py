"""Microseconds per step of the radio by number of equipped cars, and the exponent with which they grow.

Purpose: what relaying over all links costs, with steady traffic and with a car coming or going in every fifth step, and what a reset adds.
Times are CPU time of this thread: the median step of the least disturbed of several episodes, as the machine may be shared.

How to run: python benchmarks/radio_step.py [episodes]
"""

import math
import statistics
import sys
from itertools import pairwise

import numpy as np

from roadsense.bench.radio import column, step_times_us
from roadsense.radio.parameters import RadioParameters, load_parameters

CARS = (2, 6, 11, 25, 50, 100)
STEPS = 400
CHANGE_EVERY = 5


def measure(parameters: RadioParameters, cars: int, episodes: int) -> tuple[float, float, float]:
    """Microseconds of a step, of a step in which a car goes and another comes, and of construction with the first step."""
    fixed = [column(step, 2, cars) for step in range(1, STEPS + 1)]
    passing = [column(step, 2 + step // CHANGE_EVERY, cars) for step in range(1, STEPS + 1)]
    steady = [step_times_us(parameters, fixed, seed) for seed in range(episodes)]
    changing = [step_times_us(parameters, passing, seed) for seed in range(episodes)]
    return (
        min(statistics.median(times[1:]) for times in steady),
        min(statistics.median(times[CHANGE_EVERY - 1 :: CHANGE_EVERY]) for times in changing),
        min(times[0] for times in steady),
    )


def main(episodes: int) -> None:
    """Print the table and the exponents."""
    parameters, _ = load_parameters(None)
    print(f"{'cars':>5} {'step':>9} {'with change':>12} {'reset':>9}   microseconds, {parameters.relay.max_hops} hops")
    costs = []
    for cars in CARS:
        step, change, start = measure(parameters, cars, episodes)
        costs.append(step)
        print(f"{cars:5} {step:9.1f} {change:12.1f} {start:9.0f}")
    slope, _ = np.polyfit(np.log(CARS), np.log(costs), 1)
    print(f"time of a step ~ cars^{slope:.2f} over all")
    for (few, cheap), (many, dear) in pairwise(zip(CARS, costs, strict=True)):
        print(f"  from {few:3} to {many:3}: cars^{math.log(dear / cheap) / math.log(many / few):.2f}")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 8)
