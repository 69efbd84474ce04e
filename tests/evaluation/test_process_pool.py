"""The parallel map: ordered, bounded, and nothing left behind."""

import os
import time
from pathlib import Path

import psutil
import pytest

from roadsense.errors import SumoError
from roadsense.evaluation.process_pool import process_map


def square(number: int) -> int:
    time.sleep(0.02 * (number % 3))
    return number * number


def die(number: int) -> int:
    os._exit(3)


def nothing() -> None:
    pass


def touch_at_end() -> None:
    with Path(os.environ["ROADSENSE_TEST_TOUCH"]).open("a") as file:
        file.write("x")


@pytest.mark.parametrize("processes", [1, 2])
def test_order_is_kept(processes):
    with process_map(processes, nothing) as run_map:
        assert list(run_map(square, range(12))) == [number * number for number in range(12)]


def test_items_are_taken_only_as_they_are_needed():
    taken = []

    def items():
        for number in range(1000):
            taken.append(number)
            yield number

    with process_map(2, nothing) as run_map:
        results = run_map(square, items())
        next(iter(results))
        assert len(taken) <= 8


def test_cleanup_runs_in_every_process(tmp_path, monkeypatch):
    monkeypatch.setenv("ROADSENSE_TEST_TOUCH", str(tmp_path / "touched"))
    with process_map(2, touch_at_end) as run_map:
        list(run_map(square, range(8)))
    assert (tmp_path / "touched").read_text() == "xx"


def test_a_dead_worker_is_one_line_and_leaves_no_process():
    before = {child.pid for child in psutil.Process().children()}
    with pytest.raises(SumoError, match="evaluation process died"), process_map(2, nothing) as run_map:
        list(run_map(die, range(4)))
    left = [
        child for child in psutil.Process().children() if child.pid not in before and "resource_tracker" not in " ".join(child.cmdline())
    ]
    assert left == []
