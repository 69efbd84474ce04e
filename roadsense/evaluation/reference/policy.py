"""What a policy is, and what a privileged one may see besides the observation."""

from __future__ import annotations

from typing import Protocol, runtime_checkable

import numpy as np

from roadsense.env.observation import Observation
from roadsense.env.task import ConvoyEpisode
from roadsense.errors import UsageError
from roadsense.state import SimulatorState


@runtime_checkable
class Policy(Protocol):
    """Maps an observation to the fraction of full braking in [0, 1]; built once per process and told of every new episode."""

    def begin(self, rng: np.random.Generator, /) -> None:
        """A new episode starts; `rng` is the episode's own stream for policies that draw."""
        ...

    def __call__(self, observation: Observation, /) -> float:
        """The action for this observation."""
        ...


class TrueWorld(Protocol):
    """What lies behind the observation; `ConvoyEnv` is one."""

    @property
    def state(self) -> SimulatorState:
        """The true state at the next decision."""
        ...

    @property
    def episode(self) -> ConvoyEpisode | None:
        """The running episode, or None between two episodes."""
        ...


@runtime_checkable
class PrivilegedPolicy(Policy, Protocol):
    """A policy that looks behind the observation: it measures what a sensor or foresight would be worth, and is never a competitor."""

    def attach(self, world: TrueWorld, /) -> None:
        """Called after the reset and before the first decision of every episode."""
        ...


class Attached:
    """Base of the privileged reference policies: keeps the world that it was attached to."""

    _world: TrueWorld | None = None

    def attach(self, world: TrueWorld, /) -> None:
        """Look at this world from now on."""
        self._world = world

    def _truth(self) -> tuple[SimulatorState, ConvoyEpisode]:
        """The true state and the running episode; raises `UsageError` when there is none to look at."""
        if self._world is None:
            raise UsageError(f"{type(self).__name__} decides without an environment; call attach(env) after each reset")
        episode = self._world.episode
        if episode is None:
            raise UsageError(f"{type(self).__name__} decides while no episode is running; reset the environment first")
        return self._world.state, episode
