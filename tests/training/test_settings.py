"""Settings that follow from others."""

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


def test_a_collision_may_weigh_more_in_training_alone():
    settings = TrainSettings(training_collision_weight=7.0)
    assert (settings.task.reward.collision, settings.training_task.reward.collision) == (5.0, 7.0)
    assert settings.training_task.reward.model_copy(update={"collision": 5.0}) == settings.task.reward
