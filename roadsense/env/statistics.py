"""What is counted while an episode runs."""

from __future__ import annotations

import math
from dataclasses import dataclass

from roadsense.config import STEP_LENGTH_S
from roadsense.env.outcome import Outcome
from roadsense.env.record import EpisodeRecord
from roadsense.env.reward import StepView
from roadsense.env.script import EpisodeScript

# The agent may go on braking for this long after a hazard has resolved before it counts as false.
_AFTER_HAZARD_S = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class EpisodeFacts:
    """What is known of an episode before it begins; see `EpisodeRecord`."""

    identity: str
    scenario_id: str
    base: str
    peer_count: int


class EpisodeStatistics:
    """Running sums of one episode; `record` turns them into an `EpisodeRecord`."""

    def __init__(self, script: EpisodeScript) -> None:
        self._script = script
        self._actions: list[float] = []
        self._return = 0.0
        self._terms: dict[str, float] = {}
        self._hazard_fired_s: float | None = None
        self._hazard_heard_s: float | None = None
        self._first_edge_s: float | None = None  # first rising edge of braking after the onset
        self._agent_braked = False
        self._outside = self._false_braking = self._unsafe = 0
        self._min_gap_m = self._min_ttc_s = math.inf
        self._max_decel_mps2 = 0.0
        self._peak_braking_mps2: float | None = None
        self._jerk_square_sum = 0.0
        self._progress_m = 0.0
        self._impact_speed_mps: float | None = None

    @property
    def steps(self) -> int:
        """Decisions taken so far."""
        return len(self._actions)

    @property
    def hazard_fired_s(self) -> float | None:
        """The decision at which the hazard car began to brake; None before."""
        return self._hazard_fired_s

    def hazard_fires(self, time_s: float) -> None:
        """The hazard car begins to brake with the decision at `time_s`."""
        self._hazard_fired_s = time_s

    def hazard_is_heard(self, time_s: float) -> None:
        """The ego knows a message that the hazard car measured after its onset, for the decision at `time_s`; the first time counts."""
        if self._hazard_heard_s is None:
            self._hazard_heard_s = time_s

    def count(self, step: StepView, time_s: float, terms: dict[str, float], reward: float) -> None:
        """Add one step; `time_s` is the moment of its decision."""
        self._actions.append(step.action)
        self._return += reward
        for name, value in terms.items():
            self._terms[name] = self._terms.get(name, 0.0) + value
        self._count_braking(step.agent_brakes, time_s)
        if step.now is not None:
            self._unsafe += terms["unsafe"] < 0
            self._count_motion(step)

    def _count_braking(self, brakes: bool, time_s: float) -> None:
        begins, self._agent_braked = brakes and not self._agent_braked, brakes
        if self._hazard_fired_s is not None and self._first_edge_s is None and begins:
            self._first_edge_s = time_s
        hazard = self._script.hazard
        if hazard is not None and self._hazard_fired_s is not None and time_s <= hazard.resolves_s + _AFTER_HAZARD_S:
            return
        self._outside += 1
        self._false_braking += brakes

    def _count_motion(self, step: StepView) -> None:
        now = step.now
        if now is None:
            return
        self._min_gap_m = min(self._min_gap_m, now.gap_m)
        self._min_ttc_s = min(self._min_ttc_s, now.time_to_collision_s)
        self._max_decel_mps2 = max(self._max_decel_mps2, -now.accel_mps2)
        if step.agent_brakes:
            self._peak_braking_mps2 = max(self._peak_braking_mps2 or 0.0, -now.accel_mps2)
        self._jerk_square_sum += ((now.accel_mps2 - step.before.accel_mps2) / STEP_LENGTH_S) ** 2
        self._progress_m += now.speed_mps * STEP_LENGTH_S
        if step.outcome is Outcome.COLLISION:
            self._impact_speed_mps = now.closing_speed_mps

    def _reaction_s(self) -> float | None:
        if self._first_edge_s is None or self._hazard_heard_s is None:
            return None
        return self._first_edge_s - self._hazard_heard_s

    def record(self, outcome: Outcome, facts: EpisodeFacts) -> EpisodeRecord:
        """The finished episode."""
        hazard = self._script.hazard
        return EpisodeRecord(
            identity=facts.identity,
            scenario_id=facts.scenario_id,
            base=facts.base,
            peer_count=facts.peer_count,
            outcome=outcome,
            steps=self.steps,
            episode_return=self._return,
            reward_terms=dict(self._terms),
            hazard_fired=self._hazard_fired_s is not None,
            hazard_kind=hazard.kind if hazard else None,
            hazard_onset_s=hazard.onset_s if hazard else None,
            hazard_rank=hazard.rank if hazard else None,
            hazard_decel_mps2=hazard.decel_mps2 if hazard else None,
            hazard_heard_s=self._hazard_heard_s,
            benign_braking=self._script.benign is not None,
            distracted=bool(self._script.distractions),
            impact_speed_mps=self._impact_speed_mps,
            reaction_s=self._reaction_s(),
            steps_outside_hazard=self._outside,
            false_braking_steps=self._false_braking,
            unsafe_steps=self._unsafe,
            min_gap_m=_finite(self._min_gap_m),
            min_time_to_collision_s=_finite(self._min_ttc_s),
            max_decel_mps2=self._max_decel_mps2,
            peak_braking_mps2=self._peak_braking_mps2,
            rms_jerk_mps3=math.sqrt(self._jerk_square_sum / self.steps) if self.steps else 0.0,
            progress_m=self._progress_m,
            actions=tuple(self._actions),
        )


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None
