"""Microseconds per environment step through the lean and the stock client, alternating in one run on one core.

Purpose: what the client costs, as a ratio that holds on a noisy machine.

How to run: python benchmarks/environment_step.py [repeats]
"""

import os
import statistics
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import psutil

from roadsense.env.convoy_env import ConvoyEnv
from roadsense.scenario.dataset import Dataset
from roadsense.scenario.generate import GenerateSettings, generate

STEPS = 6000
BACKENDS = ("traci-stock", "traci")


def microseconds(dataset: Dataset, backend: str) -> tuple[float, float]:
    """(wall, own CPU) per step of never braking, resets inside."""
    env = ConvoyEnv(dataset=dataset, sumo={"backend": backend})
    action, me = np.zeros(1, np.float32), psutil.Process()
    env.reset()
    cpu, began_s = me.cpu_times(), time.perf_counter()
    for _ in range(STEPS):
        *_, terminated, truncated, _ = env.step(action)
        if terminated or truncated:
            env.reset()
    wall_s = time.perf_counter() - began_s
    after = me.cpu_times()
    env.close()
    return 1e6 * wall_s / STEPS, 1e6 * (after.user + after.system - cpu.user - cpu.system) / STEPS


def main(repeats: int) -> None:
    """Alternate, and print medians and ratios."""
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    with tempfile.TemporaryDirectory() as scratch:
        dataset = generate(GenerateSettings(output_dir=Path(scratch) / "dataset"))
        runs = [{backend: microseconds(dataset, backend) for backend in BACKENDS} for _ in range(repeats)]
    wall, cpu = ({backend: statistics.median(run[backend][part] for run in runs) for backend in BACKENDS} for part in (0, 1))
    for backend in BACKENDS:
        print(f"{backend:12} {wall[backend]:6.0f} us per step, {cpu[backend]:6.0f} us of it CPU of the client")
    time_ratio, cpu_ratio = wall["traci"] / wall["traci-stock"], cpu["traci"] / cpu["traci-stock"]
    print(f"lean / stock: {time_ratio:.2f} of the time, {cpu_ratio:.2f} of the client's CPU")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 5)
