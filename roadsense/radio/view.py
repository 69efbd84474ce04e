"""A look at the radio from outside: for recordings and figures, never for the agent."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True, kw_only=True)
class RadioView:
    """What happened on the air in one period.

    Attributes:
        ids: the n cars that broadcast, the ego first.
        fates: (n, m), by sender and receiver, the receivers being the first m of `ids`: `DELIVERED`, `LOST` or `OUT_OF_RANGE` of
            `roadsense.radio.links`. m is 1, the ego alone, where nobody forwards. A car's link to itself means nothing.
        links: source -> fewest links over which the newest measurement that the ego has of it came; 0 for one that it never heard.
    """

    ids: tuple[str, ...]
    fates: NDArray[np.intp]
    links: Mapping[str, int]
