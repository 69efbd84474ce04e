"""From our settings to RLlib's PPO."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

from ray.rllib.algorithms.ppo import PPO, PPOConfig
from ray.rllib.env.env_runner_group import EnvRunnerGroup
from ray.rllib.utils.metrics import TIMERS

from roadsense.env.privileged import PRIVILEGED_SIZE
from roadsense.peer_set import action_space, training_observation_space
from roadsense.training.connectors import lean_connectors
from roadsense.training.env_runner import ConvoyEnvRunner, RolloutSettings
from roadsense.training.generations import Generations
from roadsense.training.learner import ConvoyLearner
from roadsense.training.result import ITERATION_TIMERS
from roadsense.training.rl_module import rl_module_spec
from roadsense.training.settings import TrainSettings, fragment_steps

# A lost worker is asked at the begin of every iteration whether it is back; longer than this the others do not wait for it.
_LONGEST_WAIT_FOR_LOST_S = 5.0
# A slow fragment is waited for: RLlib's default of 60 s would silently throw it away, and with it the determinism of the run.
_SAMPLE_TIMEOUT_S = 1800.0

_FAILURES = "roadsense_failures"


def ppo_config(settings: TrainSettings, rollout: RolloutSettings, num_env_runners: int, generations: Generations) -> PPOConfig:
    """RLlib's configuration of a run. `num_env_runners` is 0 when everything runs in this process."""
    fragment = fragment_steps(settings, num_env_runners)
    batch = fragment * settings.num_envs_per_env_runner * max(1, num_env_runners)
    config = PPOConfig()
    config.environment(
        env="RoadSense-Convoy-v0",
        observation_space=training_observation_space(PRIVILEGED_SIZE),
        action_space=action_space(),
        env_config=rollout.model_dump(mode="json"),
        normalize_actions=False,
        clip_actions=False,
    )
    config.env_runners(
        env_runner_cls=ConvoyEnvRunner,
        num_env_runners=num_env_runners,
        num_envs_per_env_runner=settings.num_envs_per_env_runner,
        num_cpus_per_env_runner=1,
        rollout_fragment_length=fragment,
        sample_timeout_s=_SAMPLE_TIMEOUT_S,
        **lean_connectors(),
    )
    config.learners(num_learners=0, learner_class=ConvoyLearner, num_gpus_per_learner=int(settings.learner_on_gpu))
    config.training(
        lr=_schedule(settings.learning_rate, settings.learning_rate_final, settings.total_timesteps),
        gamma=settings.gamma,
        lambda_=settings.gae_lambda,
        clip_param=settings.clip_param,
        vf_clip_param=float("inf"),  # values are of order 1; clipping them only slows the value function down
        vf_loss_coeff=settings.vf_loss_coeff,
        entropy_coeff=_schedule(settings.ent_coef, settings.ent_coef_final, settings.total_timesteps),
        use_kl_loss=False,  # its adaptive coefficient is not part of RLlib's checkpoints
        grad_clip=settings.grad_clip,
        grad_clip_by="norm",  # tensor by tensor, or the critic's gradients, larger by far, would decide how far the actor goes
        train_batch_size=batch,
        minibatch_size=min(settings.minibatch_size, batch),
        num_epochs=settings.num_epochs,
    )
    config.rl_module(rl_module_spec=rl_module_spec(settings.model, privileged_size=PRIVILEGED_SIZE))
    config.fault_tolerance(
        restart_failed_env_runners=True,
        max_num_env_runner_restarts=1_000_000,  # a training of weeks on machines that are taken away
        env_runner_health_probe_timeout_s=_LONGEST_WAIT_FOR_LOST_S,
    )
    config.callbacks(on_env_runners_recreated=_new_generation(generations))
    config.debugging(seed=settings.seed, log_level="CRITICAL")
    config.reporting(metrics_num_episodes_for_smoothing=100)
    return config


def build(config: PPOConfig) -> PPO:
    """The algorithm, without the empty folder that RLlib makes for itself in the home directory."""
    algorithm: PPO = config.build_algo()
    with suppress(OSError):
        Path(algorithm.logdir).rmdir()
    for timer in ITERATION_TIMERS:
        # RLlib averages its timers over hundreds of iterations; made here first, they hold the time of the last one.
        algorithm.metrics.log_value((TIMERS, timer), 0.0, reduce="mean", window=1)
    return algorithm


def _schedule(first: float, last: float | None, total_timesteps: int) -> float | list[list[float]]:
    """A constant, or RLlib's form of a line over the environment steps of the run: pairs of (step, value)."""
    return first if last is None else [[0, first], [total_timesteps, last]]


def pop_failures(algorithm: PPO) -> list[str]:
    """Why workers failed that are back since the last call, a line each; of one that died nothing is known."""
    failures: list[str] = getattr(algorithm, _FAILURES, [])
    setattr(algorithm, _FAILURES, [])
    return failures


def _new_generation(generations: Generations) -> Callable[..., None]:
    """The callback that gives returning workers a generation of their own before they sample again, and asks why they had gone."""

    def hand_out(*, algorithm: PPO, env_runner_group: EnvRunnerGroup, env_runner_indices: list[int], **_: Any) -> None:
        generation = generations.next()
        failures = env_runner_group.foreach_env_runner(
            lambda runner: (runner.set_generation(generation), runner.pop_failure())[1],
            local_env_runner=False,
            remote_worker_ids=env_runner_indices,
        )
        setattr(algorithm, _FAILURES, getattr(algorithm, _FAILURES, []) + [failure for failure in failures if failure])

    return hand_out
