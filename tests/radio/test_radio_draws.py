"""Counter-based draws: the published generator, the right distributions, and nothing but key and period decides."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from roadsense.radio.draws import LARGEST_NORMAL, CarKeys, Draws, mix, standard_normals, uniforms

PERIODS = 400


def _keys(shape: tuple[int, ...], seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(2**64, size=shape, dtype=np.uint64)


def test_the_published_sequence_of_splitmix64() -> None:
    """Output of the reference implementation for the seed 1234567 (its first number is that of one increment)."""
    increments = np.arange(1, 6, dtype=np.uint64) * np.uint64(0x9E3779B97F4A7C15)
    assert mix(np.uint64(1234567) + increments).tolist() == [
        6457827717110365317,
        3203168211198807973,
        9817491932198370423,
        4593380528125082431,
        16408922859458223821,
    ]


@given(
    periods=st.lists(st.integers(1, 500), min_size=1, max_size=30),
    streams=st.integers(1, 90),
    data=st.data(),
)
def test_a_number_depends_on_nothing_but_key_and_period(periods: list[int], streams: int, data: st.DataObject) -> None:
    """Not on the other streams, not on the order of the questions, not on a change of arrangement."""
    keys = _keys((streams,))
    draws, alone = Draws(uniforms), Draws(uniforms)
    draws.rekey(keys)
    for period in periods:
        chosen = data.draw(st.integers(0, streams - 1))
        alone.rekey(keys[chosen : chosen + 1])
        assert draws.at(period)[chosen] == alone.at(period)[0]


def test_uniforms_are_uniform_and_independent_over_periods_and_streams() -> None:
    draws = Draws(uniforms)
    draws.rekey(_keys((300,)))
    numbers = np.array([draws.at(period) for period in range(1, PERIODS + 1)])
    count = numbers.size
    assert 0.0 <= numbers.min() < 1e-3 < 1 - 1e-3 < numbers.max() < 1.0
    cells = np.bincount((numbers.ravel() * 100).astype(int), minlength=100)
    chi_square = ((cells - count / 100) ** 2 / (count / 100)).sum()
    assert abs(chi_square - 99) < 5 * np.sqrt(2 * 99)
    centred = numbers - 0.5
    for lagged in ((centred[1:], centred[:-1]), (centred[7:], centred[:-7]), (centred[:, 1:], centred[:, :-1])):
        assert abs((lagged[0] * lagged[1]).mean() * 12 * np.sqrt(lagged[0].size)) < 5


def test_normals_are_normal_and_bounded() -> None:
    draws = Draws(standard_normals)
    draws.rekey(_keys((300,), seed=1))
    numbers = np.array([draws.at(period) for period in range(1, PERIODS + 1)]).ravel()
    error = 5 / np.sqrt(numbers.size)
    assert numbers.mean() == pytest.approx(0.0, abs=error)
    assert numbers.var() == pytest.approx(1.0, abs=error * np.sqrt(2))
    assert (numbers**3).mean() == pytest.approx(0.0, abs=error * np.sqrt(15))
    assert (numbers**4).mean() == pytest.approx(3.0, abs=error * np.sqrt(96))
    extremes = standard_normals(np.array([0, 1 << 31, 2**64 - 1], dtype=np.uint64))
    assert extremes.tolist() == pytest.approx([LARGEST_NORMAL, -LARGEST_NORMAL, 0.0], abs=1e-4)


def test_cars_have_keys_of_their_own_that_come_back() -> None:
    keys, again = CarKeys(7), CarKeys(7)
    ids = tuple(f"V{car}" for car in range(100))
    drawn = keys.of(ids)
    assert drawn.shape == (3, 100)
    assert len(set(drawn.ravel().tolist())) == 300
    assert np.array_equal(again.of(ids[::-1])[:, ::-1], drawn)
    assert not np.isin(CarKeys(8).of(ids), drawn).any()
    assert keys.of(()).shape == (3, 0)
