"""Reading RLlib's nested result dictionary, in one place."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

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
    """How the iteration's time was spent, in seconds."""
    return {
        "sampling_s": _number(result, "timers", "env_runner_sampling_timer"),
        "learning_s": _number(result, "timers", "learner_update_timer"),
    }


def _number(result: Mapping[str, Any], *path: str) -> float | None:
    value: Any = result
    for key in path:
        if not isinstance(value, Mapping) or key not in value:
            return None
        value = value[key]
    number = float(value)
    return number if math.isfinite(number) else None
