"""A policy against the fixed list: every scenario once per round, each episode drawn the same for every policy.

Parallelism is an injected `map`: the same numbers come out whatever it is, because every episode follows from its identity.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from roadsense.env.convoy_env import ConvoyEnv
from roadsense.env.record import EpisodeRecord
from roadsense.errors import UsageError
from roadsense.evaluation.policies import resolve_policy
from roadsense.evaluation.reference import Policy
from roadsense.evaluation.rollout import play_evaluation_episode
from roadsense.scenario.dataset import Dataset

# Small enough to keep two workers busy to the end, large enough that handing over costs nothing.
_EPISODES_PER_CHUNK = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class EnvironmentSpec:
    """What a worker needs to build the evaluation environment: picklable and hashable. Paths are absolute."""

    dataset_dir: Path | None
    sumo_cfg: Path | None
    emulator_params_path: Path | None
    ego_id: str
    sumo_json: str = "{}"
    task_json: str = "{}"

    def build(self) -> ConvoyEnv:
        """The environment in eval mode; starts nothing."""
        import json

        return ConvoyEnv(
            dataset_dir=self.dataset_dir,
            sumo_cfg=self.sumo_cfg,
            scenario_mode="eval",
            emulator_params_path=self.emulator_params_path,
            ego_id=self.ego_id,
            sumo=json.loads(self.sumo_json),
            task=json.loads(self.task_json),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Chunk:
    """A few episodes for one worker."""

    environment: EnvironmentSpec
    policy: str
    episodes: tuple[tuple[str, int], ...]  # (scenario id, round)


Map = Callable[[Callable[[Chunk], list[EpisodeRecord]], Iterable[Chunk]], Iterable[list[EpisodeRecord]]]


def evaluation_list(dataset: Dataset, *, rounds: int = 1, episodes: int | None = None) -> list[tuple[str, int]]:
    """(scenario id, round) in fixed order; `episodes` takes the first k, going on to further rounds when the list is shorter.

    Raises:
        UsageError: nothing would be evaluated.
    """
    if rounds < 1 or (episodes is not None and episodes < 1):
        raise UsageError(f"{rounds} rounds and {episodes} episodes evaluate nothing; give at least 1 of each")
    if not dataset.eval:
        raise UsageError(f"{dataset.directory}: the dataset has no evaluation scenarios; generate one with --eval_count of at least 1")
    scenarios = [scenario.scenario_id for scenario in dataset.eval]
    count = len(scenarios) * rounds if episodes is None else episodes
    return [(scenarios[place % len(scenarios)], place // len(scenarios)) for place in range(count)]


def evaluate(environment: EnvironmentSpec, policy: str, episodes: list[tuple[str, int]], run_map: Map = map) -> Iterator[EpisodeRecord]:
    """Records of all episodes in the order of the list; at most a few chunks are in memory at a time."""
    chunks = (
        Chunk(environment=environment, policy=policy, episodes=tuple(episodes[start : start + _EPISODES_PER_CHUNK]))
        for start in range(0, len(episodes), _EPISODES_PER_CHUNK)
    )
    for records in run_map(play_chunk, chunks):
        yield from records


def play_chunk(chunk: Chunk) -> list[EpisodeRecord]:
    """Play a chunk in this process, on the environment that the previous chunk left running."""
    env, policy = _environment(chunk.environment), _policy(chunk.policy)
    return [play_evaluation_episode(env, policy, scenario_id, round_index) for scenario_id, round_index in chunk.episodes]


def close_environments() -> None:
    """End the simulators that `play_chunk` keeps running in this process."""
    if _environment.cache_info().currsize:
        for env in _OPEN:
            env.close()
        _OPEN.clear()
        _environment.cache_clear()


_OPEN: list[ConvoyEnv] = []


@lru_cache(maxsize=1)
def _environment(spec: EnvironmentSpec) -> ConvoyEnv:
    for env in _OPEN:
        env.close()
    _OPEN[:] = [spec.build()]
    return _OPEN[0]


@lru_cache(maxsize=2)
def _policy(spec: str) -> Policy:
    return resolve_policy(spec)


def settings_json(settings: Any) -> str:
    """The part of a settings object that differs from its defaults, as JSON: short, hashable, picklable."""
    return str(settings.model_dump_json(exclude_defaults=True))
