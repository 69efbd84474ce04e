"""Speed, collisions, faults and cost of a training as Ray's own metrics: on the dashboard, and for Prometheus.

Set in the driver, whose core worker exports them like that of any other process. With a broken exporter a training goes on all the same.
"""

from __future__ import annotations

import logging
from typing import Any, Final

from roadsense.artifacts.cost import cost_so_far
from roadsense.training.figures import IterationFigures

_LOG: Final = logging.getLogger(__name__)
_GAUGES: Final = {
    "roadsense_timesteps": "environment steps so far",
    "roadsense_steps_per_s": "environment steps per second of the last iteration",
    "roadsense_collision_rate": "share of the last 100 episodes that ended in a collision",
    "roadsense_sumo_restarts": "episodes so far that a failing simulator ended",
    "roadsense_worker_restarts": "env runners that were restarted so far",
    "roadsense_cost_usd": "cost of the launch so far, in USD",
}


def metric_values(figures: IterationFigures) -> dict[str, float]:
    """Name of the metric -> value; what is not known yet is left out."""
    cost = cost_so_far()
    values = {
        "roadsense_timesteps": figures.timesteps,
        "roadsense_steps_per_s": figures.steps_per_s,
        "roadsense_collision_rate": figures.collision_rate,
        "roadsense_sumo_restarts": figures.faults,
        "roadsense_worker_restarts": figures.worker_restarts,
        "roadsense_cost_usd": None if cost is None else cost.cost_usd,
    }
    return {name: float(value) for name, value in values.items() if value is not None}


class RayMetrics:
    """Publishes the figures of iterations."""

    def __init__(self) -> None:
        self._gauges: dict[str, Any] = {}
        self._broken = False

    def publish(self, figures: IterationFigures) -> None:
        """Set every gauge; the first failure is the last attempt."""
        if self._broken:
            return
        try:
            import ray
            from ray.util.metrics import Gauge

            if not ray.is_initialized():
                return
            for name, value in metric_values(figures).items():
                if name not in self._gauges:
                    self._gauges[name] = Gauge(name, description=_GAUGES[name])
                self._gauges[name].set(value)
        except Exception as problem:
            self._broken = True
            _LOG.warning("figures do not reach Ray's metrics: %s", problem)
