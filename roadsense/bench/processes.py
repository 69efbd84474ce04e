"""Functions in fresh processes, at once, each pinned to a core: a process that migrates measures the scheduler."""

from __future__ import annotations

import multiprocessing
import os
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from typing import Any, TypeVar

Result = TypeVar("Result")


def in_processes(function: Callable[..., Result], arguments: Sequence[tuple[Any, ...]], cores: Sequence[int | None]) -> list[Result]:
    """Results of `function(*arguments[i])` in a process pinned to `cores[i]` (None: anywhere), in order; raises what they raise."""
    context = multiprocessing.get_context("spawn")
    ready = context.Barrier(len(arguments))
    with ProcessPoolExecutor(len(arguments), mp_context=context, initializer=_begin, initargs=(ready,)) as pool:
        futures = [pool.submit(_pinned, function, args, core) for args, core in zip(arguments, cores, strict=True)]
        return [future.result() for future in futures]


_ready: list[Any] = []  # the barrier of this process; a process pool hands it over at the start of its processes only


def _begin(ready: Any) -> None:
    _ready.append(ready)


def _pinned(function: Callable[..., Result], arguments: tuple[Any, ...], core: int | None) -> Result:
    if core is not None:
        os.sched_setaffinity(0, {core})
    _ready[0].wait()  # start-up takes different times; what is measured begins together
    return function(*arguments)
