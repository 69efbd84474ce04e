"""Long runs: `make soak`."""

import os

import numpy as np
import psutil
import pytest

from roadsense.env.convoy_env import ConvoyEnv


def footprint(env) -> dict[str, float]:
    me = psutil.Process()
    simulator = psutil.Process(env.session.pid)
    return {
        "processes": len(me.children(recursive=True)),
        "descriptors": len(os.listdir("/proc/self/fd")),  # noqa: PTH208
        "own_mb": me.memory_info().rss / 1e6,
        "sumo_mb": simulator.memory_info().rss / 1e6,
    }


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_three_thousand_episodes_over_the_whole_dataset(dataset_dir):
    """Environment resets with ten steps each, process replacements included: nothing grows."""
    env = ConvoyEnv(dataset_dir=dataset_dir, scenario_seed=1, sumo={"recycle_every": 1000})
    generator = np.random.default_rng(1)
    seen = []
    for episode in range(3001):
        env.reset()
        for _ in range(10):
            env.step(generator.random(1, dtype=np.float32))
        if episode in (900, 2990):  # both well into the life of a SUMO process
            seen.append(footprint(env))
    env.close()
    first, last = seen
    print(first, last)
    assert (last["processes"], last["descriptors"]) == (first["processes"], first["descriptors"])
    assert last["own_mb"] < 1.05 * first["own_mb"]
    assert last["sumo_mb"] < 1.05 * first["sumo_mb"]
