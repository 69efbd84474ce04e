"""Settings that follow from others."""

import pytest
import torch

from roadsense.cli import train
from roadsense.cli.flags import Parser
from roadsense.config import SumoSettings
from roadsense.errors import DependencyError
from roadsense.training.algorithm import ppo_config
from roadsense.training.env_runner import RolloutSettings
from roadsense.training.generations import Generations
from roadsense.training.plan import plan_training
from roadsense.training.recipe import RECIPE, recipe_in_words
from roadsense.training.settings import TrainSettings


def test_training_episodes_are_shorter_and_evaluation_keeps_the_task():
    settings = TrainSettings()
    assert settings.task.horizon_s == 40.0
    assert settings.training_task.horizon_s == 20.0
    assert settings.training_task.hazard.onset_s == settings.training_onset_s
    assert settings.training_task.hazard.model_copy(update={"onset_s": settings.task.hazard.onset_s}) == settings.task.hazard
    assert settings.training_task.model_copy(update={"horizon_s": 40.0, "hazard": settings.task.hazard}) == settings.task


def test_a_task_that_is_short_already_is_left_alone():
    short = TrainSettings(task={"horizon_s": 7.0, "hazard": {"onset_s": {"low": 1.0, "high": 2.0}}})
    assert short.training_task == short.task
    assert TrainSettings(training_horizon_s=None).training_task == TrainSettings().task


@pytest.mark.parametrize(("term", "own", "in_training"), [("collision", 5.0, 7.0), ("jerk", 0.01, 0.03)])
def test_a_term_may_weigh_more_in_training_alone(term, own, in_training):
    settings = TrainSettings(**{f"training_{term}_weight": in_training})
    assert (getattr(settings.task.reward, term), getattr(settings.training_task.reward, term)) == (own, in_training)
    assert settings.training_task.reward.model_copy(update={term: own}) == settings.task.reward


def test_what_is_rare_may_be_drawn_more_often_in_training_alone():
    settings = TrainSettings(training_hazard_probability=0.8, training_distraction_probability=0.7, training_horizon_s=None)
    task = settings.training_task
    assert (task.hazard.probability, task.distraction.unrelated_probability) == (0.8, 0.7)
    assert (settings.task.hazard.probability, settings.task.distraction.unrelated_probability) == (0.6, 0.3)
    hazard = task.hazard.model_copy(update={"probability": 0.6})
    distraction = task.distraction.model_copy(update={"unrelated_probability": 0.3})
    assert task.model_copy(update={"hazard": hazard, "distraction": distraction}) == settings.task


def settings_of(*words):
    parser = Parser()
    train.add_flags(parser)
    return train.settings(parser.parse_args(words))


def test_the_recipe_is_where_the_settings_begin_and_own_flags_win():
    assert settings_of("--recipe") == RECIPE != TrainSettings()
    assert settings_of("--learning_rate", "0.5", "--recipe") == RECIPE.model_copy(update={"learning_rate": 0.5})
    assert settings_of() == TrainSettings()


def test_a_nested_setting_changes_nothing_else_of_the_recipe():
    assert RECIPE.model != TrainSettings().model
    assert settings_of("--recipe", "--set", "model.pool=mean").model == RECIPE.model.model_copy(update={"pool": "mean"})
    plain = settings_of("--recipe", "--set", "model.ego_in_encoder=false", "--set", "model.mirror_peers=false")
    assert plain.model == TrainSettings().model


def test_the_help_says_what_the_recipe_sets():
    told = recipe_in_words()
    assert (
        "model.ego_in_encoder True" in told and "model.mirror_peers True" in told and "learning_rate 0.001" in told and "seed" not in told
    )


def test_a_resumed_run_keeps_its_own_settings(tmp_path):
    recorded = TrainSettings(total_timesteps=5, run_id="run")
    (tmp_path / "config.json").write_text(recorded.model_dump_json())
    assert settings_of("--resume", str(tmp_path), "--recipe").learning_rate == recorded.learning_rate


def test_a_gpu_is_used_only_when_asked_for_and_only_where_there_is_one(monkeypatch, tmp_path):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(DependencyError, match=r"--learner_on_gpu: torch .* sees no CUDA device"):
        plan_training(TrainSettings(learner_on_gpu=True, skip_eval=True, output_dir=tmp_path / "run"))
    rollout = RolloutSettings(
        dataset_dir=None, sumo_cfg=None, dataset_hash="", ego_id="V001", emulator_params=None, sumo=SumoSettings(), task=TrainSettings().task,
        run_seed=1, generation=1, num_workers=1,
    )  # fmt: skip
    for wanted in (False, True):
        config = ppo_config(TrainSettings(learner_on_gpu=wanted), rollout, 2, Generations(tmp_path / "generations"))
        assert config.num_gpus_per_learner == int(wanted) and config.num_gpus_per_env_runner == 0
