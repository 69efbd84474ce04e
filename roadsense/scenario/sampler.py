"""Which base scenario and how many peers each scenario gets, and the random streams it draws from."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Literal, Protocol

import numpy as np

from roadsense.scenario.base import BaseScenario
from roadsense.seeding import named_stream

Split = Literal["train", "eval"]
_SCENARIO_SEED_LIMIT = 2**31 - 1


class Streams(Protocol):
    """The named random streams of one scenario: the same name always gives the same numbers."""

    def __call__(self, name: str, /) -> np.random.Generator:
        """The stream of this name, from its beginning."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What is decided about a scenario before anything is drawn for it; `peer_count` is None where the base keeps its vehicles.

    `stem` begins the scenario's id: split, number and base.
    """

    stem: str
    split: Split
    base: BaseScenario
    peer_count: int | None
    seed: int
    streams: Streams


def plan_split(bases: Sequence[BaseScenario], split: Split, count: int, seed: int) -> tuple[Plan, ...]:
    """`count` plans that cycle through the bases and, within them, through all peer counts.

    Any run of as many scenarios as there are (base, peer count) pairs, counted from the first, holds every pair once; the order of the
    peer counts is drawn anew for every such run.
    """
    most = [base.convoy.most_peers if base.convoy is not None else 0 for base in bases]
    peer_counts = _peer_counts(split, count, seed, len(bases), max(most) + 1)
    width = max(3, len(str(max(count - 1, 0))))
    plans = []
    for index in range(count):
        base = bases[index % len(bases)]
        peers = peer_counts[index] % (base.convoy.most_peers + 1) if base.convoy is not None else None
        streams: Streams = partial(named_stream, seed, split, str(index))
        scenario_seed = int(streams("scenario").integers(_SCENARIO_SEED_LIMIT))
        stem = f"{split}_{index:0{width}d}_{base.name}"
        plans.append(Plan(stem=stem, split=split, base=base, peer_count=peers, seed=scenario_seed, streams=streams))
    return tuple(plans)


def _peer_counts(split: Split, count: int, seed: int, bases: int, kinds: int) -> list[int]:
    """Peer counts by scenario index; scenario i drives base i modulo `bases`.

    With bases and kinds coprime, repeating one permutation walks through every pair; otherwise it would meet the same pairs again after
    their least common multiple, so it is shifted by one there.
    """
    pairs, repeat = bases * kinds, math.lcm(bases, kinds)
    result: list[int] = []
    for run in range(math.ceil(count / pairs)):
        order = named_stream(seed, split, "peer_counts", str(run)).permutation(kinds)
        result += [int(order[(place + place // repeat) % kinds]) for place in range(pairs)]
    return result[:count]
