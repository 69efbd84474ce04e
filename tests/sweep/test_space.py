"""What is varied: written, drawn, moved, and refused in one line."""

import numpy as np
import pytest

from roadsense.errors import ConfigError
from roadsense.training.sweep.files import draw_trials
from roadsense.training.sweep.settings import SweepSettings
from roadsense.training.sweep.space import DEFAULT_SPACE, Choice, Range, Space, parse_space, with_drawn


def sweep(**settings):
    return SweepSettings.parse(settings, "test")


def test_domains_are_read_as_they_are_written():
    space = parse_space(["learning_rate=log(1e-4,1e-2)", "n_steps=2048|4096", "model.pool=max|mean", "training_radio_factor=uniform(1, 3)"])
    assert space.domains == {
        "learning_rate": Range(low=1e-4, high=1e-2, scale="log"),
        "n_steps": Choice(values=(2048, 4096)),
        "model.pool": Choice(values=("max", "mean")),
        "training_radio_factor": Range(low=1, high=3),
    }
    assert [str(domain) for domain in space.domains.values()] == ["log(0.0001,0.01)", "2048|4096", "max|mean", "uniform(1,3)"]
    assert parse_space([]).domains == DEFAULT_SPACE


@pytest.mark.parametrize(
    ("word", "said"),
    [
        ("learning_rat=log(1,2)", "did you mean 'learning_rate'?"),
        ("task.horizon_s=uniform(5,10)", "decides what is judged"),
        ("seed=1|2", "decides what is judged or where it runs"),
        ("nonsense=1|2", "known are learning_rate"),
        ("learning_rate", "KEY=DOMAIN"),
        ("learning_rate=3e-4", "is no domain"),
        ("learning_rate=log(0,1)", "has no logarithm"),
        ("learning_rate=log(2,1)", "does not lie above"),
        ("learning_rate=log(a,b)", "'low' is 'a'"),
        ("model.pool=max|", ""),
    ],
)
def test_a_parameter_that_cannot_be_varied_is_refused_by_name(word, said):
    if word == "model.pool=max|":
        with pytest.raises(ConfigError, match="pool"):
            sweep(space=parse_space([word])).check()
        return
    with pytest.raises(ConfigError) as refused:
        parse_space([word])
    assert said in str(refused.value)
    assert word in str(refused.value)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(("key", "domain"), [("clip_param", Range(low=-0.5, high=0.5)), ("model.pool", Choice(values=("max", "median")))])
def test_the_ends_of_every_domain_are_tried_before_anything_runs(key, domain):
    with pytest.raises(ConfigError, match=key.rpartition(".")[2]):
        sweep(space=Space(domains={key: domain})).check()


def test_draws_lie_in_the_domains_and_spread_over_the_logarithm():
    rng = np.random.default_rng(0)
    values = [Range(low=1e-4, high=1e-2, scale="log").draw(rng) for _ in range(400)]
    assert min(values) >= 1e-4
    assert max(values) <= 1e-2
    assert 0.4 < np.mean(np.array(values) < 1e-3) < 0.6
    assert {Choice(values=(1, 2, 3)).draw(rng) for _ in range(50)} == {1, 2, 3}


def test_more_trials_leave_the_first_ones_as_they_are_and_no_two_share_a_seed():
    few, many = list(draw_trials(sweep(trials=4))), list(draw_trials(sweep(trials=9)))
    assert many[: len(few)] == few
    assert [trial.name for trial in few] == ["base_seed_42", "base_seed_43", "base_seed_44", *(f"trial_{i:03d}" for i in range(4))]
    assert len({trial.seed for trial in many}) == len(many)
    assert all(not trial.drawn for trial in few[:3])
    assert len({str(trial.drawn) for trial in many}) == 10, "nine different configurations, and the base one"
    assert list(draw_trials(sweep(trials=4, seed=1)))[3].drawn != few[3].drawn


def test_what_is_drawn_reaches_nested_settings_and_leaves_the_others():
    settings = with_drawn(sweep().base, {"model.pool": "mean", "task.reward.braking": 0.3, "n_steps": 512})
    assert (settings.model.pool, settings.task.reward.braking, settings.n_steps) == ("mean", 0.3, 512)
    assert settings.task.reward.collision == sweep().task.reward.collision


def test_taking_over_moves_every_value_but_the_network():
    space, rng = Space(), np.random.default_rng(5)
    drawn = space.draw(rng)
    for _ in range(200):
        moved = space.moved(drawn, rng)
        assert moved["model.pool"] == drawn["model.pool"]
        for key, domain in space.domains.items():
            inside = domain.low <= moved[key] <= domain.high if isinstance(domain, Range) else moved[key] in domain.values
            assert inside, key
        drawn = moved
    near = [Range(low=1, high=100).moved(10.0, rng) for _ in range(400)]
    assert 0.65 < np.mean([value in (8.0, 12.5) for value in near]) < 0.85


def test_rungs_end_with_the_last_step():
    assert sweep(total_timesteps=900).rungs == (100, 300, 900)
    assert sweep(total_timesteps=1000, first_rung=100).rungs == (100, 300, 900, 1000)
    assert sweep(total_timesteps=1000, first_rung=300, algorithm="pbt").rungs == (300, 600, 900, 1000)
    assert sweep(total_timesteps=1000, first_rung=1000).rungs == (1000,)


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"gui": True}, "no --gui"),
        ({"skip_eval": True}, "no --skip_eval"),
        ({"total_timesteps": 100, "first_rung": 200}, "beyond total_timesteps"),
        ({"compare": "ttc_radio,nobody"}, "known are never_brake"),
        ({"trials": 1}, "'trials' is 1"),
        ({"algorithm": "bayes"}, "'asha', 'random' or 'pbt'"),
    ],
)
def test_settings_that_make_no_sweep_are_refused(settings, said):
    with pytest.raises(ConfigError) as refused:
        sweep(**settings)
    assert said in str(refused.value)


def test_population_based_training_needs_something_that_it_may_change():
    with pytest.raises(ConfigError, match="pbt changes no network"):
        sweep(algorithm="pbt", space=parse_space(["model.pool=max|mean"])).check()
