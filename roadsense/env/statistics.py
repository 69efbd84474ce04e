"""What an episode came to: its ledger summed up into a record."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from roadsense.compiled import compiled
from roadsense.config import STEP_LENGTH_S
from roadsense.env.ledger import (
    ACCEL_MPS2,
    ACTION,
    CLOSING_MPS,
    DECIDED_S,
    FIRST_TERM,
    GAP_M,
    ON_ROAD,
    REWARD,
    SPEED_MPS,
)
from roadsense.env.outcome import Outcome
from roadsense.env.record import EpisodeRecord
from roadsense.env.reward import TERM_NAMES
from roadsense.env.script import EpisodeScript
from roadsense.env.situation import time_to_collision_s
from roadsense.features import RELEASE_THRESHOLD
from roadsense.state import FloatArray

# The agent may go on braking for this long after a hazard has resolved before it counts as false.
_AFTER_HAZARD_S = 1.0
_UNSAFE = FIRST_TERM + TERM_NAMES.index("unsafe")
_TERMS = len(TERM_NAMES)


@dataclass(frozen=True, slots=True, kw_only=True)
class EpisodeFacts:
    """What is known of an episode before it begins; see `EpisodeRecord`."""

    identity: str
    scenario_id: str
    base: str
    peer_count: int


class HazardTimes:
    """When the hazard of an episode began, and when the ego first heard of it; None before."""

    def __init__(self) -> None:
        self.fired_s: float | None = None
        self.heard_s: float | None = None

    def fires(self, time_s: float) -> None:
        """The hazard car begins to brake with the decision at `time_s`."""
        self.fired_s = time_s

    def is_heard(self, time_s: float) -> None:
        """The ego knows a message that the hazard car measured after its onset, for the decision at `time_s`; the first time counts."""
        if self.heard_s is None:
            self.heard_s = time_s


def summed_up(
    ledger_RC: FloatArray,
    outcome: Outcome,
    facts: EpisodeFacts,
    script: EpisodeScript,
    hazard_times: HazardTimes,
    own_terms: Mapping[str, float],
) -> EpisodeRecord:
    """The record of an episode of which these rows were written; `own_terms` are the sums of the user's reward terms."""
    steps = len(ledger_RC) - 1
    hazard, fired_s = script.hazard, hazard_times.fired_s
    window_s = (math.inf, -math.inf) if hazard is None or fired_s is None else (fired_s, hazard.resolves_s + _AFTER_HAZARD_S)
    sums = np.zeros(1 + _TERMS)
    summed = _sum_up(ledger_RC, math.inf if fired_s is None else fired_s, *window_s, sums)
    counts, first_edge_s, extremes, jerk_square_sum, progress_m = summed
    outside, false_braking, unsafe, braking = counts
    min_gap_m, min_time_to_collision_s, max_decel_mps2, peak_braking_mps2 = extremes
    heard_s = hazard_times.heard_s
    reacted = math.isfinite(first_edge_s) and heard_s is not None
    return EpisodeRecord(
        identity=facts.identity,
        scenario_id=facts.scenario_id,
        base=facts.base,
        peer_count=facts.peer_count,
        outcome=outcome,
        steps=steps,
        episode_return=float(sums[0]),
        reward_terms={**dict(zip(TERM_NAMES, sums[1:].tolist(), strict=True)), **own_terms} if steps else {},
        hazard_fired=fired_s is not None,
        hazard_kind=hazard.kind if hazard else None,
        hazard_onset_s=hazard.onset_s if hazard else None,
        hazard_rank=hazard.rank if hazard else None,
        hazard_decel_mps2=hazard.decel_mps2 if hazard else None,
        hazard_heard_s=heard_s,
        benign_braking=script.benign is not None,
        distracted=bool(script.distractions),
        impact_speed_mps=float(ledger_RC[-1, CLOSING_MPS]) if outcome is Outcome.COLLISION and ledger_RC[-1, ON_ROAD] else None,
        reaction_s=first_edge_s - heard_s if reacted and heard_s is not None else None,
        steps_outside_hazard=outside,
        false_braking_steps=false_braking,
        unsafe_steps=unsafe,
        min_gap_m=_finite(min_gap_m),
        min_time_to_collision_s=_finite(min_time_to_collision_s),
        max_decel_mps2=max_decel_mps2,
        peak_braking_mps2=peak_braking_mps2 if braking else None,
        rms_jerk_mps3=math.sqrt(jerk_square_sum / steps) if steps else 0.0,
        progress_m=progress_m,
        actions=tuple(ledger_RC[1:, ACTION].tolist()),
    )


@compiled
def _sum_up(
    ledger_RC: FloatArray, fired_s: float, window_begins_s: float, window_ends_s: float, sums: FloatArray
) -> tuple[tuple[int, int, int, int], float, tuple[float, float, float, float], float, float]:
    """Sums over all steps: `sums` (1 + terms) becomes the return and the terms.

    Returns:
        decisions outside the hazard window and those among them that brake, unsafe steps, steps on the road in which the agent braked; the
        time of the first rising edge of braking from `fired_s` on, infinite without one; smallest gap and time to collision, largest
        deceleration and largest while the agent braked; the sum of the squared jerks; the distance driven.
    """
    outside = false_braking = unsafe = braking = 0
    first_edge_s = min_gap_m = min_ttc_s = np.inf
    max_decel_mps2 = peak_braking_mps2 = jerk_square_sum = progress_m = 0.0
    braked = False
    for row in range(1, len(ledger_RC)):
        now, decided_s = ledger_RC[row], ledger_RC[row, DECIDED_S]
        sums[0] += now[REWARD]
        for term in range(_TERMS):
            sums[1 + term] += now[FIRST_TERM + term]
        brakes = now[ACTION] > RELEASE_THRESHOLD
        if brakes and not braked and decided_s >= fired_s and first_edge_s == np.inf:
            first_edge_s = decided_s
        braked = brakes
        if not window_begins_s <= decided_s <= window_ends_s:
            outside += 1
            false_braking += brakes
        if now[ON_ROAD] == 0.0:
            continue
        unsafe += now[_UNSAFE] < 0.0
        min_gap_m = min(min_gap_m, now[GAP_M])
        min_ttc_s = min(min_ttc_s, time_to_collision_s(now[GAP_M], now[CLOSING_MPS]))
        max_decel_mps2 = max(max_decel_mps2, -now[ACCEL_MPS2])
        if brakes:
            braking += 1
            peak_braking_mps2 = max(peak_braking_mps2, -now[ACCEL_MPS2])
        jerk_mps3 = (now[ACCEL_MPS2] - ledger_RC[row - 1, ACCEL_MPS2]) / STEP_LENGTH_S
        jerk_square_sum += jerk_mps3 * jerk_mps3
        progress_m += now[SPEED_MPS] * STEP_LENGTH_S
    counts = (outside, false_braking, unsafe, braking)
    extremes = (min_gap_m, min_ttc_s, max_decel_mps2, peak_braking_mps2)
    return counts, first_edge_s, extremes, jerk_square_sum, progress_m


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None
