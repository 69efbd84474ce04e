"""A `map` over local processes that keeps order, bounds memory and leaves nothing behind."""

from __future__ import annotations

import ctypes
import multiprocessing
import os
import signal
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from multiprocessing.util import Finalize
from typing import Any, TypeVar

from roadsense.errors import SumoError

_Item = TypeVar("_Item")
_Result = TypeVar("_Result")
_PR_SET_PDEATHSIG = 1


@contextmanager
def process_map(processes: int, cleanup: Callable[[], None]) -> Iterator[Callable[[Callable[[Any], Any], Iterable[Any]], Iterator[Any]]]:
    """Yield a `map` over this many processes; with one process it is the ordinary `map`. `cleanup` runs in each of them at its end."""
    if processes <= 1:
        try:
            yield map
        finally:
            cleanup()
        return
    context = multiprocessing.get_context("spawn")
    executor = ProcessPoolExecutor(processes, mp_context=context, initializer=_prepare_worker, initargs=(cleanup,))
    try:
        yield lambda function, items: _ordered(executor, processes, function, items)
    finally:
        executor.shutdown(wait=True, cancel_futures=True)


def _ordered(
    executor: ProcessPoolExecutor, processes: int, function: Callable[[_Item], _Result], items: Iterable[_Item]
) -> Iterator[_Result]:
    """Results in order, with at most two items in flight per process (`Executor.map` would submit them all at once)."""
    waiting: deque[Future[_Result]] = deque()
    try:
        for item in items:
            waiting.append(executor.submit(function, item))
            if len(waiting) >= 2 * processes:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    except BrokenProcessPool:
        raise SumoError(
            "an evaluation process died (killed, or out of memory); run again, with fewer --num_workers if memory is short"
        ) from None


def _prepare_worker(cleanup: Callable[[], None]) -> None:
    """Die with the parent, leave Ctrl-C to it, compute on one thread, and clean up at the end."""
    Finalize(None, cleanup, exitpriority=100)
    ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() == 1:
        os._exit(1)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    os.environ["OMP_NUM_THREADS"] = "1"
