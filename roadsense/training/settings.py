"""Every knob of a training run: the same names on the command line, in config.json and in Tune."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Self

from pydantic import Field, model_validator

from roadsense.config import DEFAULT_EGO_ID, Settings, SumoSettings
from roadsense.env.settings import Interval, Probability, TaskSettings
from roadsense.model.settings import ModelSettings


class TrainSettings(Settings):
    """A training run. Steps are environment steps, summed over all environments."""

    dataset_dir: Path | None = Field(None, description="generated dataset to train on")
    sumo_cfg: Path | None = Field(None, description="a single .sumocfg instead of a dataset")
    ego_id: str = Field(DEFAULT_EGO_ID, description="id of the ego in --sumo_cfg")
    eval_dir: Path | None = Field(None, description="dataset whose evaluation list is used (default: the training dataset's own)")
    eval_episodes: int | None = Field(None, ge=1, description="first k episodes of the fixed list (default: all)")
    skip_eval: bool = Field(False, description="do not evaluate after training")
    emulator_params: Path | None = Field(None, description="radio parameter file (default: the packaged convoy profile)")
    seed: int = Field(42, ge=0, lt=2**31, description="seed of the run")
    total_timesteps: int = Field(100_000, ge=1, description="steps to train, rounded up to whole iterations")
    learning_rate: float = Field(3e-4, gt=0, description="Adam's step size")
    learning_rate_final: float | None = Field(None, gt=0, description="the same at total_timesteps, reached linearly (default: constant)")
    n_steps: int = Field(2048, ge=1, description="steps per env runner and iteration, split over its environments")
    ent_coef: float = Field(0.01, ge=0, description="weight of the entropy bonus")
    ent_coef_final: float | None = Field(None, ge=0, description="the same at total_timesteps, reached linearly (default: constant)")
    gamma: float = Field(0.99, ge=0, le=1, description="discount per step of 0.1 s")
    gae_lambda: float = Field(0.95, ge=0, le=1, description="GAE's lambda")
    clip_param: float = Field(0.2, gt=0, description="PPO's clipping range")
    vf_loss_coeff: float = Field(0.5, ge=0, description="weight of the value loss")
    grad_clip: float = Field(0.5, gt=0, description="largest norm of the gradient of any one weight tensor")
    num_epochs: int = Field(6, ge=1, description="passes over each batch")
    minibatch_size: int = Field(512, ge=1, description="steps per gradient step")
    num_env_runners: int | None = Field(None, ge=0, description="parallel workers (default: one per core)")
    num_envs_per_env_runner: int = Field(4, ge=1, description="environments, each with its own SUMO, per worker")
    checkpoint_every: int = Field(10_000, ge=1, description="steps between checkpoints")
    keep_checkpoints: int = Field(10, ge=1, description="newest checkpoints that are kept")
    output_dir: Path | None = Field(None, description="the run directory itself (default: runs/<run_id>)")
    mirror: str | None = Field(None, description="s3:// address or folder to which the run directory is copied while it grows")
    run_id: str | None = Field(None, pattern=r"^[A-Za-z0-9._-]+$", description="name of the run (default: run_<date>_<time>)")
    resume: Path | None = Field(None, description="run directory to go on with")
    resume_anyway: bool = Field(False, description="with --resume: go on with another dataset, configuration or version all the same")
    exact: bool = Field(
        False, description="no episode crosses a checkpoint: a run resumed after a kill has the weights of one that was never killed"
    )
    gui: bool = Field(False, description="open sumo-gui; implies --local")
    local: bool = Field(False, description="everything in this process, for a debugger")
    learner_on_gpu: bool = Field(False, description="learn on the first CUDA device of the driver's machine, see docs/scaling.md")
    dashboard: bool = Field(False, description="serve Ray's dashboard on this machine's loopback")
    training_horizon_s: float | None = Field(20.0, gt=0, description="longest training episode; evaluation keeps the task's own horizon")
    training_onset_s: Interval = Field(Interval(low=2.0, high=12.0), description="onset of hazards in training episodes cut to that length")
    training_collision_weight: float | None = Field(None, ge=0, description="weight of a collision in training (default: the task's own)")
    training_jerk_weight: float | None = Field(None, ge=0, description="weight of jerk in training (default: the task's own)")
    training_hazard_probability: Probability | None = Field(
        None, description="share of training episodes with a hazard, where a car is ahead (default: the task's own)"
    )
    training_distraction_probability: Probability | None = Field(
        None, description="share of training episodes with a further distraction window at any time (default: the task's own)"
    )
    training_radio_factor: float | None = Field(
        None, ge=1, le=100, description="training draws radio values from 1/this to this times nominal (default: as the file says)"
    )
    training_action_repeat: int = Field(
        1, ge=1, le=10, description="steps for which an action drawn in training is kept; the trained policy decides in every step"
    )
    sumo: SumoSettings = SumoSettings()
    task: TaskSettings = TaskSettings()
    model: ModelSettings = ModelSettings()

    @model_validator(mode="after")
    def _check_exclusive(self) -> Self:
        if self.dataset_dir is not None and self.sumo_cfg is not None:
            raise ValueError("--dataset_dir and --sumo_cfg exclude each other; give one of them, or none for the default base scenario")
        return self

    @property
    def training_task(self) -> TaskSettings:
        """The task in training: shorter episodes with earlier hazards, so that a batch holds more of them, and more of what is rare.

        The policy sees no clock, so the length is no other task to it; twice as many hazards per step taught more in the same number of
        steps, and so did more hazards and more distraction (docs/decisions/0007). What evaluation reports is always the task's own.
        """
        hazard: dict[str, Any] = {}
        update: dict[str, Any] = {}
        if self.training_horizon_s is not None and self.task.horizon_s > self.training_horizon_s:
            update["horizon_s"] = self.training_horizon_s
            hazard["onset_s"] = self.training_onset_s
        if self.training_hazard_probability is not None:
            hazard["probability"] = self.training_hazard_probability
        if self.training_distraction_probability is not None:
            distraction = {"unrelated_probability": self.training_distraction_probability}
            update["distraction"] = self.task.distraction.model_copy(update=distraction)
        weights = {"collision": self.training_collision_weight, "jerk": self.training_jerk_weight}
        update["reward"] = self.task.reward.model_copy(update={name: weight for name, weight in weights.items() if weight is not None})
        return self.task.model_copy(update={**update, "hazard": self.task.hazard.model_copy(update=hazard)})


def fragment_steps(settings: TrainSettings, num_env_runners: int) -> int:
    """Steps that one environment contributes to an iteration: `n_steps` split over its environments, less for a very short run."""
    runners = max(1, num_env_runners)
    per_runner = min(settings.n_steps, -(-settings.total_timesteps // runners))
    return max(1, -(-per_runner // settings.num_envs_per_env_runner))
