"""The reward: named terms on the true situation and the achieved deceleration, each at most about 1 in size per second.

The reward of a step is the weighted sum of the terms; the same terms are what evaluation reports. Standing still earns nothing, so parking
is never better than driving, and every term changes smoothly with what it measures: there is no cliff to exploit.
"""

from __future__ import annotations

from typing import Final

from roadsense.config import STEP_LENGTH_S
from roadsense.env.outcome import Outcome
from roadsense.env.settings import RewardWeights
from roadsense.env.situation import Situation

TERM_NAMES: Final = ("progress", "collision", "unsafe", "braking", "jerk")

# A leader that needs less than this to be avoided is everyday traffic; at full braking's 8 m/s2 the term is 1.
_COMFORTABLE_DECEL_MPS2 = 2.0
_FULL_DECEL_MPS2 = 8.0
# Impact speed at which the collision term is 1.5: what a car's crash structure is tested for is 13.9 m/s (50 km/h).
_REFERENCE_IMPACT_MPS = 14.0


def reward_terms(
    now: Situation | None, before: Situation, *, agent_brakes: bool, initial_speed_mps: float, outcome: Outcome | None
) -> dict[str, float]:
    """The unweighted terms of one step, in the order of `TERM_NAMES`; `now` is None when the ego has left the road.

    - progress: distance driven, as a share of what the initial speed would have given, in seconds; at most 1 s per s.
    - collision: -(0.5 + impact speed / 14 m/s), once, at contact.
    - unsafe: minus the share of (2, 8) m/s2 that is needed to avoid a leader that keeps its speed, times the step length.
    - braking: minus the achieved deceleration while the agent brakes, as a share of 8 m/s2, times the step length.
    - jerk: minus the change of the achieved acceleration, as a share of 8 m/s2, while the agent brakes.
    """
    terms = dict.fromkeys(TERM_NAMES, 0.0)
    if now is None:
        return terms
    terms["progress"] = min(1.0, now.speed_mps / max(initial_speed_mps, 1.0)) * STEP_LENGTH_S
    if outcome is Outcome.COLLISION:
        terms["collision"] = -(0.5 + now.closing_speed_mps / _REFERENCE_IMPACT_MPS)
    excess = (now.required_decel_mps2 - _COMFORTABLE_DECEL_MPS2) / (_FULL_DECEL_MPS2 - _COMFORTABLE_DECEL_MPS2)
    terms["unsafe"] = -min(1.0, max(0.0, excess)) * STEP_LENGTH_S
    if agent_brakes:
        terms["braking"] = -max(0.0, -now.accel_mps2) / _FULL_DECEL_MPS2 * STEP_LENGTH_S
        terms["jerk"] = -min(1.0, abs(now.accel_mps2 - before.accel_mps2) / _FULL_DECEL_MPS2)
    return terms


def weighted_sum(terms: dict[str, float], weights: RewardWeights) -> float:
    """The reward of a step."""
    return sum(float(getattr(weights, name)) * value for name, value in terms.items())
