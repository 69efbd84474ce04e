"""Learning: RLlib's learner over a real batch, and the network on ragged sets against the same network on padded ones.

Shape suffixes: B rows of a minibatch, N the largest set among them, S peers of all rows together, E ego features, F peer features.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from roadsense.bench.processes import in_processes
from roadsense.bench.sampling import make_runner
from roadsense.errors import ConfigError
from roadsense.model.deep_sets import DeepSets
from roadsense.model.inputs import peer_inputs, squashed
from roadsense.model.packing import PackedPeers
from roadsense.model.settings import ModelSettings
from roadsense.peer_set import PeerSet

_MINIBATCH = 1024
_LEARNING_RATE = 1e-4


@dataclass(frozen=True, slots=True, kw_only=True)
class LearnerSpeed:
    """Rows/s through forward pass, backward pass and Adam; `ratio` is the time on ragged sets over the time on padded ones."""

    ragged_rows_per_s: float
    padded_rows_per_s: float
    ratio: float
    mean_peers: float
    most_peers: int


def learner_speed(config: Path, rows: int, repeats: int, core: int) -> LearnerSpeed:
    """Measured in a process of its own with one torch thread, as in training; the two alternate, medians."""
    return in_processes(_measure, [(config, rows, repeats)], [core])[0]


def _measure(config: Path, rows: int, repeats: int) -> LearnerSpeed:
    torch.set_num_threads(1)
    ego, peers = _experience(config, rows)
    ego_BE, packed, padded_BNF, mask_BN1 = torch.from_numpy(ego), PackedPeers.of(peers), *padded(peers)
    network = DeepSets(ModelSettings())
    optimiser = torch.optim.Adam(network.parameters(), lr=_LEARNING_RATE)
    # As in training, sets are laid end to end (or padded) once per batch, and minibatches take rows of it.
    passes: dict[str, Callable[[Tensor], tuple[Tensor, Tensor]]] = {
        "ragged": lambda rows_M: network(ego_BE[rows_M], *packed.take(rows_M)),
        "padded": lambda rows_M: padded_forward(network, ego_BE[rows_M], padded_BNF[rows_M], mask_BN1[rows_M]),
    }
    times_s: dict[str, list[float]] = {name: [] for name in passes}
    for repeat in range(repeats + 1):
        for name, forward in passes.items():
            began_s = time.perf_counter()
            for begin in range(0, rows, _MINIBATCH):
                parameters, values = forward(torch.arange(begin, min(rows, begin + _MINIBATCH)))
                optimiser.zero_grad()
                (parameters.square().mean() + values.square().mean()).backward()  # type: ignore[no-untyped-call]
                optimiser.step()
            if repeat:  # the first pass warms up
                times_s[name].append(time.perf_counter() - began_s)
    ragged_s, padded_s = (statistics.median(times_s[name]) for name in ("ragged", "padded"))
    counts = [one.count for one in peers]
    return LearnerSpeed(
        ragged_rows_per_s=rows / ragged_s,
        padded_rows_per_s=rows / padded_s,
        ratio=ragged_s / padded_s,
        mean_peers=statistics.fmean(counts),
        most_peers=max(counts),
    )


def padded(sets: list[PeerSet]) -> tuple[Tensor, Tensor]:
    """Sets padded to the largest one (B, N, F), and what of it is a peer (B, N, 1)."""
    counts_B = torch.tensor([one.count for one in sets])
    largest = int(counts_B.max())
    values_BNF = np.zeros((len(sets), largest, sets[0].feature_count), np.float32)
    for row, one in enumerate(sets):
        values_BNF[row, : one.count] = one.values
    return torch.from_numpy(values_BNF), (torch.arange(largest) < counts_B[:, None]).unsqueeze(-1)


def padded_forward(network: DeepSets, ego_BE: Tensor, values_BNF: Tensor, mask_BN1: Tensor) -> tuple[Tensor, Tensor]:
    """What `network` gives, by way of padded sets and a mask: how it is done where sets must have one size."""
    inputs_BNF = peer_inputs(values_BNF, mirrors=network.settings.mirror_peers)

    def pooled(encoder: torch.nn.Module) -> Tensor:
        # The encoder ends in ReLU, so zero is the neutral element of the maximum.
        maximum: Tensor = (encoder(inputs_BNF) * mask_BN1).amax(1)
        return maximum

    if network.settings.pool != "max" or network.settings.ego_in_encoder or network.critic_encoder is None or network.critic is None:
        raise ConfigError(f"no padded twin for {network.settings}; measure the default architecture")
    parameters_B3: Tensor = network.actor(torch.cat([squashed(ego_BE), pooled(network.peer_encoder)], dim=1))
    values_B1: Tensor = network.critic(torch.cat([squashed(ego_BE), pooled(network.critic_encoder)], dim=1))
    return parameters_B3, values_B1.squeeze(1)


def _experience(config: Path, rows: int) -> tuple[NDArray[np.float32], list[PeerSet]]:
    """Observations that an env runner has sampled, shuffled."""
    with TemporaryDirectory() as scratch:
        runner = make_runner(config, 4, Path(scratch))
        try:
            episodes: list[Any] = []
            while sum(len(episode) for episode in episodes) < rows:
                episodes += runner.sample()
        finally:
            runner.stop()
    ego = np.concatenate([episode.get_observations()["ego"][:-1] for episode in episodes])
    peers = [one for episode in episodes for one in episode.get_observations()["peers"][:-1]]
    order = np.random.default_rng(0).permutation(len(peers))[:rows]
    return ego[order], [peers[place] for place in order]
