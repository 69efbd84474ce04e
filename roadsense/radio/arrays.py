"""Rearranging arrays when cars come and go."""

from __future__ import annotations

from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

Entry = TypeVar("Entry", bound=np.generic)


def carry_over(array: NDArray[Entry], axis: int, *origins: NDArray[np.intp], fill: float) -> NDArray[Entry]:
    """A copy with as many axes from `axis` on rearranged as there are `origins`.

    Entry i along such an axis is the former entry `origin[i]`, or `fill` where `origin[i]` is -1.
    """
    new: list[NDArray[np.intp]] = []
    old: list[NDArray[np.intp]] = []
    for following, origin in enumerate(reversed(origins)):
        kept = np.nonzero(origin >= 0)[0]
        as_column = (-1,) + (1,) * following  # one index array per axis, to be broadcast against each other
        new.insert(0, kept.reshape(as_column))
        old.insert(0, origin[kept].reshape(as_column))
    shape = (*array.shape[:axis], *(len(origin) for origin in origins), *array.shape[axis + len(origins) :])
    carried = np.full(shape, fill, dtype=array.dtype)
    lead: list[Any] = [slice(None)] * axis
    carried[(*lead, *new)] = array[(*lead, *old)]
    return carried
