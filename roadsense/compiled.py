"""Functions compiled by Numba: a loop over a few cars costs less than a single NumPy call.

Only arithmetic that is the same to the last bit goes here: no fast-math, no logarithms or cosines, whose last bits depend on the library.
The machine code lies in the package's `__pycache__`, or in the user's cache directory where that is read-only. Numba alone would use it for
as long as the file of the function is unchanged, also when a function that it calls, or a constant, has changed in another file: an edited
reward would go on as it was. So it is kept only while no source of the package has changed.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from pathlib import Path
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
        dispatcher = numba.njit(cache=True, error_model="numpy", nogil=nogil)(function)
    except RuntimeError:  # Numba found no place to keep it
        return cast("FunctionT", numba.njit(error_model="numpy", nogil=nogil)(function))
    if dispatcher is not function:  # as with NUMBA_DISABLE_JIT
        # Private, and Numba is pinned: tests/test_compiled.py fails when it no longer does what it should.
        kept = cast("Any", dispatcher)._cache._cache_file
        kept._source_stamp = (kept._source_stamp, sources_stamp())
    return cast("FunctionT", dispatcher)


@cache
def sources_stamp(package: Path = Path(__file__).parent) -> tuple[int, int, int]:
    """How many sources the package has, their bytes in all, and when the last of them changed (nanoseconds)."""
    stats = [path.stat() for path in package.rglob("*.py")]
    return len(stats), sum(stat.st_size for stat in stats), max(stat.st_mtime_ns for stat in stats)
