"""Sparse random braking: what braking now and then is worth when it has nothing to do with danger.

A burst begins with probability 0.01 per step, ends with probability 0.1 per step, and brakes with one amount drawn from U(0.1, 1) at its
beginning: about 1 / 11 of all steps, in bursts of a second. Braking at random in every step would just park the car.
"""

from __future__ import annotations

from typing import Final

import numpy as np

from roadsense.env.observation import Observation


class RandomBursts:
    """Brakes at random in rare bursts of about a second."""

    _START_PROBABILITY: Final = 0.01
    _STOP_PROBABILITY: Final = 0.1
    _LEAST_AMOUNT: Final = 0.1

    def __init__(self) -> None:
        self.begin(np.random.default_rng(0))

    def begin(self, rng: np.random.Generator, /) -> None:
        """Start outside a burst."""
        self._rng = rng
        self._amount = 0.0

    def __call__(self, _observation: Observation, /) -> float:
        """0 outside a burst; inside, the amount drawn at its beginning."""
        if self._amount > 0:
            if self._rng.random() < self._STOP_PROBABILITY:
                self._amount = 0.0
        elif self._rng.random() < self._START_PROBABILITY:
            self._amount = float(self._rng.uniform(self._LEAST_AMOUNT, 1.0))
        return self._amount
