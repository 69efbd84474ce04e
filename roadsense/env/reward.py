"""The reward: named terms on the true situation and the achieved deceleration, each at most about 1 in size per second.

The reward of a step is the weighted sum of the terms; the same terms are what evaluation reports. Standing still earns nothing, so parking
is never better than driving, and every term changes smoothly with what it measures: there is no cliff to exploit.

An own term is a function of a `StepView` that returns a float, named as `module:function` with its weight in `RewardWeights.extra`; what
comes after the colon is its name among the terms.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final, NamedTuple

from roadsense.config import STEP_LENGTH_S
from roadsense.env.outcome import Outcome
from roadsense.env.settings import RewardWeights
from roadsense.env.situation import Situation
from roadsense.errors import ConfigError
from roadsense.extensions import import_callable
from roadsense.features import RELEASE_THRESHOLD

TERM_NAMES: Final = ("progress", "collision", "unsafe", "braking", "jerk")

# A leader that needs less than this to be avoided is everyday traffic; at full braking's 8 m/s2 the term is 1.
_COMFORTABLE_DECEL_MPS2 = 2.0
_FULL_DECEL_MPS2 = 8.0
# Impact speed at which the collision term is 1.5: what a car's crash structure is tested for is 13.9 m/s (50 km/h).
_REFERENCE_IMPACT_MPS = 14.0
_SLOWEST_LIMIT_MPS = 1.0  # a network may have lanes with a limit of 0
_NOTHING: Final = dict.fromkeys(TERM_NAMES, 0.0)


class StepView(NamedTuple):
    """One step as the reward sees it; `now` is None when the ego has left the road."""

    now: Situation | None
    before: Situation
    action: float
    outcome: Outcome | None

    @property
    def agent_brakes(self) -> bool:
        """Whether the agent had the car in this step."""
        return self.action > RELEASE_THRESHOLD


class Reward:
    """The built-in terms and the user's own, with their weights.

    Raises:
        ConfigError: an own term cannot be imported, or its name is taken.
    """

    def __init__(self, weights: RewardWeights) -> None:
        self._weights = {name: float(getattr(weights, name)) for name in TERM_NAMES}
        self._own_terms: dict[str, Callable[[StepView], float]] = {}
        for spec, weight in weights.extra.items():
            term = import_callable(spec, "reward term")
            name = spec.partition(":")[2]
            if name in self._weights:
                raise ConfigError(f"reward term {spec!r}: there is a term {name!r} already; give the function another name")
            self._own_terms[name], self._weights[name] = term, weight

    def terms(self, step: StepView) -> dict[str, float]:
        """The unweighted terms of one step, the built-in ones first."""
        terms = reward_terms(step)
        for name, term in self._own_terms.items():
            terms[name] = float(term(step))
        return terms

    def total(self, terms: Mapping[str, float]) -> float:
        """The reward of a step: the weighted sum."""
        total = 0.0
        for name, value in terms.items():
            total += self._weights[name] * value
        return total


def reward_terms(step: StepView) -> dict[str, float]:
    """The unweighted built-in terms of one step, in the order of `TERM_NAMES`.

    - progress: distance driven, as a share of what the speed limit allows, in seconds; at most 1 s per s.
    - collision: -(0.5 + impact speed / 14 m/s), once, at contact.
    - unsafe: minus the share of (2, 8) m/s2 that is needed to avoid a leader that keeps its speed, times the step length.
    - braking: minus the achieved deceleration while the agent brakes, as a share of 8 m/s2, times the step length.
    - jerk: minus the change of the achieved acceleration, as a share of 8 m/s2, while the agent brakes.
    """
    terms = _NOTHING.copy()
    now = step.now
    if now is None:
        return terms
    terms["progress"] = min(1.0, now.speed_mps / max(now.speed_limit_mps, _SLOWEST_LIMIT_MPS)) * STEP_LENGTH_S
    if step.outcome is Outcome.COLLISION:
        terms["collision"] = -(0.5 + now.closing_speed_mps / _REFERENCE_IMPACT_MPS)
    excess = (now.required_decel_mps2 - _COMFORTABLE_DECEL_MPS2) / (_FULL_DECEL_MPS2 - _COMFORTABLE_DECEL_MPS2)
    terms["unsafe"] = -min(1.0, max(0.0, excess)) * STEP_LENGTH_S
    if step.agent_brakes:
        terms["braking"] = -max(0.0, -now.accel_mps2) / _FULL_DECEL_MPS2 * STEP_LENGTH_S
        terms["jerk"] = -min(1.0, abs(now.accel_mps2 - step.before.accel_mps2) / _FULL_DECEL_MPS2)
    return terms
