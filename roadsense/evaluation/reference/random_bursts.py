"""Sparse random braking: what braking now and then is worth when it has nothing to do with danger.

A burst begins with probability 0.01 per step, brakes with one amount drawn from U(0.1, 1) at its beginning, and ends with probability 0.1
per step: about 1 / 11 of all steps, in bursts of a second. Braking at random in every step would just park the car.
"""

from __future__ import annotations

from typing import Final

import numpy as np

from roadsense.env.observation import Observation


class Burst:
    """A burst of braking with a drawn amount and a drawn length; over before it is begun."""

    _STOP_PROBABILITY: Final = 0.1
    _LEAST_AMOUNT: Final = 0.1

    def __init__(self, rng: np.random.Generator) -> None:
        self._rng = rng
        self.amount = 0.0  # fraction of full braking in this step; 0 outside a burst

    def begin(self) -> None:
        """The next step brakes."""
        self.amount = float(self._rng.uniform(self._LEAST_AMOUNT, 1.0))

    def go_on(self) -> None:
        """One step later: perhaps it is over."""
        if self._rng.random() < self._STOP_PROBABILITY:
            self.amount = 0.0


class RandomBursts:
    """Brakes at random in rare bursts of about a second."""

    _START_PROBABILITY: Final = 0.01

    def __init__(self) -> None:
        self.begin(np.random.default_rng(0))

    def begin(self, rng: np.random.Generator, /) -> None:
        """Start outside a burst."""
        self._rng = rng
        self._burst = Burst(rng)

    def __call__(self, _observation: Observation, /) -> float:
        """The burst's amount; 0 outside."""
        if self._burst.amount > 0:
            self._burst.go_on()
        elif self._rng.random() < self._START_PROBABILITY:
            self._burst.begin()
        return self._burst.amount
