"""The rollout worker: K environments, each with a SUMO process of its own, on the worker's shard of the scenarios."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import ray
import torch
from gymnasium.wrappers.vector import DictInfoToList
from pydantic import Field
from ray.rllib.callbacks.callbacks import RLlibCallback
from ray.rllib.env.env_runner import EnvRunner
from ray.rllib.env.single_agent_env_runner import SingleAgentEnvRunner
from ray.rllib.env.single_agent_episode import SingleAgentEpisode
from ray.rllib.utils.actor_manager import FaultAwareApply
from ray.rllib.utils.annotations import override

from roadsense.config import Settings, SumoSettings
from roadsense.env.convoy_env import ConvoyEnv
from roadsense.env.episodes import Assignment
from roadsense.env.settings import TaskSettings
from roadsense.errors import ConfigError, RunDirectoryError
from roadsense.seeding import named_stream
from roadsense.training.acting import act_with, log_density
from roadsense.training.dataset_transport import open_training_dataset
from roadsense.training.environment import TrainingEnv
from roadsense.training.faults import ScenarioFaults, WorkerReport, one_line
from roadsense.training.fragment import Collector
from roadsense.training.vector_env import ConvoyVectorEnv


class RolloutSettings(Settings):
    """What an env runner needs to know, beside what RLlib tells it: the content of `config.env_config`."""

    dataset_dir: Path | None
    sumo_cfg: Path | None
    dataset_hash: str
    ego_id: str
    emulator_params: Path | None
    sumo: SumoSettings
    task: TaskSettings
    run_seed: int
    generation: int
    num_workers: int
    radio_factor: float | None = None
    action_repeat: int = 1
    quarantined: dict[str, str] = Field(default_factory=dict)


class ConvoyEnvRunner(SingleAgentEnvRunner):
    """RLlib's env runner with our environments, identities, episode records and inner loop.

    Attributes:
        rollout: what it was told.
        dataset: what it drives on, as it lies on this machine.
    """

    env: Any = None
    _generation: int | None = None
    _collector: Collector | None = None
    _failure: str | None = None

    @override(SingleAgentEnvRunner)
    def make_env(self) -> None:
        """Build K environments; none of them starts SUMO yet. RLlib's constructor calls this."""
        # One core per worker: torch's default of one thread per core makes workers fight each other.
        torch.set_num_threads(1)
        if self.env is not None:
            self.env.close()
        self.rollout = rollout = RolloutSettings.parse(self.config.env_config, "env_config")
        # An actor that Ray restarted was built with the old generation: it must not draw its episodes a second time.
        restarted = self.worker_index > 0 and ray.get_runtime_context().was_current_actor_reconstructed
        self._generation = None if restarted else rollout.generation
        self._seed_exploration()
        self.dataset = dataset = open_training_dataset(rollout.dataset_dir, rollout.sumo_cfg, rollout.ego_id, rollout.dataset_hash)
        self._faults = ScenarioFaults()
        self._faults.leave_out(rollout.quarantined)
        self._training_envs = [
            TrainingEnv(
                ConvoyEnv(
                    dataset=dataset,
                    emulator_params_path=rollout.emulator_params,
                    ego_id=rollout.ego_id,
                    sumo=rollout.sumo,
                    task=rollout.task,
                    assignment=self._assignment(sub_environment),
                    radio_factor=rollout.radio_factor,
                ),
                self._faults,
            )
            for sub_environment in range(self.config.num_envs_per_env_runner)
        ]
        self._vector_env = ConvoyVectorEnv(self._training_envs)
        self.env = DictInfoToList(self._vector_env)
        self.num_envs = self._vector_env.num_envs
        self._collector = None
        self._needs_initial_reset = True

    def set_generation(self, generation: int) -> None:
        """Take the generation that the driver hands out after this worker was restarted."""
        self._generation = generation
        self._seed_exploration()
        for sub_environment, env in enumerate(self._training_envs):
            env.assign(self._assignment(sub_environment))
        self._needs_initial_reset = True

    def leave_out(self, quarantined: Mapping[str, str]) -> None:
        """Draw these scenarios no more (scenario -> why); the driver knows them from all workers."""
        self._faults.leave_out(quarantined)

    def pop_report(self) -> WorkerReport:
        """What has happened since the last call."""
        records = [record for env in self._training_envs for record in env.pop_records()]
        faults, last_fault = self._faults.collect()
        return WorkerReport(records=records, faults=faults, last_fault=last_fault, quarantined=dict(self._faults.quarantined))

    def pop_failure(self) -> str | None:
        """Why this worker's last sample failed, in one line; None when it did not, or when that has been told."""
        failure, self._failure = self._failure, None
        return failure

    @override(FaultAwareApply)
    def apply(self, func: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        """Call `func` with this worker; what it raises reaches the driver.

        RLlib's own would end the process, and with it every word about the cause. Nothing is lost by living on: `sample` begins anew
        after an exception, and the driver hands out a new generation as after a death.
        """
        return func(self, *args, **kwargs)

    @override(EnvRunner)
    def sample(self, **kwargs: Any) -> Any:
        """RLlib's sample, refused while a restarted worker has no generation yet. After an exception the next one begins anew.

        Raises:
            RunDirectoryError: the driver has not handed out a generation; going on would repeat episodes.
        """
        if self._generation is None:
            raise RunDirectoryError(
                f"worker {self.worker_index} was restarted and has no generation yet; report this as a bug in RoadSense"
            )
        try:
            return super().sample(**kwargs)
        except Exception as error:
            self._failure = one_line(error)
            self._collector = None
            self._needs_initial_reset = True
            raise

    @override(SingleAgentEnvRunner)
    def _sample(self, *, num_timesteps: int | None = None, explore: bool, **further: Any) -> list[SingleAgentEpisode]:
        """RLlib's inner loop, in bulk. What it cannot do (whole episodes, random actions, callbacks per step) is left to RLlib's own.

        Raises:
            ConfigError: there are callbacks per step, and actions are to be kept for several steps: RLlib's loop draws in every one.
        """
        repeat = self.rollout.action_repeat if explore else 1
        if not num_timesteps or further.get("random_actions") or self._has_episode_callbacks():
            if repeat > 1 and num_timesteps and not further.get("random_actions"):
                raise ConfigError(
                    f"training_action_repeat is {repeat}, but there are callbacks with episodes in the making, and RLlib's own loop, which "
                    "makes those calls, draws an action in every step; leave the callbacks out, or set training_action_repeat to 1"
                )
            self._needs_initial_reset |= self._collector is not None
            self._collector = None
            episodes: list[SingleAgentEpisode] = super()._sample(num_timesteps=num_timesteps, explore=explore, **further)
            return episodes
        if self._collector is None or self._needs_initial_reset or further.get("force_reset"):
            self._ongoing_episodes_for_metrics.clear()
            self._collector = Collector(self._vector_env)
            self._needs_initial_reset = False
        act = act_with(self.module.network, explore=explore)
        fragment = self._collector.collect(num_timesteps, act, log_density, self._weights_seq_no, repeat=repeat)
        self._done_episodes_for_metrics.extend(fragment.finished)
        for episode in fragment.ongoing:
            self._ongoing_episodes_for_metrics[episode.id_].append(episode)
        self._log_env_steps(metric=self._metrics_num_env_steps_sampled, num_steps=fragment.steps)
        self._increase_sampled_metrics(fragment.steps, len(fragment.finished))
        return fragment.finished + fragment.ongoing

    def _has_episode_callbacks(self) -> bool:
        """Whether somebody wants to be called with episodes that are still being built."""
        return any(
            getattr(self.config, f"callbacks_{name}", None)
            or any(getattr(type(callback), name) is not getattr(RLlibCallback, name) for callback in self._callbacks)
            for name in ("on_episode_created", "on_episode_start", "on_episode_step", "on_episode_end")
        )

    def _seed_exploration(self) -> None:
        """Actions are sampled from torch's global generator, which RLlib seeds the same after every restart and resume."""
        stream = named_stream(self.rollout.run_seed, "exploration", str(self._generation), str(self.worker_index))
        torch.manual_seed(int(stream.integers(2**63)))

    def _assignment(self, sub_environment: int) -> Assignment:
        return Assignment(
            run_seed=self.rollout.run_seed,
            generation=self._generation or 0,
            worker=max(0, self.worker_index - 1),
            num_workers=self.rollout.num_workers,
            sub_environment=sub_environment,
        )
