"""The layout of metrics.json, the same after a training and after an evaluation alone."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Final

from roadsense.evaluation.judgement import Judgement

LEARNED: Final = "learned"  # the name under which a run's own policy is shown


def metrics_content(
    config: Mapping[str, Any], training: Mapping[str, Any] | None, judgement: Judgement | None, run_id: str
) -> dict[str, Any]:
    """The content of metrics.json: the judged policy, the others beside it, and the judged one against each of them."""
    return {
        "run_id": run_id,
        "timestamp": datetime.now(UTC).isoformat(timespec="seconds"),
        "config": dict(config),
        "training": dict(training) if training is not None else None,
    } | evaluation_content(judgement)


def evaluation_content(judgement: Judgement | None) -> dict[str, Any]:
    """What metrics.json says of the evaluation; null and empty where nothing was evaluated."""
    if judgement is None:
        return {"policy": None, "evaluation": None, "references": {}, "paired": []}
    return {
        "policy": judgement.judged,
        "evaluation": judgement.figures[judgement.judged],
        "references": {name: values for name, values in judgement.figures.items() if name != judgement.judged},
        "paired": judgement.paired,
    }
