"""Who takes part, and that what belongs to a car stays with it when others come and go."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from roadsense.radio.arrays import carry_over
from roadsense.radio.roster import Roster
from roadsense.state import SimulatorState

MakeState = Callable[..., SimulatorState]

origins = st.lists(st.integers(-1, 4), max_size=6).map(lambda places: np.array(places, dtype=np.intp))


@given(rows=origins, columns=origins)
def test_entries_follow_their_cars(rows: np.ndarray, columns: np.ndarray) -> None:
    before = np.arange(2 * 5 * 5).reshape(2, 5, 5)
    after = carry_over(before, 1, rows, columns, fill=-7)
    assert after.shape == (2, len(rows), len(columns))
    for layer, row, column in np.ndindex(after.shape):
        known = rows[row] >= 0 and columns[column] >= 0
        assert after[layer, row, column] == (before[layer, rows[row], columns[column]] if known else -7)
    assert np.array_equal(
        carry_over(before[0], 0, rows, fill=-7), np.array([before[0, r] if r >= 0 else [-7] * 5 for r in rows]).reshape(-1, 5)
    )


def test_ego_first_then_who_is_here_then_who_is_remembered(make_state: MakeState) -> None:
    def vehicles(*ids: str) -> SimulatorState:
        return make_state(0.0, dict.fromkeys(ids, (0.0,) * 5)).vehicles

    first, origin = Roster.empty().follow(vehicles("A", "B", "C", "EGO"), "EGO", None, np.empty(0, dtype=bool))
    assert (first.ids, first.present, first.columns.tolist()) == (("EGO", "A", "B", "C"), 4, [3, 0, 1, 2])
    assert origin.tolist() == [-1] * 4
    second, origin = first.follow(vehicles("B", "D", "EGO"), "EGO", None, np.array([True, True, True, False]))
    assert (second.ids, second.present, second.columns.tolist()) == (("EGO", "B", "D", "A"), 3, [2, 0, 1])
    assert origin.tolist() == [0, 2, -1, 1]
    third, origin = second.follow(vehicles("A", "B", "D", "EGO"), "EGO", {"A", "D"}, np.array([True, False, True, False]))
    assert (third.ids, third.present, third.columns.tolist()) == (("EGO", "A", "D"), 3, [3, 0, 2])
    assert origin.tolist() == [0, 3, 2]
