"""The inputs on which every artifact is compared with torch, and torch's answers.

Values are drawn wider than any road gives them, in physical units and float32: what the network was not trained on must be computed
alike as well.

Shape suffixes: E ego entries, N peers of one case, F entries of a peer, B cases.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numpy.typing import NDArray

from roadsense.export.artifact import network_entries, physical_inputs
from roadsense.export.layers import FloatArray
from roadsense.features import EGO_SCALES, EGO_SIZE, PEER_SIZE
from roadsense.model.action import deterministic_action
from roadsense.peer_set import PeerSet
from roadsense.radio.observe import peers_from_observation
from roadsense.seeding import named_stream

if TYPE_CHECKING:
    from roadsense.model.inference import Policy

DoubleArray = NDArray[np.float64]

PEER_COUNTS: Final = (0, 1, 2, 3, 8, 50, 200)
# Per number of peers; far away every magnified entry is squashed to 1 and would hide an error, so half of the draws are near.
_REACHES: Final = (1.0, 0.05) * 4
_PERMUTATIONS: Final = 2  # of each draw, besides its own order
_SEED: Final = 20_260
# (low, high) of every entry, in the order of `roadsense.features`.
_EGO_RANGES: Final = ((0.0, 45.0), (-10.0, 5.0), (0.0, 1.0))
_PEER_RANGES: Final = ((-200.0, 200.0), (-60.0, 60.0), (-35.0, 35.0), (-3.14, 3.14), (-10.0, 5.0), (0.0, 0.6))


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One input: `ego` (E,) and `peers` (n, F) as an artifact gets them; `ordered` (n, F), the same rows, as torch does."""

    group: str
    ego: FloatArray
    peers: FloatArray
    ordered: FloatArray


@dataclass(frozen=True, slots=True, kw_only=True)
class Expected:
    """What torch says to B cases, in double precision.

    Attributes:
        parameters: (B, 3), the action parameters.
        actions: (B,).
        scales: (B,), the size of what is added up for the action parameters, at least 1: the largest of the last layer's three sums of
            |weight x input| and |bias|. Rounding goes with it.
    """

    parameters: DoubleArray
    actions: DoubleArray
    scales: DoubleArray


def drawn_cases() -> Iterator[Case]:
    """Random inputs for every number of peers in `PEER_COUNTS`, each also with its peers in other orders; always the same ones."""
    for count in PEER_COUNTS:
        rng = named_stream(_SEED, "export cases", str(count))
        for reach in _REACHES:
            ego_E, peers_NF = physical_inputs(reach * _uniform(rng, _EGO_RANGES, 1)[0], reach * _uniform(rng, _PEER_RANGES, count))
            for order in range(1 + _PERMUTATIONS):
                shuffled = peers_NF if order == 0 else peers_NF[rng.permutation(count)]
                yield Case(group=f"n={count}", ego=ego_E, peers=shuffled, ordered=peers_NF)


def recorded_cases(observations: Sequence[Mapping[str, Any]]) -> Iterator[Case]:
    """Recorded observations, back in physical units."""
    for observation in observations:
        ego = np.asarray(observation["ego"], np.float64) * EGO_SCALES
        ego_E, peers_NF = physical_inputs(ego, peers_from_observation(observation["peers"].values))
        yield Case(group="recorded", ego=ego_E, peers=peers_NF, ordered=peers_NF)


def mixed_cases(observations: Sequence[Mapping[str, Any]]) -> Iterator[Case]:
    """Every number of peers in `PEER_COUNTS`, from the peers of all recorded observations.

    An int8 model holds the range that was recorded and nothing beyond it, so this is what it can be asked for.
    """
    recorded = list(recorded_cases(observations))
    everyone = np.concatenate([case.peers for case in recorded]) if recorded else np.zeros((0, PEER_SIZE), np.float32)
    if not len(everyone):
        return
    for count in PEER_COUNTS:
        rng = named_stream(_SEED, "export mixed cases", str(count))
        for _ in _REACHES:
            own = recorded[int(rng.integers(len(recorded)))].ego
            peers_NF = everyone[rng.integers(len(everyone), size=count)]
            yield Case(group=f"n={count}", ego=own, peers=peers_NF[rng.permutation(count)], ordered=peers_NF)


def expected_of(policy: Policy, cases: Sequence[Case]) -> Expected:
    """Torch's answers, in float64 on the observation entries of the cases, which are float32."""
    import torch

    from roadsense.model.packing import pack

    entries = [network_entries(case.ego, case.ordered) for case in cases]
    egos_BE = torch.from_numpy(np.stack([ego for ego, _ in entries]) if entries else np.zeros((0, EGO_SIZE), np.float32))
    with torch.no_grad():
        model = policy.to_model().double()
        values_SF, counts_B = pack([PeerSet(peers) for _, peers in entries])
        parameters_B3 = model.action_parameters(egos_BE.double(), values_SF.double(), counts_B)
        # What goes into the last layer comes out of a ReLU, so with absolute weights its outputs are the sums of absolute terms.
        for weight_or_bias in model.actor[-1].parameters():
            weight_or_bias.abs_()
        terms_B3 = model.action_parameters(egos_BE.double(), values_SF.double(), counts_B)
    return Expected(
        parameters=parameters_B3.numpy(),
        actions=deterministic_action(parameters_B3).numpy(),
        scales=terms_B3.amax(dim=1).clamp(min=1.0).numpy(),
    )


def _uniform(rng: np.random.Generator, ranges: Sequence[tuple[float, float]], rows: int) -> FloatArray:
    low, high = np.array(ranges).T
    drawn: FloatArray = rng.uniform(low, high, size=(rows, len(ranges))).astype(np.float32)
    return drawn
