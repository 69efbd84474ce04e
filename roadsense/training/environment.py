"""The environment as training needs it: a failure costs one episode, and every finished episode is remembered."""

from __future__ import annotations

from typing import Any, cast

import gymnasium
import numpy as np
from numpy.typing import NDArray

from roadsense.env.convoy_env import ConvoyEnv
from roadsense.env.episodes import Assignment
from roadsense.env.observation import Observation
from roadsense.env.outcome import Outcome
from roadsense.env.privileged import PRIVILEGED_SIZE, Privileged
from roadsense.env.record import EpisodeRecord
from roadsense.env.task import ConvoyEpisode
from roadsense.errors import UsageError
from roadsense.peer_set import training_observation_space
from roadsense.training.faults import ScenarioFaults

# Beyond this many failures in a row the cause is not a passing one, and going on would only hide it.
_MAX_CONSECUTIVE_FAULTS = 5


class TrainingObservation(Observation):
    """What the policy observes, and `privileged`: float32 (P,) for the critic alone."""

    privileged: NDArray[np.float32]


class TrainingEnv(gymnasium.Wrapper[TrainingObservation, NDArray[np.float32], Observation, NDArray[np.float32]]):
    """Adds what the critic is told. Whatever fails in a step truncates the episode, whatever fails in a reset costs it.

    Not SUMO's failures alone: a user's own hazard or reward term may raise as well. A scenario that fails again and again is drawn no more.

    Args:
        env: the task.
        faults: where failures are counted; a worker's environments share one.

    Raises:
        Exception: the fifth failure in a row, as it came.
    """

    def __init__(self, env: ConvoyEnv, faults: ScenarioFaults | None = None) -> None:
        super().__init__(env)
        self._convoy = env
        self._faults = ScenarioFaults() if faults is None else faults
        self.observation_space = cast("gymnasium.Space[TrainingObservation]", training_observation_space(PRIVILEGED_SIZE))
        self._records: list[EpisodeRecord] = []
        self._consecutive_faults = 0
        self._last_observation: TrainingObservation | None = None
        self._stepping: ConvoyEpisode | None = None
        self._privileged: Privileged
        self._failure: Exception | None = None

    def assign(self, assignment: Assignment) -> None:
        """Take a place in the run; see `ConvoyEnv.assign`."""
        self._convoy.assign(assignment)

    def pop_records(self) -> list[EpisodeRecord]:
        """The episodes finished since the last call."""
        records, self._records = self._records, []
        return records

    def reset(
        self,
        *,
        seed: int | None = None,  # noqa: ARG002 - Gymnasium's signature
        options: dict[str, Any] | None = None,
    ) -> tuple[TrainingObservation, dict[str, Any]]:
        """Start the next episode that can be driven. RLlib's seed is ignored: streams follow from the assigned identity."""
        while True:
            self._convoy.leave_out(self._faults.quarantined)
            try:
                observation, _ = self._convoy.reset(options=options)
            except Exception as error:
                self._count_fault(error)
            else:
                self._privileged = Privileged(self._running())
                self._last_observation = self._told(observation)
                return self._last_observation, {}

    def step(self, action: NDArray[np.float32]) -> tuple[TrainingObservation, float, bool, bool, dict[str, Any]]:
        """Step; infos stay empty because the vector environment would copy them in every step."""
        self.begin_step(action)
        return self.finish_step()

    def begin_step(self, action: NDArray[np.float32]) -> None:
        """First half of `step`; a failure here is told of by the second half.

        Raises:
            UsageError: no episode is running.
        """
        self._stepping = self._running()
        self._failure = None
        try:
            self._convoy.begin_step(action)
        except Exception as error:
            self._failure = error

    def await_step(self) -> None:
        """Between the halves: wait for SUMO; a failure here, too, is told of by the second half."""
        if self._failure is None:
            try:
                self._convoy.await_step()
            except Exception as error:
                self._failure = error

    def finish_step(self) -> tuple[TrainingObservation, float, bool, bool, dict[str, Any]]:
        """Second half of `step`."""
        if self._failure is not None:
            return self._after_fault(self._failure)
        try:
            observation, reward, outcome, record = self._convoy.conclude_step()
            told = self._last_observation = self._told(observation)
        except Exception as error:
            return self._after_fault(error)
        if outcome is None or record is None:
            return told, reward, False, False, {}
        self._records.append(record)
        self._faults.finished(record.scenario_id)
        self._consecutive_faults = 0
        return told, reward, outcome.is_terminal, not outcome.is_terminal, {}

    def _after_fault(self, error: Exception) -> tuple[TrainingObservation, float, bool, bool, dict[str, Any]]:
        self._count_fault(error)
        if self._stepping is not None:
            self._records.append(self._stepping.record(Outcome.FAULT))
        if self._last_observation is None:
            raise error
        return self._last_observation, 0.0, False, True, {}

    def _told(self, observation: Observation) -> TrainingObservation:
        return {"ego": observation["ego"], "peers": observation["peers"], "privileged": self._privileged.entries(self._convoy.state)}

    def _running(self) -> ConvoyEpisode:
        episode = self._convoy.episode
        if episode is None:
            raise UsageError("step() was called without a running episode; call reset() first")
        return episode

    def _count_fault(self, error: Exception) -> None:
        plan = self._convoy.plan
        self._faults.failed(None if plan is None else plan.scenario.scenario_id, error)
        self._consecutive_faults += 1
        if self._consecutive_faults >= _MAX_CONSECUTIVE_FAULTS:
            self._consecutive_faults = 0  # whoever catches this may try again
            raise error
