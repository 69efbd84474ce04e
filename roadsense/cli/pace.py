"""Simulated time at the pace of a watch: SUMO alone would be done in a second."""

from __future__ import annotations

import time

from roadsense.config import STEP_LENGTH_S


class Pace:
    """Called once per step, waits until the step's moment has come; a viewer who is slower is never hurried to catch up.

    Args:
        speed: times real time.
    """

    def __init__(self, speed: float) -> None:
        self._step_s = STEP_LENGTH_S / speed
        self._due_s = 0.0

    def __call__(self) -> None:
        """Wait for the next step."""
        now_s = time.monotonic()
        if self._due_s > now_s:
            time.sleep(self._due_s - now_s)
        self._due_s = max(self._due_s, now_s) + self._step_s
