"""Functions compiled by Numba: a loop over a few cars costs less than a single NumPy call.

Only arithmetic that is the same to the last bit goes here: no fast-math, no logarithms or cosines, whose last bits depend on the library.
The machine code lies in the package's `__pycache__`, or in the user's cache directory where that is read-only.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar, cast

import numba

FunctionT = TypeVar("FunctionT", bound=Callable[..., Any])


def compiled(function: FunctionT) -> FunctionT:
    """Compile at the first call, and keep the machine code for the next process where a directory for it can be written."""
    return _compiled(function, nogil=False)


def compiled_beside(function: FunctionT) -> FunctionT:
    """As `compiled`, for work that is long enough to let other threads run meanwhile."""
    return _compiled(function, nogil=True)


def _compiled(function: FunctionT, *, nogil: bool) -> FunctionT:
    try:
        return cast("FunctionT", numba.njit(cache=True, error_model="numpy", nogil=nogil)(function))
    except RuntimeError:  # Numba found no place to keep it
        return cast("FunctionT", numba.njit(error_model="numpy", nogil=nogil)(function))
