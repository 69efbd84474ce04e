"""The process that a soak torments: it resets and steps over the dataset until it is told to end."""

from __future__ import annotations

import ctypes
import os
import signal
import time
from collections.abc import MutableSequence
from dataclasses import dataclass, replace
from enum import IntEnum
from pathlib import Path

import numpy as np

from roadsense.config import SumoSettings
from roadsense.env.convoy_env import ConvoyEnv
from roadsense.env.episodes import Assignment
from roadsense.scenario.dataset import Dataset
from roadsense.seeding import named_stream
from roadsense.training.environment import TrainingEnv

_PR_SET_PDEATHSIG = 1
# Long enough to meet a fault in the middle of an episode, short enough that a minute sees many resets. They are driven to their ends: only
# that tells the environment that a simulator is well again.
_TASK = {"horizon_s": 8.0, "warm_up_s": 2.0}


class Slot(IntEnum):
    """What a worker writes where the driver can see it, even after the worker was killed."""

    EPISODES = 0  # begun
    STEPS = 1
    PID = 2  # of its simulator
    PORT = 3
    STOP = 4  # written by the driver: end in good order
    SIZE = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Which worker this is, and what it drives."""

    dataset_dir: Path
    sumo_json: str
    seed: int
    worker: int
    num_workers: int
    generation: int


def drive(place: Place, board: MutableSequence[float]) -> None:
    """Episode after episode over the worker's share of both splits; `board` is shared memory with `Slot.SIZE` numbers per worker."""
    ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() == 1:
        os._exit(1)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    whole = Dataset.load(place.dataset_dir, verify=False)
    assignment = Assignment(run_seed=place.seed, generation=place.generation, worker=place.worker, num_workers=place.num_workers)
    convoy = ConvoyEnv(
        dataset=replace(whole, train=(*whole.train, *whole.eval)),
        sumo=SumoSettings.model_validate_json(place.sumo_json),
        task=_TASK,
        assignment=assignment,
    )
    env = TrainingEnv(convoy)
    actions = named_stream(place.seed, "soak actions", str(place.worker), str(place.generation))
    first = place.worker * Slot.SIZE
    try:
        while not board[first + Slot.STOP]:
            env.reset()
            if convoy.session is not None:
                board[first + Slot.PID], board[first + Slot.PORT] = convoy.session.pid or 0, convoy.session.port or 0
            board[first + Slot.EPISODES] += 1
            terminated = truncated = False
            while not (terminated or truncated):
                _, _, terminated, truncated, _ = env.step(actions.random(1, dtype=np.float32))
                board[first + Slot.STEPS] += 1
            env.pop_records()
    finally:
        env.close()  # type: ignore[no-untyped-call]


def wait_until_gone(pids: set[int], timeout_s: float) -> set[int]:
    """The processes of these that still run after the time."""
    deadline_s = time.monotonic() + timeout_s
    left = set(pids)
    while left and time.monotonic() < deadline_s:
        left = {pid for pid in left if Path(f"/proc/{pid}").exists()}
        time.sleep(0.05)
    return left
