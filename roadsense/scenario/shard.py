"""Which worker drives which scenarios."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

from roadsense.errors import UsageError

T = TypeVar("T")


def shard(scenarios: Sequence[T], worker: int, num_workers: int) -> tuple[T, ...]:
    """The scenarios of one worker, in the dataset's order: every `num_workers`-th, beginning with its own number.

    Shards do not overlap and together hold every scenario. Where workers outnumber scenarios, the scenarios are handed out again from
    the first, so that nobody idles. `worker` counts from 0. Raises UsageError when there is nothing to share or no such worker.
    """
    if num_workers < 1 or not 0 <= worker < num_workers:
        raise UsageError(f"worker {worker} of {num_workers}: expected 0 <= worker < number of workers; correct the numbers")
    if not scenarios:
        raise UsageError("there are no scenarios to share among workers; generate a dataset with at least one")
    if num_workers > len(scenarios):
        return (scenarios[worker % len(scenarios)],)
    return tuple(scenarios[worker::num_workers])
