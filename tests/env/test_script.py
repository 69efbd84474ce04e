"""What an episode draws: hazards and distractions."""

import dataclasses

import numpy as np
import pytest

from roadsense.env.script import draw_script
from roadsense.env.settings import TaskSettings
from roadsense.seeding import EpisodeIdentity

CARS = ("V002", "V003", "V004")
SETTINGS = TaskSettings()


def identity(index: int) -> EpisodeIdentity:
    return EpisodeIdentity(run_seed=1, generation=0, worker=0, sub_environment=0, index=index)


@pytest.fixture(scope="module")
def scripts():
    return [draw_script(SETTINGS, CARS, identity(index)) for index in range(3000)]


def test_same_identity_same_script():
    assert draw_script(SETTINGS, CARS, identity(5)) == draw_script(SETTINGS, CARS, identity(5))


def test_without_a_car_ahead_there_is_no_hazard():
    assert all(draw_script(SETTINGS, (), identity(index)).hazard is None for index in range(200))


def test_hazard_rate_and_geometric_rank(scripts):
    hazards = [script.hazard for script in scripts if script.hazard]
    assert len(hazards) / len(scripts) == pytest.approx(0.7, abs=0.03)
    shares = np.bincount([hazard.rank for hazard in hazards])[1:] / len(hazards)
    weights = 0.6 ** np.arange(1, 4)
    assert shares == pytest.approx(weights / weights.sum(), abs=0.04)
    assert all(hazard.vehicle_id == CARS[hazard.rank - 1] for hazard in hazards)


def test_hazard_values_stay_in_their_ranges(scripts):
    hazards = [script.hazard for script in scripts if script.hazard]
    assert all(3.0 <= hazard.onset_s <= 30.0 and 3.0 <= hazard.decel_mps2 <= 10.0 for hazard in hazards)
    assert all(0.0 <= hazard.end_speed_fraction <= 0.5 and hazard.resolves_s > hazard.onset_s for hazard in hazards)
    assert np.mean([np.isfinite(hazard.resolves_s) for hazard in hazards]) == pytest.approx(0.4, abs=0.04)


def test_the_onset_is_no_clock(scripts):
    """A hazard at a fixed time can be learned by counting steps."""
    onsets_s = [script.hazard.onset_s for script in scripts if script.hazard]
    assert np.histogram(onsets_s, bins=9, range=(3, 30))[0].min() > 0.07 * len(onsets_s)


def test_distraction_always_with_a_hazard_and_in_half_of_the_others(scripts):
    assert all(script.distraction for script in scripts if script.hazard)
    others = [script.distraction is not None for script in scripts if not script.hazard]
    assert np.mean(others) == pytest.approx(0.5, abs=0.05)


def test_distraction_has_the_same_law_with_and_without_hazard(scripts):
    with_hazard = [script.distraction.end_s - script.distraction.start_s for script in scripts if script.hazard]
    without = [script.distraction.end_s - script.distraction.start_s for script in scripts if not script.hazard and script.distraction]
    assert np.quantile(with_hazard, [0.1, 0.5, 0.9]) == pytest.approx(np.quantile(without, [0.1, 0.5, 0.9]), abs=0.35)


def test_distraction_begins_before_the_onset_and_outlasts_it(scripts):
    for script in scripts:
        if script.hazard:
            assert 0.0 <= script.hazard.onset_s - script.distraction.start_s <= 4.0
            assert 2.0 <= script.distraction.end_s - script.hazard.onset_s <= 4.5


def test_changing_the_distraction_leaves_the_hazard_alone():
    settings = SETTINGS.model_copy(update={"distraction": SETTINGS.distraction.model_copy(update={"hazard_free_probability": 1.0})})
    for index in range(50):
        one, other = draw_script(SETTINGS, CARS, identity(index)), draw_script(settings, CARS, identity(index))
        assert one.hazard == other.hazard
        assert not one.hazard or dataclasses.astuple(one.distraction) == dataclasses.astuple(other.distraction)
