"""Which episode comes next: random draws from a shard in training, the fixed list in evaluation.

Everything follows from the identity, so that any episode can be asked for again.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Protocol

from roadsense.config import Settings
from roadsense.errors import DatasetError, UsageError
from roadsense.scenario.dataset import Dataset, Scenario
from roadsense.scenario.shard import shard
from roadsense.seeding import EpisodeIdentity, EvaluationIdentity, Identity, stream


class Assignment(Settings):
    """The place of an environment in a parallel run, handed out by the driver. Workers and sub-environments count from 0."""

    run_seed: int = 0
    generation: int = 0
    worker: int = 0
    num_workers: int = 1
    sub_environment: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class EpisodePlan:
    """The next episode: who it is and where it drives."""

    identity: Identity
    scenario: Scenario
    training: bool


class EpisodeSource(Protocol):
    """An endless supply of episodes."""

    def next(self) -> EpisodePlan:
        """The next episode."""
        ...


class TrainingEpisodes:
    """Scenarios drawn at random from the worker's shard; the index counts the episodes of this sub-environment.

    `left_out` are ids that are not driven; it may grow meanwhile. An episode that would not have drawn one of them stays as it is.
    """

    def __init__(self, dataset: Dataset, assignment: Assignment, left_out: Collection[str] = ()) -> None:
        self._all = dataset.train
        self._shard = shard(dataset.train, assignment.worker, assignment.num_workers)
        self._assignment = assignment
        self._left_out = left_out
        self._index = 0

    def next(self) -> EpisodePlan:
        """The next episode of this sub-environment; raises DatasetError when every scenario is left out."""
        place = self._assignment
        identity = EpisodeIdentity(
            run_seed=place.run_seed,
            generation=place.generation,
            worker=place.worker,
            sub_environment=place.sub_environment,
            index=self._index,
        )
        self._index += 1
        return EpisodePlan(identity=identity, scenario=self._scenario(identity), training=True)

    def _scenario(self, identity: EpisodeIdentity) -> Scenario:
        draws = stream(identity, "scenario")
        chosen = self._shard[int(draws.integers(len(self._shard)))]
        if chosen.scenario_id not in self._left_out:
            return chosen
        # A worker whose own scenarios are all left out helps with those of the others.
        rest = self._without_left_out(self._shard) or self._without_left_out(self._all)
        if not rest:
            raise DatasetError(f"all {len(self._all)} training scenarios are left out; roadsense check shows what is wrong with them")
        return rest[int(draws.integers(len(rest)))]

    def _without_left_out(self, scenarios: tuple[Scenario, ...]) -> list[Scenario]:
        return [scenario for scenario in scenarios if scenario.scenario_id not in self._left_out]


class EvaluationEpisodes:
    """The fixed list in its fixed order, round after round."""

    def __init__(self, dataset: Dataset) -> None:
        self._dataset = dataset
        self._position = 0

    def next(self) -> EpisodePlan:
        """The next scenario of the list."""
        round_index, place = divmod(self._position, len(self._dataset.eval))
        self._position += 1
        return evaluation_plan(self._dataset, self._dataset.eval[place].scenario_id, round_index)


def evaluation_plan(dataset: Dataset, scenario_id: str, round_index: int) -> EpisodePlan:
    """The evaluation episode of one scenario in one round; the same for every policy."""
    identity = EvaluationIdentity(dataset_hash=dataset.hash, scenario_id=scenario_id, round_index=round_index)
    return EpisodePlan(identity=identity, scenario=_find(dataset.eval, scenario_id), training=False)


def recorded_plan(dataset: Dataset, identity_label: str, scenario_id: str) -> EpisodePlan:
    """The plan of an episode from the two columns that an episode table keeps of it.

    Raises:
        UsageError: the label or scenario is unknown to this dataset.
    """
    kind, _, rest = identity_label.partition(":")
    parts = rest.split("/")
    if kind == "train" and len(parts) == 5 and all(part.isdigit() for part in parts):
        run_seed, generation, worker, sub_environment, index = (int(part) for part in parts)
        identity = EpisodeIdentity(run_seed=run_seed, generation=generation, worker=worker, sub_environment=sub_environment, index=index)
        return EpisodePlan(identity=identity, scenario=_find(dataset.train, scenario_id), training=True)
    if kind == "eval" and len(parts) == 3 and parts[2].isdigit():
        if parts[0] != dataset.hash[:8]:
            raise UsageError(f"episode {identity_label} was played on another dataset than {dataset.hash[:8]}; use the run's own dataset")
        return evaluation_plan(dataset, scenario_id, int(parts[2]))
    raise UsageError(f"{identity_label!r} is no episode identity; take one from the identity column of episodes.parquet")


def _find(scenarios: tuple[Scenario, ...], scenario_id: str) -> Scenario:
    for scenario in scenarios:
        if scenario.scenario_id == scenario_id:
            return scenario
    known = ", ".join(scenario.scenario_id for scenario in scenarios[:3])
    raise UsageError(f"no scenario {scenario_id!r} among {len(scenarios)}; the first ones are {known}")
