"""What was drawn for the scenarios of a dataset, as samples by quantity and split, and how alike the splits are."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from roadsense.scenario.manifest import Manifest, ScenarioEntry
from roadsense.scenario.sampler import Split
from roadsense.state import FloatArray

SPLITS: Final[tuple[Split, Split]] = ("train", "eval")
_BINS: Final = 20
# Quantity -> the key of the manifest's ranges that it was drawn from.
_RANGES: Final = {
    "convoy.speed_factor": "speedFactor",
    "type_speed_factor": "speedFactor",
    "convoy.sigma": "sigma",
    "type_sigma": "sigma",
    "vehs_per_hour_factor": "vehsPerHour",
    "spawn_jitter_s": "spawn_jitter_s",
    "convoy.spawn_jitter_s": "spawn_jitter_s",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Quantity:
    """One drawn number: all its values in each split, those of the cars of a convoy together; `limits` is what it was drawn from."""

    name: str
    values: Mapping[Split, FloatArray]
    limits: tuple[float, float] | None

    @property
    def is_varied(self) -> bool:
        """Whether it has more than one value at all."""
        every = np.concatenate([self.values[split] for split in SPLITS])
        return len(every) > 0 and bool(np.ptp(every) > 0)

    @property
    def edges(self) -> FloatArray:
        """Edges of twenty bins over all values of both splits, or one bin per whole number where all are small whole numbers."""
        every = np.concatenate([self.values[split] for split in SPLITS])
        if np.all(every == np.round(every)) and np.ptp(every) < _BINS:
            return np.arange(every.min() - 0.5, every.max() + 1.0)
        return np.linspace(every.min(), every.max(), _BINS + 1)

    @property
    def overlap(self) -> float | None:
        """The common area of both histograms, 1 when they are equal; None where a split has no value."""
        if not all(len(self.values[split]) for split in SPLITS):
            return None
        shares = [np.histogram(self.values[split], self.edges)[0] / len(self.values[split]) for split in SPLITS]
        return float(np.minimum(*shares).sum())

    @property
    def distance(self) -> float | None:
        """The largest difference of both cumulative distributions (Kolmogorov and Smirnov's); None where a split has no value."""
        train, evaluation = (np.sort(self.values[split]) for split in SPLITS)
        if not len(train) or not len(evaluation):
            return None
        every = np.concatenate((train, evaluation))
        below = [np.searchsorted(values, every, side="right") / len(values) for values in (train, evaluation)]
        return float(np.abs(below[0] - below[1]).max())

    @property
    def usual_distance(self) -> float | None:
        """What the distance of two independent samples of these sizes stays below in 95 % of the cases: 1.36 sqrt(1/n + 1/m)."""
        sizes = [len(self.values[split]) for split in SPLITS]
        return None if not all(sizes) else 1.36 * math.sqrt(sum(1 / size for size in sizes))


@dataclass(frozen=True, slots=True, kw_only=True)
class Shared:
    """What both splits have in common though they should not, and pairs of base and peer count that evaluation has and training lacks."""

    seeds: int
    route_files: int
    draws: int
    kinds: int
    unseen_kinds: tuple[str, ...]

    @property
    def is_leak(self) -> bool:
        """Whether a scenario of the evaluation was trained on."""
        return bool(self.seeds or self.route_files or self.draws)


def quantities(manifest: Manifest) -> tuple[Quantity, ...]:
    """Every number that was drawn, by name."""
    found: dict[str, dict[Split, list[float]]] = {}
    for split, entry in _entries(manifest):
        for name, value in _numbers(entry):
            found.setdefault(name, {"train": [], "eval": []})[split].append(value)
    return tuple(
        Quantity(name=name, values={split: np.array(values[split], dtype=np.float64) for split in SPLITS}, limits=_limits(manifest, name))
        for name, values in sorted(found.items())
    )


def categories(manifest: Manifest) -> dict[str, dict[str, dict[Split, int]]]:
    """Drawn words, for example types of cars: quantity -> word -> how often in each split."""
    found: dict[str, dict[str, dict[Split, int]]] = {}
    for split, entry in _entries(manifest):
        for name, value in _leaves("", entry.drawn):
            if isinstance(value, str):
                found.setdefault(name, {}).setdefault(value, {"train": 0, "eval": 0})[split] += 1
    return {name: dict(sorted(words.items())) for name, words in sorted(found.items()) if len(words) > 1}


def shared(manifest: Manifest) -> Shared:
    """What the splits share."""
    train, evaluation = manifest.train_scenarios, manifest.eval_scenarios
    kinds = Counter((entry.base, entry.peer_count) for entry in evaluation)
    seen = {(entry.base, entry.peer_count) for entry in train}
    unseen = [
        f"{base} with {peers} peers" if peers is not None else base for base, peers in sorted(kinds, key=str) if (base, peers) not in seen
    ]
    return Shared(
        seeds=len({entry.seed for entry in train} & {entry.seed for entry in evaluation}),
        route_files=len(_route_files(train) & _route_files(evaluation)),
        draws=sum(any(entry.drawn == other.drawn and entry.base == other.base for other in train) for entry in evaluation if entry.drawn),
        kinds=len(kinds),
        unseen_kinds=tuple(unseen),
    )


def _entries(manifest: Manifest) -> Iterator[tuple[Split, ScenarioEntry]]:
    for entry in manifest.train_scenarios:
        yield "train", entry
    for entry in manifest.eval_scenarios:
        yield "eval", entry


def _route_files(entries: Sequence[ScenarioEntry]) -> set[str]:
    return {digest for entry in entries for name, digest in entry.files.items() if name.endswith(".rou.xml")}


def _numbers(entry: ScenarioEntry) -> Iterator[tuple[str, float]]:
    for name in ("peer_count", "background_equipment_rate"):
        value = getattr(entry, name)
        if value is not None:
            yield name, float(value)
    for name, value in _leaves("", entry.drawn):
        if isinstance(value, (int, float)) and not isinstance(value, bool):
            yield name, float(value)


def _leaves(path: str, drawn: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """Plain values by path; an object that holds nothing but plain values is one quantity, drawn per car or type."""
    is_pooled = path != "" and not any(isinstance(value, Mapping) for value in drawn.values())
    for key, value in drawn.items():
        name = path if is_pooled else f"{path}.{key}" if path else key
        if isinstance(value, Mapping):
            yield from _leaves(name, value)
        else:
            yield name, value


def _limits(manifest: Manifest, name: str) -> tuple[float, float] | None:
    ranges = manifest.ranges
    if name in _RANGES:
        low, high = getattr(ranges, _RANGES[name])
        return float(low), float(high)
    by_base: list[tuple[float, float]] = []
    if name == "peer_count":
        by_base = [*ranges.peer_count.values()]
    elif name == "background_equipment_rate":
        by_base = [*ranges.background_equipment_rate.values()]
    return (float(min(low for low, _ in by_base)), float(max(high for _, high in by_base))) if by_base else None
