"""Sharding: a partition of the scenarios while they last, and everybody has one."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from roadsense.errors import UsageError
from roadsense.scenario.shard import shard


@given(count=st.integers(1, 60), workers=st.integers(1, 80))
def test_shards_partition_the_scenarios(count: int, workers: int):
    scenarios = tuple(range(count))
    shards = [shard(scenarios, worker, workers) for worker in range(workers)]
    assert shards == [shard(list(scenarios), worker, workers) for worker in range(workers)]
    assert all(part == tuple(sorted(part)) and part for part in shards)
    assert set().union(*shards) == set(scenarios)
    if workers <= count:
        assert sorted(item for part in shards for item in part) == list(scenarios), "no overlap"
        assert max(map(len, shards)) - min(map(len, shards)) <= 1
    else:
        assert [part[0] for part in shards] == [worker % count for worker in range(workers)], "repeated in order"


@pytest.mark.parametrize(("worker", "workers"), [(2, 2), (-1, 2), (0, 0)])
def test_nonsense_is_refused(worker: int, workers: int):
    with pytest.raises(UsageError, match="expected 0 <= worker"):
        shard((1, 2, 3), worker, workers)


def test_nothing_to_share_is_refused():
    with pytest.raises(UsageError, match="no scenarios"):
        shard((), 0, 1)
