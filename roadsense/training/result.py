"""Reading RLlib's nested result dictionary, in one place."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, Final

from ray.rllib.utils.metrics import ENV_RUNNER_SAMPLING_TIMER, LEARNER_UPDATE_TIMER, SYNCH_WORKER_WEIGHTS_TIMER, TIMERS

# RLlib's timers of an iteration -> our names
ITERATION_TIMERS: Final = {
    ENV_RUNNER_SAMPLING_TIMER: "sampling_s",
    LEARNER_UPDATE_TIMER: "learning_s",
    SYNCH_WORKER_WEIGHTS_TIMER: "synchronising_s",
}
_MODULE = ("learners", "default_policy")


def learner_figures(result: Mapping[str, Any]) -> dict[str, Any]:
    """The learner's part of `IterationFigures`."""
    return {
        "policy_loss": _number(result, *_MODULE, "policy_loss"),
        "value_loss": _number(result, *_MODULE, "vf_loss"),
        "value_explained_variance": _number(result, *_MODULE, "vf_explained_var"),
        "entropy": _number(result, *_MODULE, "entropy"),
        "learning_rate": _number(result, *_MODULE, "default_optimizer_learning_rate"),
    }


def timing_figures(result: Mapping[str, Any]) -> dict[str, Any]:
    """How the last iteration's time was spent, in seconds."""
    return {name: _number(result, TIMERS, timer) for timer, name in ITERATION_TIMERS.items()}


def _number(result: Mapping[str, Any], *path: str) -> float | None:
    value: Any = result
    for key in path:
        if not isinstance(value, Mapping) or key not in value:
            return None
        value = value[key]
    number = float(value)
    return number if math.isfinite(number) else None
