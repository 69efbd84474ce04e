"""K environments as one: the step of every simulator is begun before the first one is waited for, so they compute side by side."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from gymnasium.vector import AutoresetMode, VectorEnv
from gymnasium.vector.utils import batch_space
from numpy.typing import NDArray

from roadsense.env.privileged import PRIVILEGED_SIZE
from roadsense.peer_set import PRIVILEGED, PeerSet, action_space, cell_array, training_observation_space
from roadsense.training.environment import TrainingEnv, TrainingObservation

BatchObservation = dict[str, NDArray[Any]]


@dataclass(slots=True, kw_only=True)
class VectorStep:
    """What a step of K environments gave: observations and rewards in K rows, and the few rows that did not just go on, in ascending order.

    Where an episode had ended before, the row is one of `reset_rows` and its observation is the first of the next one.
    """

    ego: NDArray[np.float32]
    peers: list[PeerSet]
    privileged: NDArray[np.float32]
    reward: NDArray[np.float64]
    reset_rows: list[int]
    ended: list[tuple[int, bool]]  # row, and whether its episode terminated; otherwise it was truncated


class ConvoyVectorEnv(VectorEnv[BatchObservation, NDArray[np.float32], NDArray[Any]]):
    """Gymnasium's vector environment over K training environments; an episode that has ended is followed by the next one a step later.

    Episodes are the same as with `SyncVectorEnv`: an environment knows nothing of the others.
    """

    def __init__(self, envs: Sequence[TrainingEnv]) -> None:
        self.envs = tuple(envs)
        self.num_envs = len(self.envs)
        self.metadata = {"autoreset_mode": AutoresetMode.NEXT_STEP}
        self.single_observation_space = training_observation_space(PRIVILEGED_SIZE)
        self.single_action_space = action_space()
        self.observation_space = batch_space(self.single_observation_space, self.num_envs)
        self.action_space = batch_space(self.single_action_space, self.num_envs)
        self._ended_rows: list[int] = []

    def reset(
        self,
        *,
        seed: int | list[int | None] | None = None,  # noqa: ARG002 - Gymnasium's signature; streams follow from the assigned identities
        options: dict[str, Any] | None = None,
    ) -> tuple[BatchObservation, dict[str, Any]]:
        """Start an episode in every environment."""
        observations = [env.reset(options=options)[0] for env in self.envs]
        self._ended_rows = []
        ego_KE, peers_K, privileged_KP = _batched(observations)
        return {"ego": ego_KE, "peers": cell_array(peers_K), PRIVILEGED: privileged_KP}, {}

    def step(
        self, actions: NDArray[np.float32]
    ) -> tuple[BatchObservation, NDArray[np.float64], NDArray[np.bool_], NDArray[np.bool_], dict[str, Any]]:
        """Gymnasium's step."""
        done = self.drive(actions)
        observation = {"ego": done.ego, "peers": cell_array(done.peers), PRIVILEGED: done.privileged}
        terminated_K, truncated_K = np.zeros((2, self.num_envs), dtype=np.bool_)
        for row, terminated in done.ended:
            terminated_K[row], truncated_K[row] = terminated, not terminated
        return observation, done.reward, terminated_K, truncated_K, {}

    def drive(self, actions_K1: NDArray[np.float32]) -> VectorStep:
        """The same without Gymnasium's dress."""
        reset_rows = self._ended_rows
        driven = [(env, action) for row, (env, action) in enumerate(zip(self.envs, actions_K1, strict=True)) if row not in reset_rows]
        for env, action in driven:
            env.begin_step(action)
        # First every simulator, then every environment: mixed, each would find the caches full of the others' code and data.
        for env, _ in driven:
            env.await_step()
        observations: list[TrainingObservation] = []
        rewards: list[float] = []
        ended: list[tuple[int, bool]] = []
        for row, env in enumerate(self.envs):
            if row in reset_rows:
                observation, reward = env.reset()[0], 0.0
            else:
                observation, reward, terminated, truncated, _ = env.finish_step()
                if terminated or truncated:
                    ended.append((row, terminated))
            observations.append(observation)
            rewards.append(reward)
        self._ended_rows = [row for row, _ in ended]
        ego_KE, peers_K, privileged_KP = _batched(observations)
        return VectorStep(
            ego=ego_KE,
            peers=peers_K,
            privileged=privileged_KP,
            reward=np.array(rewards, dtype=np.float64),
            reset_rows=reset_rows,
            ended=ended,
        )

    def close_extras(self, **_kwargs: Any) -> None:
        """End every simulator."""
        for env in self.envs:
            env.close()  # type: ignore[no-untyped-call]


def _batched(observations: list[TrainingObservation]) -> tuple[NDArray[np.float32], list[PeerSet], NDArray[np.float32]]:
    ego_KE = np.array([observation["ego"] for observation in observations])
    privileged_KP = np.array([observation["privileged"] for observation in observations])
    return ego_KE, [observation["peers"] for observation in observations], privileged_KP
