"""One training run: PPO over SUMO in parallel, from settings to a packaged policy."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any, NoReturn

import torch
from ray.rllib.algorithms.ppo import PPO

from roadsense.errors import RunDirectoryError, SumoError
from roadsense.evaluation.episode_table import read_episodes, records_of
from roadsense.model.deep_sets import DeepSets
from roadsense.model.policy_file import save_policy
from roadsense.training import checkpoint as checkpoints
from roadsense.training.algorithm import build, pop_failures, ppo_config
from roadsense.training.capacity import require_same_versions, wait_for_workers
from roadsense.training.cluster import ray_cluster
from roadsense.training.draining import DrainingNodes
from roadsense.training.env_runner import ConvoyEnvRunner, RolloutSettings
from roadsense.training.exact import begin_generation, seed_learner
from roadsense.training.faults import WorkerReport
from roadsense.training.figures import RECENT_EPISODES, IterationFigures, RecentEpisodes
from roadsense.training.generations import Generations
from roadsense.training.guard import guarded
from roadsense.training.plan import TrainingPlan
from roadsense.training.progress import ProgressLog, Say, Watch
from roadsense.training.result import learner_figures, timing_figures
from roadsense.training.saving import Saver, parts_until
from roadsense.training.stop import StopSignals

# Iterations in a row in which every worker fails with an exception; waiting helps against a lost machine, not against those.
_FUTILE_ITERATIONS = 3
# For new machines in the place of lost ones.
_LONGEST_WITHOUT_WORKERS_S = 1800.0
_PAUSE_WITHOUT_WORKERS_S = 0.5


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainingSummary:
    """The `training` section of metrics.json."""

    training_timesteps: int
    iterations: int
    episodes: int
    elapsed_s: float
    steps_per_s: float
    worker_restarts: int
    workers_dropped: int
    faults: int
    quarantined: dict[str, str]  # scenario that was left out -> why
    reward_trend: list[list[float]]  # [timesteps, mean return of the last 100 episodes]
    stopped_early: bool


class TrainingRun:
    """The state of a run between iterations."""

    def __init__(
        self,
        plan: TrainingPlan,
        algorithm: PPO,
        state: checkpoints.TrainingState,
        generations: Generations,
        say: Say,
        watch: Watch | None = None,
    ) -> None:
        self._plan = plan
        self._algorithm = algorithm
        self._state = state
        self._resumed = state
        self._generations = generations
        self._say = say
        self._recent = RecentEpisodes(state.episodes, state.faults)
        for part in parts_until(plan.layout, state.timesteps)[-RECENT_EPISODES:]:
            self._recent.recall(records_of(read_episodes(part)))
        self._saver = Saver(plan, say, state.timesteps)
        self._log = ProgressLog(plan.layout, plan.settings.total_timesteps, say, state.timesteps, watch)
        self._last_failure: str | None = None
        self._told: set[str] = set()  # the last fault that was shown: one that comes in every iteration is shown once
        self._futile = 0
        self._futile_since_s: float | None = None
        self._draining = DrainingNodes()

    def run(self, stop: StopSignals) -> TrainingSummary:
        """Iterate until the steps are done or a stop is requested; a checkpoint is written either way.

        Raises:
            RunDirectoryError: nothing can be written any more; the message says where the training state has been rescued to.
            SumoError: no worker delivers anything.
        """
        try:
            while not self.done and not stop.requested():
                self.iterate()
            self.save()
        finally:
            self.close()
        return self.summary()

    @property
    def done(self) -> bool:
        """Whether all steps have been made."""
        return self._state.timesteps >= self._plan.settings.total_timesteps

    @property
    def timesteps(self) -> int:
        """Steps made so far."""
        return self._state.timesteps

    @property
    def saved_timesteps(self) -> int:
        """Those that the newest checkpoint holds."""
        return self._saver.saved_timesteps

    @property
    def algorithm(self) -> PPO:
        """RLlib's algorithm, for those who look at the policy between iterations."""
        return self._algorithm

    def iterate(self) -> IterationFigures | None:
        """One iteration, and a checkpoint where one is due; None when no worker delivered a step. Raises as `run`."""
        with self._rescuing():
            figures = self._iterate()
            every = self._plan.settings.checkpoint_every
            if self._state.timesteps // every > self._saver.saved_timesteps // every or self._draining.any():
                self._checkpoint()
        return figures

    def save(self) -> None:
        """Write a checkpoint of what has been reached, unless it holds that already. Raises as `run`."""
        if self._saver.saved_timesteps != self._state.timesteps:
            with self._rescuing():
                self._saver.save(self._algorithm, self._described(self._next_generation()))

    def package(self) -> None:
        """Write the policy as it is now.

        Raises:
            PolicyError: it cannot be written, or holds something that is no number.
        """
        # Nothing here depends on when or where: the same training gives the same bytes.
        described = {"seed": self._plan.settings.seed, "dataset_hash": self._plan.dataset.hash, "training_timesteps": self.timesteps}
        save_policy(self._plan.layout.model, self.network(), metadata=described)

    def network(self) -> DeepSets:
        """The learner's network."""
        module = self._algorithm.get_module()
        if module is None:
            raise RunDirectoryError("the algorithm holds no policy; report this as a bug in RoadSense")
        network: DeepSets = module.network
        return network

    def close(self) -> None:
        """Write what is left of the log, and close it."""
        self._log.close()

    def summary(self) -> TrainingSummary:
        """What the run has come to so far."""
        return TrainingSummary(
            training_timesteps=self._state.timesteps,
            iterations=self._state.iteration,
            episodes=self._recent.episodes,
            elapsed_s=self._state.elapsed_s,
            steps_per_s=self._state.timesteps / self._state.elapsed_s if self._state.elapsed_s > 0 else 0.0,
            worker_restarts=self._state.worker_restarts,
            workers_dropped=self._state.workers_dropped,
            faults=self._recent.faults,
            quarantined=self._state.quarantined,
            reward_trend=self._log.returns,
            stopped_early=not self.done,
        )

    def _iterate(self) -> IterationFigures | None:
        if self._plan.settings.exact:
            seed_learner(self._plan.settings.seed, self._state.iteration)
        began_s = time.monotonic()
        result = self._algorithm.train()
        reports = self._pop_reports()
        iteration_s = time.monotonic() - began_s
        for failure in pop_failures(self._algorithm):
            self._last_failure = failure
            self._say(f"a worker failed and begins anew: {failure}")
        for fault in {report.last_fault for report in reports if report.last_fault} - self._told:
            self._told = {fault}
            self._say(f"an episode failed: {fault}")
        timesteps = int(result.get("env_runners", {}).get("num_env_steps_sampled_lifetime", self._state.timesteps))
        delivered = timesteps > self._state.timesteps
        self._look_for_life(delivered=delivered)
        figures = self._figures(result, timesteps, iteration_s, reports)
        if delivered:
            self._log.add(figures)
        self._state = self._state.model_copy(
            update={
                "timesteps": timesteps,
                "iteration": figures.iteration,
                "elapsed_s": figures.elapsed_s,
                "episodes": figures.episodes,
                "faults": figures.faults,
                "worker_restarts": figures.worker_restarts,
                "workers_dropped": figures.workers_dropped,
                "recent_return": figures.episode_return,
            }
        )
        return figures if delivered else None

    def _figures(self, result: dict[str, Any], timesteps: int, iteration_s: float, reports: list[WorkerReport]) -> IterationFigures:
        group = self._algorithm.env_runner_group
        records = [record for report in reports for record in report.records]
        self._recent.add(records, faults=sum(report.faults for report in reports))
        self._saver.add(records)
        restarts = self._resumed.worker_restarts + group.num_remote_worker_restarts()
        self._quarantine(reports, tell_all=restarts > self._state.worker_restarts)
        elapsed_s = self._state.elapsed_s + iteration_s
        delivered = timesteps > self._state.timesteps
        return IterationFigures(
            timesteps=timesteps,
            iteration=self._state.iteration + delivered,
            elapsed_s=elapsed_s,
            steps_per_s=(timesteps - self._state.timesteps) / iteration_s,
            healthy_workers=group.num_healthy_remote_workers() if group.num_remote_workers() else 1,
            worker_restarts=restarts,
            workers_dropped=self._resumed.workers_dropped + group.num_env_runners_dropped_lifetime(),
            quarantined=len(self._state.quarantined),
            **self._recent.figures(),
            **timing_figures(result),
            **learner_figures(result),
        )

    def _quarantine(self, reports: list[WorkerReport], *, tell_all: bool) -> None:
        """Remember what workers leave out, and tell all of them; one that was restarted has forgotten."""
        known = self._state.quarantined
        new = {name: why for report in reports for name, why in report.quarantined.items() if name not in known}
        for name, why in sorted(new.items()):
            self._say(f"scenario {name} is left out: {why}")
        complete = known | new
        if new or (complete and tell_all):
            self._state = self._state.model_copy(update={"quarantined": complete})
            self._algorithm.env_runner_group.foreach_env_runner(
                lambda runner: runner.leave_out(complete), local_env_runner=self._plan.local
            )

    def _look_for_life(self, *, delivered: bool) -> None:
        """Tell a short loss from one that no waiting mends.

        Raises:
            SumoError: every worker failed with an exception several times in a row, or none has been there for long.
        """
        if delivered:
            self._futile, self._futile_since_s, self._last_failure = 0, None, None
            return
        now_s = time.monotonic()
        if self._futile_since_s is None:
            self._futile_since_s = now_s
            self._say("no worker delivered a step; waiting for them to come back")
        self._futile += 1
        if self._last_failure is not None and self._futile > _FUTILE_ITERATIONS:
            self._give_up(
                f"every worker fails again and again, the last time with {self._last_failure}; mend the cause and use --resume "
                "(--local --debug shows where it comes from)"
            )
        if now_s - self._futile_since_s > _LONGEST_WITHOUT_WORKERS_S:
            self._give_up(
                f"no worker has been there for {_LONGEST_WITHOUT_WORKERS_S / 60:.0f} minutes; see to the machines and use --resume"
            )
        time.sleep(_PAUSE_WITHOUT_WORKERS_S)

    def _give_up(self, why: str) -> NoReturn:
        if self._saver.saved_timesteps != self._state.timesteps:
            self._saver.save(self._algorithm, self._described(self._next_generation()))
        raise SumoError(why)

    def _pop_reports(self) -> list[WorkerReport]:
        group = self._algorithm.env_runner_group
        reports: list[WorkerReport] = group.foreach_env_runner(_pop_report, local_env_runner=group.num_remote_workers() == 0)
        return reports

    def _checkpoint(self) -> None:
        """Save where the plan says so; in an exact run everybody then begins anew, as after a resume."""
        generation = self._next_generation()
        if self._saver.try_to_save(self._algorithm, self._described(generation)) and self._plan.settings.exact:
            begin_generation(self._algorithm, generation)

    def _next_generation(self) -> int:
        """That of the episodes after a checkpoint: in an exact run a new one, handed out before the checkpoint tells of it."""
        return self._generations.next() if self._plan.settings.exact else self._generations.last

    def _described(self, generation: int) -> checkpoints.TrainingState:
        return self._state.model_copy(update={"generation": generation})

    @contextmanager
    def _rescuing(self) -> Iterator[None]:
        """What cannot be written to the run directory is written elsewhere, and the error says where."""
        try:
            yield
        except RunDirectoryError as problem:
            raise RunDirectoryError(f"{problem}; {self._rescued()}") from None

    def _rescued(self) -> str:
        if self._saver.saved_timesteps == self._state.timesteps:
            return f"nothing is lost, go on with: roadsense train --resume {self._plan.layout.root}"
        try:
            # Not written to the counter's file, which cannot be written either; the checkpoint knows it.
            root = self._saver.rescue(self._algorithm, self._described(self._generations.last + self._plan.settings.exact))
            return f"the training state is saved, go on with: roadsense train --resume {root}"
        except RunDirectoryError as problem:
            return f"{problem}; {self._saver.saved_timesteps:,} of {self._state.timesteps:,} steps are in the newest checkpoint"


def train(plan: TrainingPlan, stop: StopSignals, say: Say, watch: Watch | None = None) -> TrainingSummary:
    """Train as planned and package the policy; `say` is told what happens, and a line per iteration unless there is a `watch`.

    Raises:
        RoadSenseError: workers cannot start, the run directory cannot be written, or a checkpoint cannot be restored.
    """
    settings = plan.settings
    generations = Generations(plan.layout.generations, used=-1 if plan.checkpoint is None else plan.checkpoint.state.generation)
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
        training = stack.enter_context(opened(plan, num_env_runners, generations, say, watch))
        summary = training.run(stop)
        training.package()
    return summary


@contextmanager
def opened(
    plan: TrainingPlan, num_env_runners: int, generations: Generations, say: Say, watch: Watch | None = None
) -> Iterator[TrainingRun]:
    """The run with its algorithm built, at its checkpoint if it has one; the workers end with the block. Ray has to be there.

    Raises:
        RoadSenseError: workers cannot start, or a checkpoint cannot be restored.
    """
    # The learner shares its cores with the workers; with more threads it would be several times slower, not faster.
    torch.set_num_threads(1)
    generation = generations.next() if plan.checkpoint is None or not plan.settings.exact else plan.checkpoint.state.generation
    algorithm = _build(plan, num_env_runners, generation, generations)
    try:
        if plan.checkpoint is not None:
            checkpoints.restore(algorithm, plan.checkpoint)
            if plan.settings.exact:
                # Building the workers' networks has drawn from their generators.
                begin_generation(algorithm, generation)
        yield TrainingRun(plan, algorithm, plan.starting_state(), generations, say, watch)
    finally:
        algorithm.stop()


def _pop_report(runner: ConvoyEnvRunner) -> WorkerReport:
    return runner.pop_report()


def _build(plan: TrainingPlan, num_env_runners: int, generation: int, generations: Generations) -> PPO:
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
        radio_factor=settings.training_radio_factor,
        action_repeat=settings.training_action_repeat,
        quarantined=plan.starting_state().quarantined,
    )
    return build(ppo_config(settings, rollout, num_env_runners, generations))
