"""What an episode draws: hazards and distractions."""

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
    assert len(hazards) / len(scripts) == pytest.approx(0.6, abs=0.03)
    hazards = [hazard for hazard in hazards if hazard.kind == "braking"]
    shares = np.bincount([hazard.rank for hazard in hazards])[1:] / len(hazards)
    weights = 0.6 ** np.arange(1, 4)
    assert shares == pytest.approx(weights / weights.sum(), abs=0.04)
    assert all(hazard.vehicle_id == CARS[hazard.rank - 1] for hazard in hazards)


def test_hazard_values_stay_in_their_ranges(scripts):
    hazards = [script.hazard for script in scripts if script.hazard]
    assert all(3.0 <= hazard.onset_s <= 30.0 and 3.0 <= hazard.decel_mps2 <= 10.0 for hazard in hazards)
    assert all(0.0 <= hazard.end_speed_fraction <= 0.5 and hazard.resolves_s > hazard.onset_s for hazard in hazards)
    resolved = [np.isfinite(hazard.resolves_s) for hazard in hazards if hazard.kind == "braking"]
    assert np.mean(resolved) == pytest.approx(0.4, abs=0.04)


def test_the_onset_is_no_clock(scripts):
    """A hazard at a fixed time can be learned by counting steps."""
    onsets_s = [script.hazard.onset_s for script in scripts if script.hazard]
    assert np.histogram(onsets_s, bins=9, range=(3, 30))[0].min() > 0.07 * len(onsets_s)


def test_pile_ups_need_two_cars_and_strike_behind_the_first(scripts):
    hazards = [script.hazard for script in scripts if script.hazard]
    pile_ups = [hazard for hazard in hazards if hazard.kind == "pile_up"]
    assert len(pile_ups) / len(hazards) == pytest.approx(0.3, abs=0.04)
    assert {hazard.rank for hazard in pile_ups} == {2, 3}
    assert all(hazard.decel_mps2 >= 6.0 and hazard.end_speed_fraction == 0.0 and np.isinf(hazard.resolves_s) for hazard in pile_ups)
    late = {script.hazard_course.late_id for script in scripts if script.hazard and script.hazard.kind == "pile_up"}
    assert late == {"V002", "V003"}
    alone = [draw_script(SETTINGS, CARS[:1], identity(index)).hazard for index in range(300)]
    assert {hazard.kind for hazard in alone if hazard} == {"braking"}


def test_benign_braking_comes_without_a_hazard_and_is_gentle(scripts):
    assert not any(script.benign for script in scripts if script.hazard)
    others = [script.benign for script in scripts if not script.hazard]
    assert np.mean([benign is not None for benign in others]) == pytest.approx(0.5, abs=0.05)
    assert all(2.0 <= benign.decel_mps2 <= 4.0 and 0.8 <= benign.end_speed_fraction <= 0.9 for benign in others if benign)
    assert all(draw_script(SETTINGS, (), identity(index)).benign is None for index in range(100))


def window(script):
    return script.distractions[0]


ALONE = SETTINGS.model_copy(update={"distraction": SETTINGS.distraction.model_copy(update={"unrelated_probability": 0.0})})


@pytest.fixture(scope="module")
def alone():
    """Scripts without the windows that have nothing to do with anything."""
    return [draw_script(ALONE, CARS, identity(index)) for index in range(3000)]


def test_distraction_always_with_a_hazard_and_in_half_of_the_others(alone):
    assert all(len(script.distractions) == 1 for script in alone if script.hazard)
    for is_benign in (False, True):
        others = [bool(script.distractions) for script in alone if not script.hazard and bool(script.benign) == is_benign]
        assert np.mean(others) == pytest.approx(0.5, abs=0.06)


def test_a_further_window_comes_in_a_share_of_all_episodes(scripts, alone):
    for has_hazard in (False, True):
        more = [
            len(script.distractions) - len(same.distractions)
            for script, same in zip(scripts, alone, strict=True)
            if bool(script.hazard) == has_hazard
        ]
        assert set(more) == {0, 1}
        assert np.mean(more) == pytest.approx(0.3, abs=0.05)


def test_distraction_has_the_same_law_with_and_without_hazard(alone):
    with_hazard = [window(script).end_s - window(script).start_s for script in alone if script.hazard]
    without = [window(script).end_s - window(script).start_s for script in alone if not script.hazard and script.distractions]
    assert np.quantile(with_hazard, [0.1, 0.5, 0.9]) == pytest.approx(np.quantile(without, [0.1, 0.5, 0.9]), abs=0.35)


def test_distraction_begins_before_the_onset_and_outlasts_it(alone):
    for script in alone:
        event = script.hazard or script.benign
        if event and script.distractions:
            assert 0.0 <= event.onset_s - window(script).start_s <= 4.0
            assert 1.0 <= window(script).end_s - event.onset_s <= 4.5


def test_changing_the_distraction_leaves_the_hazard_alone():
    settings = SETTINGS.model_copy(update={"distraction": SETTINGS.distraction.model_copy(update={"hazard_free_probability": 1.0})})
    for index in range(50):
        one, other = draw_script(SETTINGS, CARS, identity(index)), draw_script(settings, CARS, identity(index))
        assert one.hazard == other.hazard
        assert not one.hazard or one.distractions == other.distractions


def test_changing_the_pile_ups_leaves_the_other_draws_alone():
    """Whatever a hazard becomes, its time is the same and so is everything around it."""
    pile_up = SETTINGS.hazard.pile_up.model_copy(update={"probability": 0.0})
    settings = SETTINGS.model_copy(update={"hazard": SETTINGS.hazard.model_copy(update={"pile_up": pile_up})})
    for index in range(100):
        one, other = draw_script(SETTINGS, CARS, identity(index)), draw_script(settings, CARS, identity(index))
        assert (one.hazard is None, one.benign, one.distractions) == (other.hazard is None, other.benign, other.distractions)
        assert one.hazard is None or one.hazard.onset_s == other.hazard.onset_s
