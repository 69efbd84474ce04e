"""What makes a resumed run the same run, bit for bit: nothing random or half-finished lives on from before a checkpoint.

At every checkpoint, in a run that goes on as in one that is resumed, the episodes under way are given up, every worker begins those of the
checkpoint's generation, and the generators of this process are set from named streams. Then weights, optimiser and counters are all that
there is, and those are in the checkpoint. The price is the episodes under way, one per environment and checkpoint.
"""

from __future__ import annotations

import random

import numpy as np
import torch
from ray.rllib.algorithms.ppo import PPO

from roadsense.seeding import named_stream


def seed_learner(run_seed: int, iteration: int) -> None:
    """Set this process's global generators, from which RLlib shuffles batches: those of one iteration follow from its number alone."""
    draws = named_stream(run_seed, "learner", str(iteration))
    np.random.seed(int(draws.integers(2**32)))  # noqa: NPY002 - RLlib shuffles with the global generator
    torch.manual_seed(int(draws.integers(2**63)))
    random.seed(int(draws.integers(2**63)))


def begin_generation(algorithm: PPO, generation: int) -> None:
    """Let every worker give up its episodes and begin those of a generation, and wait until they all have heard of it."""
    group = algorithm.env_runner_group
    group.foreach_env_runner(lambda runner: runner.set_generation(generation), local_env_runner=group.num_remote_workers() == 0)
