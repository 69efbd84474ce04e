"""Random numbers as a pure function of a stream and a period, so no car's draws depend on which others are there.

A radio among N cars needs a stream per directed link, N^2 of them, and cars come and go; a generator each would cost more than the rest of
the radio. Every car therefore draws three 64-bit keys from one named stream of its own (sensors, sending, receiving), the key of a link is
made of the sender's and the receiver's, and number k of a stream is SplitMix64's k-th output from its key: a Weyl sequence with the
increment 2^64 / golden ratio, through the finaliser `mix` (Steele, Lea and Flood, "Fast splittable pseudorandom number generators", 2014).
Streams start at independent random points of a cycle of 2^64, so overlaps are out of reach.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Final

import numpy as np
from numpy.typing import NDArray

from roadsense.seeding import named_stream
from roadsense.state import FloatArray

KeyArray = NDArray[np.uint64]

INCREMENT: Final = np.uint64(0x9E3779B97F4A7C15)
_FIRST_FACTOR: Final = np.uint64(0xBF58476D1CE4E5B9)
_SECOND_FACTOR: Final = np.uint64(0x94D049BB133111EB)
_SHIFT_27, _SHIFT_30, _SHIFT_31 = np.uint64(27), np.uint64(30), np.uint64(31)
_SHIFT_11, _SHIFT_32, _LOW_HALF = np.uint64(11), np.uint64(32), np.uint64(0xFFFFFFFF)
_UNIT_53: Final = np.float64(2.0**-53)
# Numbers are drawn ahead for some periods, which spreads numpy's overhead: for few streams more, and for ones that have just changed fewer.
_BLOCK_NUMBERS: Final = 4096
_FIRST_PERIODS: Final = 4
_MOST_PERIODS: Final = 64

LARGEST_NORMAL: Final = math.sqrt(-2.0 * math.log(2.0**-33))  # 6.76: `standard_normals` never leave [-6.76, 6.76]


def mix(bits: KeyArray) -> KeyArray:
    """SplitMix64's finaliser, a bijection of 64-bit integers whose output bits all depend on all input bits; any shape."""
    mixed: KeyArray = bits ^ (bits >> _SHIFT_30)
    mixed *= _FIRST_FACTOR
    mixed ^= mixed >> _SHIFT_27
    mixed *= _SECOND_FACTOR
    mixed ^= mixed >> _SHIFT_31
    return mixed


def uniforms(bits: KeyArray) -> FloatArray:
    """Uniform numbers in [0, 1) from 53 of 64 random bits; any shape."""
    return (bits >> _SHIFT_11) * _UNIT_53


def standard_normals(bits: KeyArray) -> FloatArray:
    """Standard normal numbers by Box and Muller's transform, radius and angle from 32 bits each; any shape."""
    radius = np.sqrt(-2.0 * np.log(((bits >> _SHIFT_32) + 0.5) * 2.0**-32))
    return np.asarray(radius * np.cos((bits & _LOW_HALF) * (2.0 * np.pi * 2.0**-32)))


class CarKeys:
    """The keys of every car of an episode, drawn once per car from the named stream `radio` of its id.

    Attributes:
        shared_sensor: the key of the errors that all cars have in common.
    """

    def __init__(self, root_seed: int) -> None:
        self._root_seed = root_seed
        self._keys: dict[str, list[int]] = {}
        self.shared_sensor = named_stream(root_seed, "shared_sensor").integers(2**64, dtype=np.uint64)

    def of(self, ids: tuple[str, ...]) -> KeyArray:
        """Keys for sensors, sending and receiving: array (3, n)."""
        return np.array([self._of_car(vehicle_id) for vehicle_id in ids], dtype=np.uint64).reshape(len(ids), 3).T

    def _of_car(self, vehicle_id: str) -> list[int]:
        keys = self._keys.get(vehicle_id)
        if keys is None:
            generator = named_stream(self._root_seed, "radio", vehicle_id)
            keys = self._keys[vehicle_id] = generator.integers(2**64, size=3, dtype=np.uint64).tolist()
        return keys


class Draws:
    """One number per stream and period, for streams that change.

    Args:
        transform: `uniforms` or `standard_normals`.
        dimensions: how many the arrays of keys have; compiled code takes blocks of one number of dimensions.

    Attributes:
        block: the numbers of some periods, (periods, and the keys' shape); read only.
    """

    def __init__(self, transform: Callable[[KeyArray], FloatArray], dimensions: int = 1) -> None:
        self._transform = transform
        self.block: FloatArray
        self.rekey(np.empty((0,) * dimensions, dtype=np.uint64))

    def rekey(self, keys: KeyArray) -> None:
        """From now on the numbers are those of the streams of these keys, an array of any shape."""
        self._keys = keys
        self._periods = _FIRST_PERIODS
        self._first_period = 0
        self.block = np.empty((0, *keys.shape))

    def at(self, period: int) -> FloatArray:
        """The numbers of a period: an array of the keys' shape, read only. The same for a key whatever was asked before."""
        row = self.row(period)  # may put another block there
        numbers: FloatArray = self.block[row]
        return numbers

    def row(self, period: int) -> int:
        """Which row holds the numbers of a period, of the `block` that is there after this call."""
        row = period - self._first_period
        if 0 <= row < len(self.block):
            return row
        self._fill(period)
        return 0

    def _fill(self, first_period: int) -> None:
        periods = min(self._periods, 1 + _BLOCK_NUMBERS // max(1, self._keys.size))
        steps = np.arange(first_period, first_period + periods, dtype=np.uint64) * INCREMENT
        self.block = self._transform(mix(self._keys + steps.reshape(-1, *(1,) * self._keys.ndim)))
        self._first_period = first_period
        self._periods = min(2 * self._periods, _MOST_PERIODS)
