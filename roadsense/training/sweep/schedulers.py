"""Who goes on: Tune's schedulers, with the base configuration left alone and, of successive halving, the rungs kept over a resume."""

from __future__ import annotations

import random
from typing import Any

import numpy as np
from ray.tune.schedulers import AsyncHyperBandScheduler, FIFOScheduler, PopulationBasedTraining, TrialScheduler

from roadsense.seeding import named_stream
from roadsense.training.sweep.files import BASE_PREFIX
from roadsense.training.sweep.live import from_live
from roadsense.training.sweep.settings import SweepSettings
from roadsense.training.sweep.trial import OBJECTIVE, TIMESTEPS


class Halving(AsyncHyperBandScheduler):
    """Asynchronous successive halving: at a rung a trial is stopped unless it is among the best 1/reduction that have been there.

    The base configuration is never stopped, because its spread over seeds is asked for at every rung; its results count for the others.
    """

    def on_trial_result(self, tune_controller: Any, trial: Any, result: dict[str, Any]) -> str:
        """Tune's decision."""
        action = super().on_trial_result(tune_controller, trial, result)
        return str(TrialScheduler.CONTINUE if str(trial).startswith(BASE_PREFIX) else action)

    def __reduce__(self) -> Any:
        """Tune keeps its own copy for a resume, of how it was at the start; there the one of that process is wanted."""
        return from_live, ("scheduler",)


class Population(PopulationBasedTraining):
    """Population based training; the base configuration neither clones nor is cloned."""

    def on_trial_result(self, tune_controller: Any, trial: Any, result: dict[str, Any]) -> str:
        """Tune's decision."""
        if str(trial).startswith(BASE_PREFIX):
            return str(TrialScheduler.CONTINUE)
        action: str = super().on_trial_result(tune_controller, trial, result)
        return action

    def __reduce__(self) -> Any:
        """As of `Halving`."""
        return from_live, ("scheduler",)


class Explorer:
    """Changes a configuration that is taken over: the draws are of a named stream, and counted."""

    def __init__(self, settings: SweepSettings, session: int) -> None:
        self._settings = settings
        self._rng: np.random.Generator = named_stream(settings.seed, "sweep", "exploration", str(session))

    def __call__(self, config: dict[str, Any]) -> dict[str, Any]:
        """The next configuration."""
        trial = config["trial"]
        return config | {"trial": trial | {"drawn": self._settings.space.moved(trial["drawn"], self._rng)}}


def scheduler_of(settings: SweepSettings, session: int) -> Any:
    """The scheduler of a sweep.

    Args:
        settings: the sweep.
        session: 0, and one more after every resume, so that no draw is repeated.
    """
    if settings.algorithm == "random":
        return FIFOScheduler()
    if settings.algorithm == "asha":
        return Halving(
            time_attr=TIMESTEPS,
            metric=OBJECTIVE,
            mode="min",
            max_t=settings.total_timesteps,
            grace_period=settings.rungs[0],
            reduction_factor=settings.reduction,
        )
    # Tune picks whom to clone with the global generator.
    random.seed(int(named_stream(settings.seed, "sweep", "cloning", str(session)).integers(2**63)))
    return Population(
        time_attr=TIMESTEPS,
        metric=OBJECTIVE,
        mode="min",
        perturbation_interval=settings.rungs[0],
        custom_explore_fn=Explorer(settings, session),
        require_attrs=False,
        log_config=False,
    )
