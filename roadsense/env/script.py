"""What will happen in an episode: hazard, benign braking and the driver's distraction, drawn before the first decision.

Times are in seconds after the first decision. Each is drawn from a stream of its own, so that adding one never shifts another.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from roadsense.env.hazard import Hazard, HazardCourse, draw_hazard, draw_rank
from roadsense.env.settings import DistractionSettings, TaskSettings
from roadsense.seeding import Identity, stream


@dataclass(frozen=True, slots=True, kw_only=True)
class BenignBraking:
    """A car ahead brakes gently and speeds up again."""

    vehicle_id: str
    onset_s: float
    decel_mps2: float
    end_speed_fraction: float
    hold_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Distraction:
    """The driver holds the speed from `start_s` to `end_s`."""

    start_s: float
    end_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class EpisodeScript:
    """The drawn events of one episode; `hazard_course` moves the cars of the hazard."""

    hazard: Hazard | None
    benign: BenignBraking | None
    distractions: tuple[Distraction, ...]
    hazard_course: HazardCourse | None = field(default=None, compare=False, repr=False)

    def is_distracted(self, time_s: float) -> bool:
        """Whether the driver holds the speed at this time."""
        for window in self.distractions:  # noqa: SIM110 - asked in every step, where a generator costs more than the comparisons
            if window.start_s <= time_s < window.end_s:
                return True
        return False


def draw_script(settings: TaskSettings, cars_ahead: tuple[str, ...], identity: Identity) -> EpisodeScript:
    """Draw an episode's events; `cars_ahead` are the equipped cars ahead of the ego, nearest first.

    Raises:
        ConfigError: the settings name an own hazard that cannot be used.
    """
    course = draw_hazard(settings.hazard, cars_ahead, stream(identity, "hazard"))
    hazard = course.hazard if course is not None else None
    benign = _draw_benign(settings, cars_ahead, identity) if hazard is None else None
    return EpisodeScript(
        hazard=hazard, benign=benign, distractions=_draw_distractions(settings, hazard or benign, identity), hazard_course=course
    )


def _draw_benign(settings: TaskSettings, cars_ahead: tuple[str, ...], identity: Identity) -> BenignBraking | None:
    rng, benign = stream(identity, "benign"), settings.benign
    if rng.random() >= benign.probability or not cars_ahead:
        return None
    return BenignBraking(
        vehicle_id=cars_ahead[draw_rank(settings.hazard, len(cars_ahead), rng) - 1],
        onset_s=settings.hazard.onset_s.draw(rng),
        decel_mps2=benign.decel_mps2.draw(rng),
        end_speed_fraction=benign.end_speed_fraction.draw(rng),
        hold_s=benign.hold_s.draw(rng),
    )


def _draw_distractions(settings: TaskSettings, event: Hazard | BenignBraking | None, identity: Identity) -> tuple[Distraction, ...]:
    """The windows of an episode: one with every hazard, one in a share of the other episodes, and one at any time in a share of all.

    A window without a hazard follows the same law around the moment of the benign braking, or one at which a hazard could have come:
    neither its length nor its time tells anything.
    """
    distraction = settings.distraction
    rng = stream(identity, "distraction")
    imagined_onset_s, comes_anyway = settings.hazard.onset_s.draw(rng), rng.random() < distraction.hazard_free_probability
    onset_s = imagined_onset_s if event is None else event.onset_s
    window = _window(distraction, onset_s, rng)
    windows = [window] if isinstance(event, Hazard) or comes_anyway else []
    other, comes_too = _window(distraction, settings.hazard.onset_s.draw(rng), rng), rng.random() < distraction.unrelated_probability
    return tuple([*windows, other] if comes_too else windows)


def _window(distraction: DistractionSettings, onset_s: float, rng: np.random.Generator) -> Distraction:
    return Distraction(start_s=onset_s - distraction.lead_s.draw(rng), end_s=onset_s + distraction.reaction_s.draw(rng))
