"""Named random streams, keyed by the identity of an episode.

Everything random in an episode (scenario, SUMO, radio, hazard, driver) is a stream of its identity, so an episode can be played again
from its identity alone. Streams are independent children of one `numpy.random.SeedSequence`, chosen by the *name* of the stream: adding
a stream never shifts another.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Protocol

import numpy as np

# Domain tags keep a training identity from ever hashing to an evaluation identity.
_TRAINING_TAG = 0x7261
_EVALUATION_TAG = 0x6576
_SUMO_SEED_LIMIT = 2**31 - 1  # SUMO reads --seed as a signed 32-bit integer.


class Identity(Protocol):
    """What makes an episode unique: a key of non-negative integers, and a readable name."""

    def key(self) -> tuple[int, ...]:
        """Non-negative integers that no other episode has."""
        ...

    def label(self) -> str:
        """One short line for logs and for the `identity` column of episode tables."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class EpisodeIdentity:
    """A training episode: the index-th of one sub-environment of one worker in one generation of a run.

    The driver hands out a new `generation` whenever a worker is created or a run is resumed, so no identity is drawn twice.
    """

    run_seed: int
    generation: int
    worker: int
    sub_environment: int
    index: int

    def key(self) -> tuple[int, ...]:
        """Non-negative integers that no other episode has."""
        return (_TRAINING_TAG, self.run_seed, self.generation, self.worker, self.sub_environment, self.index)

    def label(self) -> str:
        """For example `train:42/0/1/3/17`: seed, generation, worker, sub-environment, index."""
        return f"train:{self.run_seed}/{self.generation}/{self.worker}/{self.sub_environment}/{self.index}"


@dataclass(frozen=True, slots=True, kw_only=True)
class EvaluationIdentity:
    """An evaluation episode: one scenario of one dataset in one round; the same for every policy."""

    dataset_hash: str
    scenario_id: str
    round_index: int

    def key(self) -> tuple[int, ...]:
        """Non-negative integers that no other episode has."""
        return (_EVALUATION_TAG, _digest(self.dataset_hash), _digest(self.scenario_id), self.round_index)

    def label(self) -> str:
        """For example `eval:3f2a9c01/eval_004_rural_curve/0`: dataset hash (first 8 digits), scenario, round."""
        return f"eval:{self.dataset_hash[:8]}/{self.scenario_id}/{self.round_index}"


def stream(identity: Identity, name: str) -> np.random.Generator:
    """The named random stream of an episode; the same identity and name always give the same numbers."""
    return np.random.default_rng(np.random.SeedSequence(entropy=[*identity.key(), _digest(name)]))


def named_stream(seed: int, *names: str) -> np.random.Generator:
    """A named random stream outside an episode, for example of a scenario that is being generated."""
    return np.random.default_rng(np.random.SeedSequence(entropy=[seed, *(_digest(name) for name in names)]))


def sumo_seed(identity: Identity) -> int:
    """The value for SUMO's `--seed`, in [0, 2**31 - 2]."""
    return int(stream(identity, "sumo").integers(_SUMO_SEED_LIMIT))


def _digest(text: str) -> int:
    """64 bits of SHA-256: stable over processes and versions, unlike `hash`."""
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big")
