"""Scenario ids that say what they are, for example `train_017_highway_fast_dense_aggressive_n5`.

The words follow from what was drawn, and their limits stand only here:

- density, from the factor on the flows: below 0.9 `sparse`, up to 1.1 `medium`, above `dense`;
- driving style, from the convoy's drivers: how fast and how close they drive, each as a share of its range, averaged over all cars: below
  0.44 `calm`, up to 0.56 `normal`, above `aggressive`.

A base without flows has no density, one without a convoy neither style nor peer count: these words are left out.
"""

from __future__ import annotations

from statistics import fmean
from typing import Final

from roadsense.scenario.convoy import SPEED_FACTOR_RANGE, Convoy
from roadsense.scenario.convoy_settings import ConvoySettings

DENSITY_LIMITS: Final = (0.9, 1.1)
STYLE_LIMITS: Final = (0.44, 0.56)
_DENSITIES: Final = ("sparse", "medium", "dense")
_STYLES: Final = ("calm", "normal", "aggressive")


def density_word(flow_factor: float | None) -> str | None:
    """The word for the factor on the flows; None where there are none."""
    return None if flow_factor is None else _word(flow_factor, DENSITY_LIMITS, _DENSITIES)


def style_word(convoy: Convoy | None, settings: ConvoySettings | None) -> str | None:
    """The word for the drivers of a convoy; None where there is none."""
    if convoy is None or settings is None:
        return None
    haste = fmean(_share(car.speed_factor, SPEED_FACTOR_RANGE) for car in convoy.cars)
    closeness = fmean(1 - _share(car.headway_s, settings.headway_s) for car in convoy.cars)
    return _word((haste + closeness) / 2, STYLE_LIMITS, _STYLES)


def scenario_id(stem: str, density: str | None, style: str | None, peer_count: int | None) -> str:
    """The id: the stem (split, number, base), and the words there are."""
    return "_".join(filter(None, (stem, density, style, None if peer_count is None else f"n{peer_count}")))


def _word(value: float, limits: tuple[float, float], words: tuple[str, str, str]) -> str:
    return words[0] if value < limits[0] else words[1] if value <= limits[1] else words[2]


def _share(value: float, limits: tuple[float, float]) -> float:
    low, high = limits
    return (value - low) / (high - low) if high > low else 0.5
