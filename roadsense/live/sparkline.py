"""A series as one line of blocks."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np

BLOCKS: Final = "▁▂▃▄▅▆▇█"
ASCII_BLOCKS: Final = "_.-=+*%#"  # for terminals that know no other letters


def sparkline(values: Sequence[float | None], width: int, blocks: str = BLOCKS) -> str:
    """The whole series in at most `width` letters, each the mean of an equal share of it; a share without a value is a space.

    The lowest mean is the lowest block and the highest mean the highest one; a series that does not move is a low line.
    """
    means = _means(values, width)
    known = means[np.isfinite(means)]
    if not known.size:
        return ""
    low, span = known.min(), known.max() - known.min()
    # Where nothing moves but the last bits, there is nothing to see.
    steps = (means - low) / span * (len(blocks) - 1) if span > 1e-12 * max(1.0, abs(low)) else 0 * means
    return "".join(blocks[round(step)] if np.isfinite(step) else " " for step in steps)


def _means(values: Sequence[float | None], width: int) -> np.ndarray:
    series = np.array([np.nan if value is None else value for value in values], dtype=np.float64)
    series[~np.isfinite(series)] = np.nan
    if width < 1 or not series.size:
        return np.empty(0)
    parts = np.array_split(series, min(width, series.size))
    return np.array([part[np.isfinite(part)].mean() if np.isfinite(part).any() else np.nan for part in parts])
