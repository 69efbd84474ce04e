"""A fragment of experience, collected in arrays and cut into RLlib's episodes at its end.

RLlib's env runner appends every number of every step to lists of its own and walks nested structures for each; here a step costs a few
appends per runner, and an episode is a slice of arrays. The episodes are the same (tests/training/test_fragment.py).

Shape suffixes: T ticks of the fragment, K environments, E ego features,
P entries for the critic.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from ray.rllib.core.columns import Columns
from ray.rllib.env.single_agent_episode import SingleAgentEpisode
from ray.rllib.env.utils.infinite_lookback_buffer import InfiniteLookbackBuffer
from ray.rllib.utils.metrics import WEIGHTS_SEQ_NO

from roadsense.peer_set import PRIVILEGED, PeerSet
from roadsense.training.vector_env import ConvoyVectorEnv

# (ego_KE, peers_K) -> actions (K, 1) and action parameters (K, 3)
Act = Callable[[NDArray[np.float32], list[PeerSet]], tuple[NDArray[np.float32], NDArray[np.float32]]]
# action parameters (N, 3) and actions (N, 1) -> log densities (N,)
LogDensity = Callable[[NDArray[np.float32], NDArray[np.float32]], NDArray[np.float32]]

# The column of an episode that says in which steps its action was drawn; it is missing where all of them were.
DRAWN: Final = "drawn"


@dataclass(frozen=True, slots=True, kw_only=True)
class Fragment:
    """Finished episodes (or their last pieces) in the order of their ends, then the pieces of those that go on, by environment."""

    finished: list[SingleAgentEpisode]
    ongoing: list[SingleAgentEpisode]
    steps: int


@dataclass(slots=True)
class _Piece:
    """The part of one environment's present episode that lies in the present fragment."""

    episode_id: str
    begin: int  # tick of its first observation
    t_started: int = 0  # steps of the episode before it


@dataclass(slots=True)
class _Ticks:
    """One entry per tick, of observations one more, each with K rows."""

    ego: list[NDArray[np.float32]]
    peers: list[list[PeerSet]]
    privileged: list[NDArray[np.float32]]
    action: list[NDArray[np.float32]] = field(default_factory=list)
    parameters: list[NDArray[np.float32]] = field(default_factory=list)
    reward: list[NDArray[np.float64]] = field(default_factory=list)
    drawn: list[NDArray[np.bool_]] = field(default_factory=list)  # empty where every action is


class Collector:
    """Drives a vector environment fragment by fragment; episodes go on from one to the next."""

    def __init__(self, env: ConvoyVectorEnv) -> None:
        self._env = env
        observations, _ = env.reset()
        self._ego_KE: NDArray[np.float32] = observations["ego"]
        self._peers_K: list[PeerSet] = list(observations["peers"])
        self._privileged_KP: NDArray[np.float32] = observations[PRIVILEGED]
        self._pieces = [_Piece(_new_id(), 0) for _ in range(env.num_envs)]
        self._kept_K1 = np.zeros((env.num_envs, 1), dtype=np.float32)

    def collect(self, least_steps: int, act: Act, log_density: LogDensity, weights_seq_no: int, *, repeat: int = 1) -> Fragment:
        """Step all environments until together they have made `least_steps` steps or a few more; a reset is no step.

        In the steps 0, `repeat`, 2 `repeat`, ... of an episode its action is that of `act`, in those between it is the one before. Then
        the episodes have a further column `DRAWN`.
        """
        ticks = _Ticks([self._ego_KE], [self._peers_K], [self._privileged_KP])
        steps = 0
        closed: list[tuple[int, _Piece, int, bool | None]] = []  # environment, piece, tick of its last observation, terminated?
        while steps < least_steps:
            action_K1, parameters_K3 = act(self._ego_KE, self._peers_K)
            if repeat > 1:
                tick = len(ticks.action)
                drawn_K = np.array([(piece.t_started + tick - piece.begin) % repeat == 0 for piece in self._pieces])
                action_K1 = self._kept_K1 = np.where(drawn_K[:, None], action_K1, self._kept_K1)
                ticks.drawn.append(drawn_K)
            done = self._env.drive(action_K1)
            self._ego_KE, self._peers_K, self._privileged_KP = done.ego, done.peers, done.privileged
            ticks.ego.append(done.ego)
            ticks.peers.append(done.peers)
            ticks.privileged.append(done.privileged)
            ticks.action.append(action_K1)
            ticks.parameters.append(parameters_K3)
            ticks.reward.append(done.reward)
            now = len(ticks.action)
            steps += self._env.num_envs - len(done.reset_rows)
            for row in done.reset_rows:
                self._pieces[row] = _Piece(_new_id(), now)
            closed += [(row, self._pieces[row], now, terminated) for row, terminated in done.ended]
        last = len(ticks.action)
        is_closed = {id(piece) for _, piece, _, _ in closed}
        going_on = [(row, piece, last, None) for row, piece in enumerate(self._pieces) if id(piece) not in is_closed and last > piece.begin]
        cut = _Cutter(ticks, log_density, weights_seq_no, self._env)
        finished, ongoing = [cut.episode(*piece) for piece in closed], [cut.episode(*piece) for piece in going_on]
        for _, piece, end, _ in going_on:
            piece.t_started += end - piece.begin
        for piece in self._pieces:
            piece.begin = 0
        return Fragment(finished=finished, ongoing=ongoing, steps=steps)


class _Cutter:
    """Cuts episodes out of a fragment's arrays."""

    def __init__(self, ticks: _Ticks, log_density: LogDensity, weights_seq_no: int, env: ConvoyVectorEnv) -> None:
        self._ego_TKE = np.stack(ticks.ego)
        self._privileged_TKP = np.stack(ticks.privileged)
        self._peers_TK = np.empty((len(ticks.peers), env.num_envs), dtype=object)
        for tick, peers_K in enumerate(ticks.peers):
            self._peers_TK[tick] = peers_K
        self._action_TK1 = np.stack(ticks.action)
        self._parameters_TK3 = np.stack(ticks.parameters)
        self._reward_TK = np.stack(ticks.reward)
        self._drawn_TK = np.stack(ticks.drawn) if ticks.drawn else None
        flat = log_density(self._parameters_TK3.reshape(-1, self._parameters_TK3.shape[-1]), self._action_TK1.reshape(-1, 1))
        self._logp_TK = flat.reshape(self._reward_TK.shape)
        self._weights_seq_no = weights_seq_no
        self._env = env

    def episode(self, row: int, piece: _Piece, end: int, terminated: bool | None) -> SingleAgentEpisode:
        """The steps from the piece's begin to the tick `end`; `terminated` is None when the episode goes on."""
        seen, acted = slice(piece.begin, end + 1), slice(piece.begin, end)
        outputs = {
            Columns.ACTION_DIST_INPUTS: self._parameters_TK3[acted, row],
            Columns.ACTION_LOGP: self._logp_TK[acted, row],
            WEIGHTS_SEQ_NO: np.full(end - piece.begin, self._weights_seq_no),
        }
        if self._drawn_TK is not None:
            outputs[DRAWN] = self._drawn_TK[acted, row]
        return SingleAgentEpisode(
            id_=piece.episode_id,
            observations=_buffer(
                {"ego": self._ego_TKE[seen, row], "peers": self._peers_TK[seen, row], PRIVILEGED: self._privileged_TKP[seen, row]}
            ),
            observation_space=self._env.single_observation_space,
            actions=_buffer(self._action_TK1[acted, row]),
            action_space=self._env.single_action_space,
            rewards=_buffer(self._reward_TK[acted, row]),
            extra_model_outputs={name: _buffer(values) for name, values in outputs.items()},
            terminated=terminated is True,
            truncated=terminated is False,
            t_started=piece.t_started,
            len_lookback_buffer=0,
        )


def _buffer(data: Any) -> InfiniteLookbackBuffer:
    return InfiniteLookbackBuffer(data=data)


def _new_id() -> str:
    return uuid.uuid4().hex
