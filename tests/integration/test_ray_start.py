"""Ray that does not start in time is started again, and what never starts is one line."""

import pytest

from roadsense.errors import DependencyError
from roadsense.training import cluster


@pytest.mark.parametrize("slow_starts", [0, 2, 3])
def test_a_slow_start_is_tried_again(monkeypatch, slow_starts):
    starts = []

    def init(**options):
        starts.append(options)
        if len(starts) <= slow_starts:
            raise Exception("The current node timed out during startup. This could happen because ...")

    monkeypatch.setattr(cluster, "_init", init)
    if slow_starts < 3:
        cluster._start(address="local")
    else:
        with pytest.raises(DependencyError, match="too busy"):
            cluster._start(address="local")
    assert len(starts) == min(3, slow_starts + 1)
    monkeypatch.setattr(cluster, "_init", lambda **_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        cluster._start()
