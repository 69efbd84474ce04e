"""The reward: named terms on the true situation and the achieved deceleration, each at most about 1 in size per second.

The reward of a step is the weighted sum of the terms; the same terms are what evaluation reports. Standing still earns nothing, so parking
is never better than driving, and every term changes smoothly with what it measures: there is no cliff to exploit.

An own term is a function of a `StepView` that returns a float, named as `module:function` with its weight in `RewardWeights.extra`; what
comes after the colon is its name among the terms.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final, NamedTuple

import numpy as np

from roadsense.compiled import compiled
from roadsense.config import STEP_LENGTH_S
from roadsense.env.outcome import Outcome
from roadsense.env.settings import RewardWeights
from roadsense.env.situation import Situation, required_decel_mps2
from roadsense.errors import ConfigError
from roadsense.extensions import import_callable
from roadsense.features import RELEASE_THRESHOLD
from roadsense.state import FloatArray

TERM_NAMES: Final = ("progress", "collision", "unsafe", "braking", "jerk")

# A leader that needs less than this to be avoided is everyday traffic; at full braking's 8 m/s2 the term is 1.
_COMFORTABLE_DECEL_MPS2 = 2.0
_FULL_DECEL_MPS2 = 8.0
# Impact speed at which the collision term is 1.5: what a car's crash structure is tested for is 13.9 m/s (50 km/h).
_REFERENCE_IMPACT_MPS = 14.0
_SLOWEST_LIMIT_MPS = 1.0  # a network may have lanes with a limit of 0


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
    """The weights of the built-in terms, and the user's own terms with theirs.

    Attributes:
        weights: (5,), in the order of `TERM_NAMES`.

    Raises:
        ConfigError: an own term cannot be imported, or its name is taken.
    """

    def __init__(self, weights: RewardWeights) -> None:
        self.weights: FloatArray = np.array([float(getattr(weights, name)) for name in TERM_NAMES])
        self._own_terms: dict[str, Callable[[StepView], float]] = {}
        self._own_weights: dict[str, float] = {}
        for spec, weight in weights.extra.items():
            term = import_callable(spec, "reward term")
            name = spec.partition(":")[2]
            if name in TERM_NAMES or name in self._own_terms:
                raise ConfigError(f"reward term {spec!r}: there is a term {name!r} already; give the function another name")
            self._own_terms[name], self._own_weights[name] = term, weight

    @property
    def has_own_terms(self) -> bool:
        """Whether there is more than the built-in terms."""
        return bool(self._own_terms)

    def own_terms(self, step: StepView) -> dict[str, float]:
        """The user's unweighted terms of one step."""
        return {name: float(term(step)) for name, term in self._own_terms.items()}

    def own_total(self, terms: Mapping[str, float]) -> float:
        """Their share of a step's reward: the weighted sum."""
        return sum(self._own_weights[name] * value for name, value in terms.items())


@compiled
def step_terms(
    speed_mps: float,
    limit_mps: float,
    accel_mps2: float,
    accel_before_mps2: float,
    gap_m: float,
    closing_mps: float,
    action: float,
    collides: bool,
) -> tuple[float, float, float, float, float]:
    """The unweighted built-in terms of one step, in the order of `TERM_NAMES`.

    - progress: distance driven, as a share of what the speed limit allows, in seconds; at most 1 s per s.
    - collision: -(0.5 + impact speed / 14 m/s), once, at contact.
    - unsafe: minus the share of (2, 8) m/s2 that is needed to avoid a leader that keeps its speed, times the step length.
    - braking: minus the achieved deceleration while the agent brakes, as a share of 8 m/s2, times the step length.
    - jerk: minus the change of the achieved acceleration, as a share of 8 m/s2, while the agent brakes.
    """
    progress = min(1.0, speed_mps / max(limit_mps, _SLOWEST_LIMIT_MPS)) * STEP_LENGTH_S
    collision = -(0.5 + closing_mps / _REFERENCE_IMPACT_MPS) if collides else 0.0
    excess = (required_decel_mps2(gap_m, closing_mps) - _COMFORTABLE_DECEL_MPS2) / (_FULL_DECEL_MPS2 - _COMFORTABLE_DECEL_MPS2)
    unsafe = -min(1.0, max(0.0, excess)) * STEP_LENGTH_S
    braking = jerk = 0.0
    if action > RELEASE_THRESHOLD:
        braking = -max(0.0, -accel_mps2) / _FULL_DECEL_MPS2 * STEP_LENGTH_S
        jerk = -min(1.0, abs(accel_mps2 - accel_before_mps2) / _FULL_DECEL_MPS2)
    return progress, collision, unsafe, braking, jerk
