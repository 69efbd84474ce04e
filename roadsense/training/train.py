"""One training run: PPO over SUMO in parallel, from settings to a packaged policy."""

from __future__ import annotations

import time
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

import torch
from ray.rllib.algorithms.ppo import PPO

from roadsense.artifacts.files import atomic_path
from roadsense.env.record import EpisodeRecord
from roadsense.errors import RunDirectoryError
from roadsense.evaluation.episode_table import EpisodeTableWriter
from roadsense.model.policy_file import save_policy
from roadsense.training import checkpoint as checkpoints
from roadsense.training.algorithm import build, ppo_config
from roadsense.training.capacity import require_same_versions, wait_for_workers
from roadsense.training.cluster import ray_cluster
from roadsense.training.draining import DrainingNodes
from roadsense.training.env_runner import ConvoyEnvRunner, RolloutSettings
from roadsense.training.figures import IterationFigures, RecentEpisodes
from roadsense.training.generations import Generations
from roadsense.training.guard import guarded
from roadsense.training.plan import TrainingPlan
from roadsense.training.progress import ProgressLog, Say
from roadsense.training.result import learner_figures, timing_figures
from roadsense.training.stop import StopSignals


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainingSummary:
    """The `training` section of metrics.json."""

    training_timesteps: int
    iterations: int
    episodes: int
    elapsed_s: float
    steps_per_s: float
    worker_restarts: int
    faults: int
    reward_trend: list[list[float]]  # [timesteps, mean return of the last 100 episodes]
    stopped_early: bool


class TrainingRun:
    """The state of a run between iterations."""

    def __init__(self, plan: TrainingPlan, algorithm: PPO, state: checkpoints.TrainingState, say: Say) -> None:
        self._plan = plan
        self._algorithm = algorithm
        self._layout = plan.layout
        self._state = state
        self._recent = RecentEpisodes(state.episodes, state.faults)
        self._unsaved: list[EpisodeRecord] = []
        self._trend: list[list[float]] = []
        self._log = ProgressLog(plan.layout, plan.settings.total_timesteps, say, state.timesteps)
        self._saved_timesteps = state.timesteps

    def run(self, stop: StopSignals) -> TrainingSummary:
        """Iterate until the steps are done or a stop is requested; a checkpoint is written either way."""
        settings = self._plan.settings
        began_s, began_timesteps = time.monotonic(), self._state.timesteps
        draining = DrainingNodes()
        try:
            while self._state.timesteps < settings.total_timesteps and not stop.requested():
                self._iterate()
                if (
                    self._state.timesteps // settings.checkpoint_every > self._saved_timesteps // settings.checkpoint_every
                    or draining.any()
                ):
                    self._save()
            if self._saved_timesteps != self._state.timesteps:
                self._save()
        finally:
            self._log.close()
        elapsed_s = time.monotonic() - began_s
        return TrainingSummary(
            training_timesteps=self._state.timesteps,
            iterations=self._state.iteration,
            episodes=self._recent.episodes,
            elapsed_s=self._state.elapsed_s,
            steps_per_s=(self._state.timesteps - began_timesteps) / elapsed_s if elapsed_s > 0 else 0.0,
            worker_restarts=self._state.worker_restarts,
            faults=self._recent.faults,
            reward_trend=self._trend,
            stopped_early=self._state.timesteps < settings.total_timesteps,
        )

    def _iterate(self) -> None:
        began_s = time.monotonic()
        result = self._algorithm.train()
        records = self._pop_records()
        iteration_s = time.monotonic() - began_s
        timesteps = int(result["env_runners"]["num_env_steps_sampled_lifetime"])
        figures = self._figures(result, timesteps, iteration_s, records)
        self._log.add(figures)
        if figures.episode_return is not None:
            self._trend.append([float(timesteps), figures.episode_return])

    def _figures(self, result: dict[str, Any], timesteps: int, iteration_s: float, records: list[EpisodeRecord]) -> IterationFigures:
        group = self._algorithm.env_runner_group
        self._recent.add(records)
        self._unsaved.extend(records)
        new_steps = timesteps - self._state.timesteps
        restarts = int(result.get("fault_tolerance", {}).get("num_remote_worker_restarts", 0))
        self._state = self._state.model_copy(
            update={
                "timesteps": timesteps,
                "iteration": self._state.iteration + 1,
                "elapsed_s": self._state.elapsed_s + iteration_s,
                "episodes": self._recent.episodes,
                "faults": self._recent.faults,
                "worker_restarts": restarts,
            }
        )
        return IterationFigures(
            timesteps=timesteps,
            iteration=self._state.iteration,
            elapsed_s=self._state.elapsed_s,
            steps_per_s=new_steps / iteration_s,
            healthy_workers=group.num_healthy_remote_workers() if group.num_remote_workers() else 1,
            worker_restarts=restarts,
            **self._recent.figures(),
            **timing_figures(result),
            **learner_figures(result),
        )

    def _pop_records(self) -> list[EpisodeRecord]:
        group = self._algorithm.env_runner_group
        local = group.num_remote_workers() == 0
        return [record for records in group.foreach_env_runner(_pop_records, local_env_runner=local) for record in records]

    def _save(self) -> None:
        """Episodes first: a checkpoint must never be ahead of the table that belongs to it."""
        layout = self._layout
        layout.training_episodes.mkdir(exist_ok=True)
        part = layout.training_episodes / f"until_{self._state.timesteps:09d}.parquet"
        with atomic_path(part) as temporary, EpisodeTableWriter(temporary) as table:
            for record in self._unsaved:
                table.add(record, phase="train", policy="learning")
        self._unsaved = []
        checkpoints.save(self._algorithm, self._state, layout, self._plan.settings.keep_checkpoints)
        self._saved_timesteps = self._state.timesteps


def train(plan: TrainingPlan, stop: StopSignals, say: Say) -> TrainingSummary:
    """Train as planned and package the policy; `say` is told a line per iteration.

    Raises:
        RoadSenseError: workers cannot start, the run directory cannot be written, or a checkpoint cannot be restored.
    """
    # The learner shares its cores with the workers; with more threads it would be several times slower, not faster.
    torch.set_num_threads(1)
    settings, layout = plan.settings, plan.layout
    generations = Generations(layout.generations)
    with ExitStack() as stack:
        stack.enter_context(guarded())
        wanted = 0 if plan.local else settings.num_env_runners
        cluster = stack.enter_context(ray_cluster(wanted, plan.dataset_dir, dashboard=settings.dashboard))
        num_env_runners = cluster.cpus if wanted is None else wanted
        if cluster.address is not None:
            say(f"joined the Ray cluster at {cluster.address} with {cluster.cpus} CPUs")
            num_env_runners = wait_for_workers(num_env_runners, say)
            require_same_versions()
        stack.enter_context(stop)
        algorithm = _build(plan, num_env_runners, generations.next())
        stack.callback(algorithm.stop)
        state = _starting_state(plan, algorithm)
        summary = TrainingRun(plan, algorithm, state, say).run(stop)
        module = algorithm.get_module()
        if module is None:
            raise RunDirectoryError("the algorithm holds no policy to package; report this as a bug in RoadSense")
        # Nothing here depends on when or where: the same training gives the same bytes.
        metadata = {"seed": settings.seed, "dataset_hash": plan.dataset.hash, "training_timesteps": summary.training_timesteps}
        save_policy(layout.model, module.network, metadata=metadata)
    return summary


def _pop_records(runner: ConvoyEnvRunner) -> list[EpisodeRecord]:
    return runner.pop_records()


def _build(plan: TrainingPlan, num_env_runners: int, generation: int) -> PPO:
    settings = plan.settings
    rollout = RolloutSettings(
        dataset_dir=plan.dataset_dir,
        sumo_cfg=plan.sumo_cfg,
        dataset_hash=plan.dataset.hash,
        ego_id=settings.ego_id,
        emulator_params=plan.emulator_params,
        sumo=settings.sumo.model_copy(update={"gui": settings.gui}),
        task=settings.training_task,
        run_seed=settings.seed,
        generation=generation,
        num_workers=max(1, num_env_runners),
    )
    return build(ppo_config(settings, rollout, num_env_runners, Generations(plan.layout.generations)))


def _starting_state(plan: TrainingPlan, algorithm: PPO) -> checkpoints.TrainingState:
    if plan.checkpoint is None:
        return checkpoints.TrainingState(
            timesteps=0, iteration=0, elapsed_s=0.0, episodes=0, faults=0, worker_restarts=0, dataset_hash=plan.dataset.hash
        )
    checkpoints.restore(algorithm, plan.checkpoint)
    for part in plan.layout.training_episodes.glob("until_*.parquet"):
        # Episodes driven after the checkpoint are driven again under new identities.
        if int(part.stem.removeprefix("until_")) > plan.checkpoint.state.timesteps:
            part.unlink()
    return plan.checkpoint.state
