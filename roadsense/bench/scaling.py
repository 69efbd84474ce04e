"""The measurements behind docs/scaling.md: real env runners and the real learner on the default dataset, in processor time.

What a neighbour does to the watch is not measured, so the figures can be taken on a machine that is not quiet; what stays is what shared
caches cost.
"""

from __future__ import annotations

import os
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

import numpy as np
import ray
import torch
from ray.rllib.algorithms.ppo import PPO

from roadsense.artifacts.provenance import collect_provenance
from roadsense.bench.calibration import calibrate
from roadsense.bench.cpu import cpu_s
from roadsense.config import SumoSettings
from roadsense.doctor.hardware import processor
from roadsense.env.convoy_env import ConvoyEnv
from roadsense.env.episodes import Assignment
from roadsense.model.settings import ModelSettings
from roadsense.scaling.measured import LearningTime, Measured
from roadsense.scenario.dataset import Dataset
from roadsense.training.algorithm import build, ppo_config
from roadsense.training.cluster import ray_cluster
from roadsense.training.env_runner import ConvoyEnvRunner, RolloutSettings
from roadsense.training.generations import Generations
from roadsense.training.settings import TrainSettings

# As in roadsense.bench.sampling: cars that drive are what training is made of.
_NETWORK: Final = ModelSettings(initial_brake_probability=0.01)
_SETTINGS: Final = TrainSettings(total_timesteps=10**9, model=_NETWORK)  # otherwise as a training is by default
_ACTION: Final = np.zeros(1, dtype=np.float32)
_CALLS: Final = 50


@dataclass(frozen=True, slots=True, kw_only=True)
class ScalingPlan:
    """How much is measured."""

    env_runners: int = 2
    fragments: int = 16  # of each env runner
    episodes: int = 3  # of each scenario
    batches: tuple[int, ...] = (1, 2, 4, 8)  # of the learner, in fragments
    repeats: int = 3  # of each batch
    settings: TrainSettings = _SETTINGS


def measure_scaling(dataset_dir: Path, plan: ScalingPlan, say: Callable[[str], None]) -> Measured:
    """All of it; takes some minutes and joins no cluster but its own.

    Raises:
        RoadSenseError: the dataset is refused, or SUMO or Ray do not start.
    """
    os.environ["RAY_ADDRESS"] = "local"
    torch.set_num_threads(1)
    settings = plan.settings.model_copy(update={"dataset_dir": dataset_dir})
    dataset = Dataset.load(dataset_dir, verify=True)
    say(f"calibration, then {plan.episodes} episodes in each of {len(dataset.train)} scenarios")
    calibration = calibrate()
    scenario_us, episode_steps = _by_scenario(dataset, settings, plan.episodes)
    with TemporaryDirectory() as scratch, ray_cluster(plan.env_runners, dataset_dir, dashboard=False):
        algorithm = _algorithm(settings, dataset, plan.env_runners, Path(scratch))
        try:
            say(f"{plan.fragments} fragments of each of {plan.env_runners} env runners")
            fragments_s, fragments = _fragments(algorithm, plan.fragments, max(plan.batches))
            say("transport and weights")
            fragment_bytes, receiving_s = _transport(fragments)
            weights_bytes, weights_s = _weights(algorithm)
            call_s = _call_s(algorithm)
            say(f"learning, batches of {', '.join(str(count * settings.n_steps) for count in plan.batches)} steps")
            learning = _learning(algorithm, fragments, plan)
        finally:
            algorithm.stop()
    return Measured(
        provenance=_provenance(dataset),
        machine=f"{len(os.sched_getaffinity(0))} cores, {processor()}",
        scenarios=len(dataset.train),
        minibatch_steps=settings.minibatch_size,
        num_epochs=settings.num_epochs,
        environments_per_runner=settings.num_envs_per_env_runner,
        fragment_steps=settings.n_steps,
        fragment_cpu_s=fragments_s,
        scenario_us_per_step=scenario_us,
        episode_steps=episode_steps,
        fragment_bytes=fragment_bytes,
        receiving_s=receiving_s,
        call_s_per_runner=call_s,
        weights_bytes=weights_bytes,
        weights_s=weights_s,
        learning=learning,
        calibration=calibration,
    )


def _provenance(dataset: Dataset) -> dict[str, Any]:
    """As everywhere, but for the command line: the file becomes part of the package, and paths of this machine say nothing there."""
    known = collect_provenance({"dataset_hash": dataset.hash, "load_averages": [round(load, 1) for load in os.getloadavg()]})
    return {name: value for name, value in known.items() if name != "command"}


def _by_scenario(dataset: Dataset, settings: TrainSettings, episodes: int) -> tuple[list[list[float]], float]:
    """Microseconds per step, resets inside, by scenario and episode; and the mean length of an episode."""
    env = ConvoyEnv(dataset=dataset, task=settings.training_task)
    found, lengths = [], []
    try:
        env.reset()  # warm-up
        for worker in range(len(dataset.train)):
            env.assign(Assignment(run_seed=1, worker=worker, num_workers=len(dataset.train)))
            times_us = []
            for _ in range(episodes):
                began_s = cpu_s()
                env.reset()
                steps, done = 0, False
                while not done:
                    *_, terminated, truncated, _ = env.step(_ACTION)
                    done = terminated or truncated
                    steps += 1
                # A simulator that was replaced meanwhile has taken its time with it.
                if (spent_s := cpu_s() - began_s) > 0:
                    times_us.append(round(1e6 * spent_s / steps, 1))
                lengths.append(steps)
            found.append(times_us)
    finally:
        env.close()
    return found, round(statistics.fmean(lengths), 1)


def _algorithm(settings: TrainSettings, dataset: Dataset, env_runners: int, scratch: Path) -> PPO:
    rollout = RolloutSettings(
        dataset_dir=settings.dataset_dir,
        sumo_cfg=None,
        dataset_hash=dataset.hash,
        ego_id=settings.ego_id,
        emulator_params=None,
        sumo=SumoSettings(recycle_every=10**6),
        task=settings.training_task,
        run_seed=1,
        generation=1,
        num_workers=env_runners,
    )
    return build(ppo_config(settings, rollout, env_runners, Generations(scratch / "generations")))


def _fragments(algorithm: PPO, count: int, kept: int) -> tuple[list[list[float]], list[list[Any]]]:
    """Processor seconds by env runner and fragment, scaled to exactly a fragment's steps, and the first `kept` fragments themselves."""
    times_s: list[list[float]] = []
    fragments: list[list[Any]] = []
    for number in range(-1, count):  # the first starts simulators
        answers = algorithm.env_runner_group.foreach_env_runner(_sampled, local_env_runner=False)
        if number >= 0:
            times_s.append([round(spent_s, 4) for spent_s, _ in answers])
            fragments += [episodes for _, episodes in answers][: kept - len(fragments)]
    return [list(runner) for runner in zip(*times_s, strict=True)], fragments


def _sampled(runner: ConvoyEnvRunner) -> tuple[float, list[Any]]:
    began_s = cpu_s()
    episodes = runner.sample()
    runner.get_metrics()
    spent_s = cpu_s() - began_s
    wanted = runner.config.get_rollout_fragment_length(runner.worker_index) * runner.config.num_envs_per_env_runner
    return spent_s * wanted / sum(len(episode) for episode in episodes), episodes


def _transport(fragments: Sequence[list[Any]]) -> tuple[float, float]:
    """Bytes of a fragment in Ray's own serialisation, and processor seconds for unpacking one; means and the least disturbed time."""
    sizes, times_s = [], []
    for episodes in fragments:
        reference = ray.put(episodes)
        sizes.append(ray.experimental.get_local_object_locations([reference])[reference]["object_size"])
        best_s = min(_unpacking_s(reference) for _ in range(5))
        times_s.append(best_s)
    return round(statistics.fmean(sizes), 1), statistics.fmean(times_s)


def _unpacking_s(reference: Any) -> float:
    began_s = time.process_time()
    ray.get(reference)
    return time.process_time() - began_s


def _weights(algorithm: PPO) -> tuple[int, float]:
    """Bytes of what env runners are sent, and the processor seconds of taking and storing it."""
    times_s, size = [], 0
    for _ in range(_CALLS):
        began_s = time.process_time()
        reference = ray.put(algorithm.learner_group.get_state(components="learner/rl_module", inference_only=True))
        times_s.append(time.process_time() - began_s)
        size = ray.experimental.get_local_object_locations([reference])[reference]["object_size"]
    return int(size), statistics.median(times_s)


def _call_s(algorithm: PPO) -> float:
    """The driver's processor seconds for asking one env runner for something that takes no time, and for its answer."""
    group = algorithm.env_runner_group
    began_s = time.process_time()
    for _ in range(_CALLS):
        group.foreach_env_runner(_nothing, local_env_runner=False)
    runners = int(group.num_remote_workers())
    return (time.process_time() - began_s) / _CALLS / runners


def _nothing(_runner: ConvoyEnvRunner) -> None:
    return None


def _learning(algorithm: PPO, fragments: Sequence[list[Any]], plan: ScalingPlan) -> list[LearningTime]:
    found = []
    for count in plan.batches:
        episodes = [episode for fragment in fragments[:count] for episode in fragment]
        times_s = []
        for _ in range(plan.repeats):
            began_s = time.process_time()
            algorithm.learner_group.update(
                episodes=episodes,
                timesteps={"num_env_steps_sampled_lifetime": 0},
                num_epochs=plan.settings.num_epochs,
                minibatch_size=plan.settings.minibatch_size,
                shuffle_batch_per_epoch=True,
            )
            times_s.append(time.process_time() - began_s)
        rows = sum(len(episode) for episode in episodes)
        found.append(LearningTime(rows=rows, cpu_s=round(min(times_s), 4)))  # neighbours only ever make it longer
    return found
