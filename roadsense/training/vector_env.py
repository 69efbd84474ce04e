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


@dataclass(frozen=True, slots=True, kw_only=True)
class VectorStep:
    """What a step of K environments gave; peers as a list, everything else as arrays of K rows.

    Where an episode had ended before, `was_reset` is true and the observation is the first of the next one.
    """

    ego: NDArray[np.float32]
    peers: list[PeerSet]
    privileged: NDArray[np.float32]
    reward: NDArray[np.float64]
    terminated: NDArray[np.bool_]
    truncated: NDArray[np.bool_]
    was_reset: NDArray[np.bool_]


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
        self._ended_K = np.zeros(self.num_envs, dtype=np.bool_)

    def reset(
        self,
        *,
        seed: int | list[int | None] | None = None,  # noqa: ARG002 - Gymnasium's signature; streams follow from the assigned identities
        options: dict[str, Any] | None = None,
    ) -> tuple[BatchObservation, dict[str, Any]]:
        """Start an episode in every environment."""
        observations = [env.reset(options=options)[0] for env in self.envs]
        self._ended_K[:] = False
        ego_KE, peers_K, privileged_KP = _batched(observations)
        return {"ego": ego_KE, "peers": cell_array(peers_K), PRIVILEGED: privileged_KP}, {}

    def step(
        self, actions: NDArray[np.float32]
    ) -> tuple[BatchObservation, NDArray[np.float64], NDArray[np.bool_], NDArray[np.bool_], dict[str, Any]]:
        """Gymnasium's step."""
        done = self.drive(actions)
        observation = {"ego": done.ego, "peers": cell_array(done.peers), PRIVILEGED: done.privileged}
        return observation, done.reward, done.terminated, done.truncated, {}

    def drive(self, actions_K1: NDArray[np.float32]) -> VectorStep:
        """The same without Gymnasium's dress."""
        was_reset_K = self._ended_K
        for env, ended, action in zip(self.envs, was_reset_K, actions_K1, strict=True):
            if not ended:
                env.begin_step(action)
        # First every simulator, then every environment: mixed, each would find the caches full of the others' code and data.
        for env, ended in zip(self.envs, was_reset_K, strict=True):
            if not ended:
                env.await_step()
        observations: list[TrainingObservation] = []
        reward_K = np.zeros(self.num_envs)
        terminated_K, truncated_K = np.zeros((2, self.num_envs), dtype=np.bool_)
        for row, (env, ended) in enumerate(zip(self.envs, was_reset_K, strict=True)):
            if ended:
                observations.append(env.reset()[0])
            else:
                observation, reward_K[row], terminated_K[row], truncated_K[row], _ = env.finish_step()
                observations.append(observation)
        self._ended_K = terminated_K | truncated_K
        ego_KE, peers_K, privileged_KP = _batched(observations)
        return VectorStep(
            ego=ego_KE,
            peers=peers_K,
            privileged=privileged_KP,
            reward=reward_K,
            terminated=terminated_K,
            truncated=truncated_K,
            was_reset=was_reset_K,
        )

    def close_extras(self, **_kwargs: Any) -> None:
        """End every simulator."""
        for env in self.envs:
            env.close()  # type: ignore[no-untyped-call]


def _batched(observations: list[TrainingObservation]) -> tuple[NDArray[np.float32], list[PeerSet], NDArray[np.float32]]:
    ego_KE, privileged_KP = (np.array([observation[name] for observation in observations]) for name in ("ego", "privileged"))
    return ego_KE, [observation["peers"] for observation in observations], privileged_KP
