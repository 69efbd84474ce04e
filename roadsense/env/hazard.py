"""Hazards: which car ahead does what, drawn before the first decision, and how it then plays out.

An own hazard is a function `(cars_ahead, settings, rng) -> HazardCourse | None`, named as `module:function` in `HazardSettings.source`.
It is called once per episode with the ids of the equipped cars ahead of the ego (nearest first, never empty) when the episode draws a
hazard; None means that there is none after all. The course says what was drawn (`hazard`) and commands cars from the onset on.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from roadsense.env.braking import Braking, Wrecks
from roadsense.env.settings import HazardSettings
from roadsense.env.traffic import Traffic
from roadsense.errors import ConfigError
from roadsense.extensions import import_callable

BRAKING, PILE_UP = "braking", "pile_up"


@dataclass(frozen=True, slots=True, kw_only=True)
class Hazard:
    """What is drawn. Times are seconds after the first decision; `resolves_s` is infinite when it never drives on."""

    kind: str = BRAKING
    rank: int  # 1 = the car directly ahead
    vehicle_id: str
    onset_s: float
    decel_mps2: float
    end_speed_fraction: float
    resolves_s: float


class HazardCourse(Protocol):
    """How a hazard plays out."""

    @property
    def hazard(self) -> Hazard:
        """What was drawn; it does not change."""
        ...

    def commands(self, time_s: float, traffic: Traffic) -> dict[str, float | None]:
        """Speeds in m/s that cars ahead have after the next step; None hands a car back to its driver. Called from the onset on."""
        ...


class BrakingHazard:
    """One car brakes to its end speed, keeps it, and drives on when the hazard resolves. Whoever hits another car is wrecked."""

    def __init__(self, hazard: Hazard, wreck_decel_mps2: float) -> None:
        self.hazard = hazard
        self._braking = Braking(decel_mps2=hazard.decel_mps2, end_speed_fraction=hazard.end_speed_fraction, release_s=hazard.resolves_s)
        self._wrecks = Wrecks(wreck_decel_mps2)

    def commands(self, time_s: float, traffic: Traffic) -> dict[str, float | None]:
        """Speeds of the hazard car and of wrecks."""
        return self._braking.commands(self.hazard.vehicle_id, time_s, traffic) | self._wrecks.commands(traffic)


class PileUp:
    """The hazard car stops, and the car behind it, whose driver is late, holds its speed until it runs into it."""

    def __init__(self, hazard: Hazard, late_id: str, latest_s: float, wreck_decel_mps2: float) -> None:
        self.hazard = hazard
        self.late_id = late_id
        self._latest_s = latest_s
        self._late_speed_mps: float | None = None
        self._looks_up = False
        self._braking = Braking(decel_mps2=hazard.decel_mps2, end_speed_fraction=hazard.end_speed_fraction, release_s=hazard.resolves_s)
        self._wrecks = Wrecks(wreck_decel_mps2)

    def commands(self, time_s: float, traffic: Traffic) -> dict[str, float | None]:
        """Speeds of the hazard car, the late car and of wrecks."""
        wrecks = self._wrecks.commands(traffic)
        return self._braking.commands(self.hazard.vehicle_id, time_s, traffic) | self._late(time_s, traffic) | wrecks

    def _late(self, time_s: float, traffic: Traffic) -> dict[str, float | None]:
        if self._looks_up or self.late_id in self._wrecks:
            return {}
        if time_s >= self._latest_s:
            self._looks_up = True
            return {self.late_id: None}
        if self._late_speed_mps is None:
            self._late_speed_mps = traffic.speed_mps(self.late_id)
        return {self.late_id: self._late_speed_mps}


def draw_hazard(settings: HazardSettings, cars_ahead: tuple[str, ...], rng: np.random.Generator) -> HazardCourse | None:
    """The hazard of an episode, or None. Without a car ahead there is none: nobody could be warned of it.

    Raises:
        ConfigError: `settings.source` cannot be imported or returns something else than a course.
    """
    if rng.random() >= settings.probability or not cars_ahead:
        return None
    if settings.source is None:
        return _draw_braking_or_pile_up(settings, cars_ahead, rng)
    course = import_callable(settings.source, "hazard source")(cars_ahead, settings, rng)
    if course is not None and not (isinstance(getattr(course, "hazard", None), Hazard) and callable(getattr(course, "commands", None))):
        raise ConfigError(f"hazard source {settings.source!r} returned a {type(course).__name__}; return a HazardCourse or None")
    return course  # type: ignore[no-any-return]


def draw_rank(settings: HazardSettings, cars: int, rng: np.random.Generator, nearest: int = 1) -> int:
    """Which of `cars` cars ahead: rank k with probability proportional to rank_ratio^k, none nearer than `nearest`."""
    ranks = np.arange(nearest, cars + 1)
    weights = settings.rank_ratio**ranks
    return int(rng.choice(ranks, p=weights / weights.sum()))


def _draw_braking_or_pile_up(settings: HazardSettings, cars_ahead: tuple[str, ...], rng: np.random.Generator) -> HazardCourse:
    # Everything is drawn whatever it becomes, so that the settings of one kind do not shift the numbers of the other.
    is_pile_up = rng.random() < settings.pile_up.probability and len(cars_ahead) > 1
    rank = draw_rank(settings, len(cars_ahead), rng, nearest=2 if is_pile_up else 1)
    onset_s = settings.onset_s.draw(rng)
    decel_mps2, end_speed_fraction = settings.decel_mps2.draw(rng), settings.end_speed_fraction.draw(rng)
    resolves = rng.random() < settings.resolve_probability
    resolve_after_s = settings.resolve_after_s.draw(rng)
    pile_up_decel_mps2, wreck_decel_mps2 = settings.pile_up.decel_mps2.draw(rng), settings.pile_up.wreck_decel_mps2.draw(rng)
    hazard = Hazard(
        kind=PILE_UP if is_pile_up else BRAKING,
        rank=rank,
        vehicle_id=cars_ahead[rank - 1],
        onset_s=onset_s,
        decel_mps2=pile_up_decel_mps2 if is_pile_up else decel_mps2,
        end_speed_fraction=0.0 if is_pile_up else end_speed_fraction,
        resolves_s=onset_s + resolve_after_s if resolves and not is_pile_up else math.inf,
    )
    if is_pile_up:
        return PileUp(hazard, cars_ahead[rank - 2], onset_s + settings.pile_up.longest_lateness_s, wreck_decel_mps2)
    return BrakingHazard(hazard, wreck_decel_mps2)
