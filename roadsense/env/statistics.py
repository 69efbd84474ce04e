"""What is counted while an episode runs."""

from __future__ import annotations

import math

from roadsense.config import STEP_LENGTH_S
from roadsense.env.outcome import Outcome
from roadsense.env.record import EpisodeRecord
from roadsense.env.reward import TERM_NAMES
from roadsense.env.script import Hazard
from roadsense.env.situation import Situation
from roadsense.features import RELEASE_THRESHOLD

# The agent may go on braking for this long after a hazard has resolved before it counts as false.
_AFTER_HAZARD_S = 1.0


class EpisodeStatistics:
    """Running sums of one episode; `record` turns them into an `EpisodeRecord`."""

    def __init__(self, hazard: Hazard | None) -> None:
        self._hazard = hazard
        self._actions: list[float] = []
        self._return = 0.0
        self._terms = dict.fromkeys(TERM_NAMES, 0.0)
        self._hazard_fired = False
        self._reaction_s: float | None = None
        self._outside = self._false_braking = 0
        self._min_gap_m = self._min_ttc_s = math.inf
        self._max_decel_mps2 = 0.0
        self._progress_m = 0.0
        self._impact_speed_mps: float | None = None

    @property
    def steps(self) -> int:
        """Decisions taken so far."""
        return len(self._actions)

    def hazard_fires(self) -> None:
        """The hazard car has begun to brake."""
        self._hazard_fired = True

    def count(
        self, action: float, time_s: float, terms: dict[str, float], reward: float, situation: Situation | None, outcome: Outcome | None
    ) -> None:
        """Add one step; `time_s` is the moment of the decision, `situation` the one after it."""
        self._actions.append(action)
        self._return += reward
        for name, value in terms.items():
            self._terms[name] += value
        self._count_braking(action > RELEASE_THRESHOLD, time_s)
        if situation is None:
            return
        self._min_gap_m = min(self._min_gap_m, situation.gap_m)
        self._min_ttc_s = min(self._min_ttc_s, situation.time_to_collision_s)
        self._max_decel_mps2 = max(self._max_decel_mps2, -situation.accel_mps2)
        self._progress_m += situation.speed_mps * STEP_LENGTH_S
        if outcome is Outcome.COLLISION:
            self._impact_speed_mps = situation.closing_speed_mps

    def _count_braking(self, brakes: bool, time_s: float) -> None:
        hazard = self._hazard
        if hazard is not None and self._hazard_fired:
            if brakes and self._reaction_s is None:
                self._reaction_s = time_s - hazard.onset_s
            if time_s <= hazard.resolves_s + _AFTER_HAZARD_S:
                return
        self._outside += 1
        self._false_braking += brakes

    def record(self, outcome: Outcome, *, identity: str, scenario_id: str, base: str, peer_count: int, distracted: bool) -> EpisodeRecord:
        """The finished episode."""
        hazard = self._hazard
        return EpisodeRecord(
            identity=identity,
            scenario_id=scenario_id,
            base=base,
            peer_count=peer_count,
            outcome=outcome,
            steps=self.steps,
            episode_return=self._return,
            reward_terms=dict(self._terms),
            hazard_fired=self._hazard_fired,
            hazard_onset_s=hazard.onset_s if hazard else None,
            hazard_rank=hazard.rank if hazard else None,
            hazard_decel_mps2=hazard.decel_mps2 if hazard else None,
            distracted=distracted,
            impact_speed_mps=self._impact_speed_mps,
            reaction_s=self._reaction_s,
            steps_outside_hazard=self._outside,
            false_braking_steps=self._false_braking,
            min_gap_m=_finite(self._min_gap_m),
            min_time_to_collision_s=_finite(self._min_ttc_s),
            max_decel_mps2=self._max_decel_mps2,
            progress_m=self._progress_m,
            actions=tuple(self._actions),
        )


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None
