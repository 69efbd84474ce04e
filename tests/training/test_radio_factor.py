"""How widely training draws the radio is a setting of the training; what is evaluated does not change with it."""

import math

import numpy as np
import pytest

from roadsense.env.convoy_env import ConvoyEnv
from roadsense.errors import ConfigError
from roadsense.radio.parameters import load_parameters
from roadsense.training.plan import plan_training
from roadsense.training.settings import TrainSettings


def test_values_are_drawn_between_the_inverse_and_the_factor():
    nominal, _ = load_parameters(None)
    wide = nominal.randomized_by(3.0)
    drawn = [wide.randomized(np.random.default_rng(seed)).latency.base_ms / nominal.latency.base_ms for seed in range(300)]
    assert (min(drawn), max(drawn)) == pytest.approx((1 / 3, 3.0), rel=0.1)
    assert 0.35 < np.mean([math.log(value) > 0 for value in drawn]) < 0.65
    assert nominal.randomized_by(1.0).randomized(np.random.default_rng(0)).latency == nominal.latency
    assert wide.model_copy(update={"domain_randomization": nominal.domain_randomization}) == nominal, "nothing else changes"


def test_the_environment_takes_it(dataset_dir):
    assert not ConvoyEnv(dataset_dir=dataset_dir, radio_factor=1.0)._radio_parameters.domain_randomization.enabled
    assert ConvoyEnv(dataset_dir=dataset_dir)._radio_parameters.domain_randomization.enabled


def test_a_factor_that_leaves_nothing_to_hear_is_refused_before_anything_starts(dataset_dir, tmp_path):
    # 100 times the profile's 3.84 ms is below the 500 ms of its memory, so a slower radio is needed.
    slow = tmp_path / "slow.json"
    nominal, _ = load_parameters(None)
    slow.write_text(nominal.model_copy(update={"latency": nominal.latency.model_copy(update={"base_ms": 100.0})}).model_dump_json())
    settings = {"dataset_dir": dataset_dir, "output_dir": tmp_path / "run", "emulator_params": slow, "training_radio_factor": 6}
    with pytest.raises(ConfigError, match="lower max_factor"):
        plan_training(TrainSettings.parse(settings, "test"))
