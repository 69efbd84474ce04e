"""What a trial is measured by at a rung: its deterministic policy on a short list of episodes, the same for every trial.

Training scenarios with draws of their own, so that the evaluation list is not used up by choosing; nominal radio and the base
configuration's training task, so that no trial is judged by what it varied (docs/decisions/0016-sweep.md).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from roadsense.env.convoy_env import ConvoyEnv, open_dataset
from roadsense.env.episodes import Assignment, TrainingEpisodes, recorded_plan
from roadsense.env.record import EpisodeRecord
from roadsense.env.settings import TaskSettings
from roadsense.errors import UsageError
from roadsense.evaluation.judgement import BASELINE
from roadsense.evaluation.metrics import critical_identities
from roadsense.evaluation.policies import FunctionPolicy, resolve_policy
from roadsense.evaluation.process_pool import process_map
from roadsense.evaluation.reference import Policy
from roadsense.evaluation.rollout import play_episode
from roadsense.model.inference import Policy as TrainedPolicy
from roadsense.model.weights import acting_weights
from roadsense.scenario.dataset import Dataset
from roadsense.seeding import named_stream
from roadsense.training.env_runner import ConvoyEnvRunner, RolloutSettings
from roadsense.training.plan import TrainingPlan
from roadsense.training.sweep.files import RungEpisodes
from roadsense.training.sweep.settings import SweepSettings
from roadsense.training.train import TrainingRun

_NOMINAL: Final = 1.0  # the factor that draws no radio
Episodes = Sequence[tuple[str, str]]  # (identity, scenario)


@dataclass(frozen=True, slots=True, kw_only=True)
class Share:
    """Episodes for one process, and how it builds the environment."""

    dataset_dir: Path | None
    sumo_cfg: Path | None
    ego_id: str
    emulator_params: Path | None
    sumo: dict[str, Any]
    task: dict[str, Any]
    episodes: Episodes


def choose_episodes(settings: SweepSettings, plan: TrainingPlan, processes: int) -> RungEpisodes:
    """Draw the list and drive it with never_brake, whose crashes say which hazards are critical.

    Args:
        settings: the sweep.
        plan: of its base configuration.
        processes: in parallel; the list does not depend on it.

    Raises:
        UsageError: none of the episodes holds a critical hazard. SumoError: SUMO cannot drive one.
    """
    seed = int(named_stream(settings.seed, "sweep", "rung episodes").integers(2**31))
    source = TrainingEpisodes(plan.dataset, Assignment(run_seed=seed))
    plans = [source.next() for _ in range(settings.rung_episodes)]
    episodes = [(one.identity.label(), one.scenario.scenario_id) for one in plans]
    described: dict[str, Any] = {
        "dataset_dir": plan.dataset_dir,
        "sumo_cfg": plan.sumo_cfg,
        "ego_id": settings.ego_id,
        "emulator_params": plan.emulator_params,
        "sumo": settings.sumo.model_dump(),
        "task": settings.base.training_task.model_dump(),
    }
    shares = [Share(**described, episodes=episodes[first::processes]) for first in range(min(processes, len(episodes)))]
    with process_map(processes, _nothing_to_close) as run_map:
        critical = critical_identities([record for records in run_map(_drive_baseline, shares) for record in records])
    if not critical:
        raise UsageError(
            f"{BASELINE} crashes in none of the {settings.rung_episodes} episodes that trials are measured by; raise --rung_episodes, "
            "or the share of hazards (--set task.hazard.probability=0.9)"
        )
    return RungEpisodes(episodes=tuple(episodes), critical=critical)


def drive_rung(training: TrainingRun, task: TaskSettings, episodes: Episodes) -> list[EpisodeRecord]:
    """The trial's policy as it is now on these episodes, shared out over its env runners, which wait for the learner anyway.

    What a lost worker leaves undone is driven in this process.

    Raises:
        SumoError: SUMO cannot drive an episode.
    """
    network = training.network()
    policy = TrainedPolicy(network.settings, acting_weights(network), {})
    group = training.algorithm.env_runner_group
    remote = group.num_remote_workers()
    first = 1 if remote else 0  # RLlib counts remote workers from 1, and the local one is 0
    shares = {first + place: episodes[place :: max(1, remote)] for place in range(max(1, remote))}
    done: list[list[EpisodeRecord]] = group.foreach_env_runner(
        lambda runner: _drive(runner, policy, task, shares.get(runner.worker_index, ())), local_env_runner=not remote
    )
    found = {record.identity: record for records in done for record in records}
    missing = [episode for episode in episodes if episode[0] not in found]
    if missing:
        runner = algorithm_rollout(training)
        found |= {record.identity: record for record in _play(*runner, policy, task, missing)}
    return [found[identity] for identity, _ in episodes]


def algorithm_rollout(training: TrainingRun) -> tuple[RolloutSettings, Dataset]:
    """What the env runners drive on, opened in this process."""
    rollout = RolloutSettings.parse(training.algorithm.config.env_config, "env_config")
    return rollout, open_dataset(rollout.dataset_dir, rollout.sumo_cfg, rollout.ego_id)


def _drive(runner: ConvoyEnvRunner, policy: TrainedPolicy, task: TaskSettings, episodes: Episodes) -> list[EpisodeRecord]:
    """In an env runner. Whatever fails is left to the trial's own process: an exception here would cost the worker."""
    try:
        return _play(runner.rollout, runner.dataset, policy, task, episodes)
    except Exception:
        return []


def _play(rollout: RolloutSettings, dataset: Dataset, policy: TrainedPolicy, task: TaskSettings, episodes: Episodes) -> list[EpisodeRecord]:
    env = ConvoyEnv(
        dataset=dataset,
        emulator_params_path=rollout.emulator_params,
        ego_id=rollout.ego_id,
        sumo=rollout.sumo,
        task=task,
        radio_factor=_NOMINAL,
    )
    return _all_of(env, FunctionPolicy(policy), episodes)


def _drive_baseline(share: Share) -> list[EpisodeRecord]:
    env = ConvoyEnv(
        dataset_dir=share.dataset_dir,
        sumo_cfg=share.sumo_cfg,
        emulator_params_path=share.emulator_params,
        ego_id=share.ego_id,
        sumo=share.sumo,
        task=share.task,
        radio_factor=_NOMINAL,
    )
    return _all_of(env, resolve_policy(BASELINE), share.episodes)


def _all_of(env: ConvoyEnv, policy: Policy, episodes: Episodes) -> list[EpisodeRecord]:
    try:
        return [play_episode(env, policy, recorded_plan(env.dataset, identity, scenario)) for identity, scenario in episodes]
    finally:
        env.close()


def _nothing_to_close() -> None:
    """Every share closes what it has opened."""
