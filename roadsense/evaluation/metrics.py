"""From episodes to figures. Every figure here can get worse: each is tested by breaking the behaviour that it measures."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from roadsense.env.outcome import Outcome
from roadsense.env.record import EpisodeRecord
from roadsense.env.reward import TERM_NAMES


@dataclass
class RunningSummary:
    """Sums over episodes, one at a time, so that memory does not grow with their number.

    Faulty episodes (the simulator failed) are counted and enter no other figure.
    """

    outcomes: Counter[Outcome] = field(default_factory=Counter)
    scenarios: set[str] = field(default_factory=set)
    steps: int = 0
    hazards: int = 0
    hazard_collisions: int = 0
    steps_outside_hazard: int = 0
    false_braking_steps: int = 0
    progress_m: float = 0.0
    reward_sum: float = 0.0
    reward_square_sum: float = 0.0
    reward_min: float = math.inf
    reward_max: float = -math.inf
    impact_sum_mps: float = 0.0
    reaction_sum_s: float = 0.0
    reactions: int = 0
    terms: dict[str, float] = field(default_factory=lambda: dict.fromkeys(TERM_NAMES, 0.0))

    def add(self, record: EpisodeRecord) -> None:
        """Count one finished episode."""
        self.outcomes[record.outcome] += 1
        if record.outcome is Outcome.FAULT:
            return
        self.scenarios.add(record.scenario_id)
        self.steps += record.steps
        self.hazards += record.hazard_fired
        self.hazard_collisions += record.hazard_fired and record.collided
        self.steps_outside_hazard += record.steps_outside_hazard
        self.false_braking_steps += record.false_braking_steps
        self.progress_m += record.progress_m
        self.reward_sum += record.episode_return
        self.reward_square_sum += record.episode_return**2
        self.reward_min = min(self.reward_min, record.episode_return)
        self.reward_max = max(self.reward_max, record.episode_return)
        self.impact_sum_mps += record.impact_speed_mps or 0.0
        if record.reaction_s is not None:
            self.reactions += 1
            self.reaction_sum_s += record.reaction_s
        for name, value in record.reward_terms.items():
            self.terms[name] += value

    def figures(self) -> dict[str, Any]:
        """The `evaluation` section of metrics.json; a figure without a single case is null, never 0."""
        count = sum(self.outcomes.values()) - self.outcomes[Outcome.FAULT]
        collisions = self.outcomes[Outcome.COLLISION]
        truncations = self.outcomes[Outcome.SAFE] + self.outcomes[Outcome.ROUTE_ENDED]
        mean = _ratio(self.reward_sum, count)
        return {
            "eval_episodes": count,
            "avg_reward": mean,
            "std_reward": math.sqrt(max(0.0, self.reward_square_sum / count - mean**2)) if mean is not None else None,
            "min_reward": self.reward_min if count else None,
            "max_reward": self.reward_max if count else None,
            "avg_length": _ratio(self.steps, count),
            "collisions": collisions,
            "collision_rate": _ratio(collisions, count),
            "truncations": truncations,
            "truncation_rate": _ratio(truncations, count),
            "scenarios_evaluated": len(self.scenarios),
            "hazard_episodes": self.hazards,
            "hazard_collisions": self.hazard_collisions,
            "hazard_collision_rate": _ratio(self.hazard_collisions, self.hazards),
            "false_braking_rate": _ratio(self.false_braking_steps, self.steps_outside_hazard),
            "avg_impact_speed_mps": _ratio(self.impact_sum_mps, collisions),
            "avg_reaction_s": _ratio(self.reaction_sum_s, self.reactions),
            "reaction_rate": _ratio(self.reactions, self.hazards),
            "avg_progress_m": _ratio(self.progress_m, count),
            "avg_reward_terms": {name: _ratio(value, count) for name, value in self.terms.items()},
            "outcomes": {outcome.value: self.outcomes[outcome] for outcome in Outcome},
            "faults": self.outcomes[Outcome.FAULT],
        }


def summarise(records: Iterable[EpisodeRecord]) -> dict[str, Any]:
    """The figures of these episodes."""
    summary = RunningSummary()
    for record in records:
        summary.add(record)
    return summary.figures()


def _ratio(part: float, whole: float) -> float | None:
    return part / whole if whole else None
