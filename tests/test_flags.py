"""Flags from settings."""

import argparse

import pytest

from roadsense.cli.flags import add_settings_flags, settings_from_flags, with_underscores
from roadsense.errors import ConfigError
from roadsense.training.settings import TrainSettings, fragment_steps


def parsed(*argv: str) -> TrainSettings:
    parser = argparse.ArgumentParser()
    add_settings_flags(parser, TrainSettings)
    return settings_from_flags(TrainSettings, parser.parse_args(with_underscores(argv)))


def test_defaults_are_those_of_the_settings():
    assert parsed() == TrainSettings()


def test_values_reach_their_fields():
    settings = parsed("--learning-rate", "1e-3", "--n_steps=512", "--skip-eval", "--run-id", "a-b_c")
    assert (settings.learning_rate, settings.n_steps, settings.skip_eval, settings.run_id) == (1e-3, 512, True, "a-b_c")


def test_one_nested_value_changes_and_its_neighbours_stay():
    settings = parsed("--set", "task.hazard.onset_s.high=20", "--set", "task.horizon_s=30", "--set", "sumo.backend=libsumo")
    defaults = TrainSettings()
    assert (settings.task.hazard.onset_s.low, settings.task.hazard.onset_s.high) == (defaults.task.hazard.onset_s.low, 20.0)
    assert settings.task.horizon_s == 30.0
    assert settings.task.reward == defaults.task.reward
    assert settings.sumo.backend == "libsumo"


@pytest.mark.parametrize("assignment", ["task.hazard.onset_s.high=1", "task.hazard.onset.high=1", "nothing.at.all=1", "task=3"])
def test_wrong_nested_values_are_refused(assignment):
    with pytest.raises(ConfigError):
        parsed("--set", assignment)


@pytest.mark.parametrize(
    ("total", "n_steps", "envs", "runners", "fragment"),
    [(100_000, 2048, 4, 2, 512), (100, 2048, 4, 2, 13), (100, 2048, 4, 0, 25), (100_000, 10, 4, 1, 3), (1, 1, 8, 4, 1)],
)
def test_n_steps_are_split_over_the_environments(total, n_steps, envs, runners, fragment):
    settings = TrainSettings(total_timesteps=total, n_steps=n_steps, num_envs_per_env_runner=envs)
    assert fragment_steps(settings, runners) == fragment
