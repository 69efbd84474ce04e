"""What will happen in an episode: the hazard and the driver's distraction, drawn before the first decision.

Times are in seconds after the first decision. Both are drawn from streams of their own, so that adding one never shifts the other.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from roadsense.env.settings import DistractionSettings, HazardSettings, Interval, TaskSettings
from roadsense.seeding import Identity, stream


@dataclass(frozen=True, slots=True, kw_only=True)
class Hazard:
    """A car ahead that brakes hard. `resolves_s` is infinite when it never drives on."""

    rank: int  # 1 = the car directly ahead
    vehicle_id: str
    onset_s: float
    decel_mps2: float
    end_speed_fraction: float
    resolves_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Distraction:
    """The driver holds the speed from `start_s` to `end_s`."""

    start_s: float
    end_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class EpisodeScript:
    """The drawn events of one episode; either may be absent."""

    hazard: Hazard | None
    distraction: Distraction | None


def draw_script(settings: TaskSettings, cars_ahead: tuple[str, ...], identity: Identity) -> EpisodeScript:
    """Draw an episode's events; `cars_ahead` are the equipped cars ahead of the ego, nearest first.

    Without a car ahead there is no hazard: nobody could be warned of it.
    """
    hazard = _draw_hazard(settings.hazard, cars_ahead, stream(identity, "hazard"))
    distraction = _draw_distraction(settings, hazard, stream(identity, "distraction"))
    return EpisodeScript(hazard=hazard, distraction=distraction)


def _draw_hazard(settings: HazardSettings, cars_ahead: tuple[str, ...], rng: np.random.Generator) -> Hazard | None:
    happens = rng.random() < settings.probability
    if not happens or not cars_ahead:
        return None
    weights = settings.rank_ratio ** np.arange(1, len(cars_ahead) + 1)
    rank = int(rng.choice(len(cars_ahead), p=weights / weights.sum())) + 1
    onset_s = _uniform(settings.onset_s, rng)
    resolves = rng.random() < settings.resolve_probability
    resolve_after_s = _uniform(settings.resolve_after_s, rng)
    return Hazard(
        rank=rank,
        vehicle_id=cars_ahead[rank - 1],
        onset_s=onset_s,
        decel_mps2=_uniform(settings.decel_mps2, rng),
        end_speed_fraction=_uniform(settings.end_speed_fraction, rng),
        resolves_s=onset_s + resolve_after_s if resolves else math.inf,
    )


def _draw_distraction(settings: TaskSettings, hazard: Hazard | None, rng: np.random.Generator) -> Distraction | None:
    distraction: DistractionSettings = settings.distraction
    lead_s, reaction_s = _uniform(distraction.lead_s, rng), _uniform(distraction.reaction_s, rng)
    # A window without a hazard follows the same law around a moment at which a hazard could have come: its length and time tell nothing.
    imagined_onset_s = _uniform(settings.hazard.onset_s, rng)
    comes_anyway = rng.random() < distraction.hazard_free_probability
    if hazard is None and not comes_anyway:
        return None
    onset_s = imagined_onset_s if hazard is None else hazard.onset_s
    return Distraction(start_s=onset_s - lead_s, end_s=onset_s + reaction_s)


def _uniform(interval: Interval, rng: np.random.Generator) -> float:
    return float(rng.uniform(interval.low, interval.high))
