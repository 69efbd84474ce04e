"""The layout of metrics.json, the same after a training and after an evaluation alone."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Final

LEARNED: Final = "learned"  # the name under which a run's own policy is shown


def metrics_content(
    config: Mapping[str, Any], training: Mapping[str, Any] | None, figures: Mapping[str, Any], run_id: str
) -> dict[str, Any]:
    """The content of metrics.json; the first policy in `figures` is the one that is judged, the others stand beside it."""
    first = next(iter(figures), None)
    return {
        "run_id": run_id,
        "timestamp": datetime.now(UTC).isoformat(timespec="seconds"),
        "config": dict(config),
        "training": dict(training) if training is not None else None,
        "policy": first,
        "evaluation": figures[first] if first is not None else None,
        "references": {name: values for name, values in figures.items() if name != first},
    }
