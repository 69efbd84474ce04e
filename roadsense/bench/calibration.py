"""How fast this machine's cores are, in a few seconds: the environment on a road of its own, and the network forward and backward.

Both per second of processor time, so that whoever else is at work hardly counts. The figures mean nothing alone; against those of the
machine on which everything was measured (roadsense.scaling) they say how its figures carry over.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

import numpy as np

from roadsense.bench.column import write_column
from roadsense.bench.cpu import cpu_s
from roadsense.bench.environment import CALM
from roadsense.env.convoy_env import ConvoyEnv
from roadsense.features import EGO_SIZE, PEER_SIZE
from roadsense.peer_set import PeerSet
from roadsense.scaling.measured import Calibration
from roadsense.seeding import named_stream

_PEERS: Final = 5
_ROWS: Final = 1024
_MOST_PEERS: Final = 12
_SLICES: Final = 3
_ACTION: Final = np.zeros(1, dtype=np.float32)


def calibrate(seconds: float = 1.5) -> Calibration:
    """Measure for about twice `seconds` of processor time, and what starting takes.

    Raises:
        DependencyError: SUMO or torch is missing. SumoError: SUMO does not start or answer.
    """
    with TemporaryDirectory() as scratch:
        sampling = _sampling_steps_per_cpu_s(write_column(Path(scratch) / "column", _PEERS), seconds)
    return Calibration(sampling_steps_per_cpu_s=sampling, learner_rows_per_cpu_s=_learner_rows_per_cpu_s(seconds))


def _best_rate(work: Callable[[], int], clock: Callable[[], float], seconds: float) -> float:
    """The best of a few short measurements: neighbours only ever make a core slower."""
    rates = []
    for _ in range(_SLICES):
        done, began_s = 0, clock()
        while (spent_s := clock() - began_s) < seconds / _SLICES:
            done += work()
        rates.append(done / spent_s)
    return max(rates)


def _sampling_steps_per_cpu_s(config: Path, seconds: float) -> float:
    env = ConvoyEnv(sumo_cfg=config, task=CALM)
    try:
        _drive(env)  # warm-up: starts SUMO, compiles
        return _best_rate(lambda: _drive(env), cpu_s, seconds)
    finally:
        env.close()


def _drive(env: ConvoyEnv) -> int:
    env.reset()
    steps, done = 0, False
    while not done:
        *_, terminated, truncated, _ = env.step(_ACTION)
        done = terminated or truncated
        steps += 1
    return steps


def _learner_rows_per_cpu_s(seconds: float) -> float:
    import torch

    from roadsense.model.deep_sets import DeepSets
    from roadsense.model.packing import pack
    from roadsense.model.settings import ModelSettings

    rng = named_stream(0, "calibration")
    ego_BE = torch.tensor(rng.normal(size=(_ROWS, EGO_SIZE)), dtype=torch.float32)
    values_SF, counts_B = pack([PeerSet(rng.normal(size=(int(rng.integers(_MOST_PEERS + 1)), PEER_SIZE))) for _ in range(_ROWS)])
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # as the learner
    try:
        network = DeepSets(ModelSettings())
        optimiser = torch.optim.Adam(network.parameters())

        def update() -> int:
            parameters, value = network(ego_BE, values_SF, counts_B)
            optimiser.zero_grad()
            (parameters.square().mean() + value.square().mean()).backward()
            optimiser.step()
            return _ROWS

        update()  # warm-up
        return _best_rate(update, time.process_time, seconds)
    finally:
        torch.set_num_threads(threads)
