"""What a dataset covers: how often each base comes with each number of peers, and where hazards can happen."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from roadsense.scenario.manifest import Manifest, ScenarioEntry
from roadsense.scenario.sampler import Split


@dataclass(frozen=True, slots=True, kw_only=True)
class Coverage:
    """One base in one split.

    `peer_counts` maps a number of peers to scenarios, and holds every number the base allows, also those that never come;
    `hazard_ranks[k - 1]` is the number of scenarios in which k peers and more drive ahead, so that the k-th can be the hazard. Both are
    empty for a base without a convoy, where every other vehicle is a peer.
    """

    base: str
    split: Split
    scenarios: int
    peer_counts: dict[int, int]
    hazard_ranks: tuple[int, ...]

    @property
    def missing_peer_counts(self) -> tuple[int, ...]:
        """Numbers of peers that the base allows and no scenario has."""
        return tuple(count for count, scenarios in self.peer_counts.items() if not scenarios)


def coverage(manifest: Manifest) -> tuple[Coverage, ...]:
    """The coverage of every base in both splits, by base."""
    splits: tuple[tuple[Split, tuple[ScenarioEntry, ...]], ...] = (("train", manifest.train_scenarios), ("eval", manifest.eval_scenarios))
    return tuple(
        _cover(base, split, [entry for entry in entries if entry.base == base], manifest.ranges.peer_count.get(base))
        for base in sorted(manifest.base_scenarios)
        for split, entries in splits
    )


def _cover(base: str, split: Split, entries: Sequence[ScenarioEntry], limits: tuple[int, int] | None) -> Coverage:
    counts = Counter(entry.peer_count for entry in entries)
    allowed = range(limits[0], limits[1] + 1) if limits is not None else ()
    ahead = [_peers_ahead(entry) for entry in entries]
    return Coverage(
        base=base,
        split=split,
        scenarios=len(entries),
        peer_counts={count: counts[count] for count in allowed},
        hazard_ranks=tuple(sum(peers >= rank for peers in ahead) for rank in range(1, max(ahead, default=0) + 1)),
    )


def _peers_ahead(entry: ScenarioEntry) -> int:
    convoy = entry.drawn.get("convoy")
    peers = convoy.get("peers_ahead") if isinstance(convoy, dict) else None
    return peers if isinstance(peers, int) else 0
