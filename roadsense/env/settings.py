"""The knobs of the convoy task, with units, limits and where the defaults come from.

The defaults are the ones under which, over many drawn hazards, an inattentive driver crashes in most of them and full braking at the onset
avoids nearly all.
"""

from __future__ import annotations

from typing import Annotated, Self

import numpy as np
from pydantic import Field, model_validator

from roadsense.config import STEP_LENGTH_S, Settings

Probability = Annotated[float, Field(ge=0, le=1)]
Seconds = Annotated[float, Field(ge=0)]


class Interval(Settings):
    """Uniform draw between two values."""

    low: float
    high: float

    @model_validator(mode="after")
    def _check_order(self) -> Self:
        if self.high < self.low:
            raise ValueError(f"high {self.high} lies below low {self.low}; swap them")
        return self

    def draw(self, rng: np.random.Generator) -> float:
        """A value in [low, high)."""
        return float(rng.uniform(self.low, self.high))


class PileUpSettings(Settings):
    """The car behind the hazard is late itself and runs into it: what a forward radar sees too late."""

    probability: Probability = Field(0.3, description="share of hazards that become one, where two cars and more are ahead")
    decel_mps2: Interval = Field(Interval(low=6.0, high=10.0), description="deceleration of the hazard car, to a standstill")
    longest_lateness_s: Seconds = Field(8.0, description="time after which the late driver looks up if nothing was hit")
    wreck_decel_mps2: Interval = Field(Interval(low=8.0, high=10.0), description="deceleration of cars that have hit each other")


class HazardSettings(Settings):
    """A car ahead brakes hard: whether, when, which one, how hard, to which speed, and whether it drives on."""

    probability: Probability = Field(0.6, description="share of episodes with a hazard, where a car is ahead")
    onset_s: Interval = Field(Interval(low=3.0, high=30.0), description="time of the onset after the first decision")
    rank_ratio: float = Field(0.6, gt=0, le=1, description="rank k ahead is drawn with probability proportional to ratio^k")
    decel_mps2: Interval = Field(Interval(low=3.0, high=10.0), description="deceleration of the hazard car")
    end_speed_fraction: Interval = Field(Interval(low=0.0, high=0.5), description="speed it brakes to, as a share of its speed at onset")
    resolve_probability: Probability = Field(0.4, description="share of hazards after which the car drives on")
    resolve_after_s: Interval = Field(Interval(low=3.0, high=6.0), description="time from onset until it drives on")
    pile_up: PileUpSettings = PileUpSettings()
    source: str | None = Field(None, description="module:function that draws own hazards instead, see roadsense.env.hazard")


class BenignSettings(Settings):
    """A car ahead brakes gently for a moment, as happens in traffic: no reason for the agent to brake."""

    probability: Probability = Field(0.5, description="share of hazard-free episodes with it, where a car is ahead")
    decel_mps2: Interval = Field(Interval(low=2.0, high=4.0), description="deceleration")
    end_speed_fraction: Interval = Field(Interval(low=0.8, high=0.9), description="speed it brakes to, as a share of its speed before")
    hold_s: Interval = Field(Interval(low=0.0, high=1.0), description="time at that speed before the driver speeds up again")


class DistractionSettings(Settings):
    """The window in which the driver holds the speed and nothing but the agent brakes."""

    lead_s: Interval = Field(Interval(low=0.0, high=4.0), description="time by which the window begins before the hazard's onset")
    reaction_s: Interval = Field(Interval(low=1.0, high=4.5), description="time from the onset until the driver is back")
    hazard_free_probability: Probability = Field(0.5, description="share of hazard-free episodes with such a window")
    unrelated_probability: Probability = Field(0.3, description="share of all episodes with a further window at any time")


class RewardWeights(Settings):
    """Weights of the named reward terms (see `roadsense.env.reward`)."""

    progress: float = Field(0.1, ge=0)
    collision: float = Field(5.0, ge=0)
    unsafe: float = Field(1.0, ge=0)
    braking: float = Field(0.2, ge=0)
    jerk: float = Field(0.01, ge=0)
    extra: dict[str, float] = Field(default_factory=dict, description="own terms: module:function -> weight, see roadsense.env.reward")


class TaskSettings(Settings):
    """What an episode is."""

    warm_up_s: Seconds = Field(10.0, description="driving before the first decision; start-up braking is no false braking")
    horizon_s: float = Field(40.0, ge=STEP_LENGTH_S, description="time from the first decision to the end of the episode")
    max_braking_mps2: float = Field(8.0, gt=0, description="deceleration that action 1 commands")
    max_lateral_accel_mps2: float = Field(8.0, gt=0, description="a car that corners harder leaves the road")
    radio_warm_up_s: Seconds = Field(0.5, description="time for which the radio listens before the first decision")
    hazard: HazardSettings = HazardSettings()
    benign: BenignSettings = BenignSettings()
    distraction: DistractionSettings = DistractionSettings()
    reward: RewardWeights = RewardWeights()

    @property
    def horizon_steps(self) -> int:
        """Number of decisions in a full episode."""
        return round(self.horizon_s / STEP_LENGTH_S)
