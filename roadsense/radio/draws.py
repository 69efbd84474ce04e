"""Random numbers per vehicle and step: one stream per vehicle and concern, so no car's draws depend on which others are there.

Drawing per vehicle in every step would be slow; each stream is therefore drawn in blocks of steps, and a step is one array lookup.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from roadsense.seeding import named_stream
from roadsense.state import FloatArray

_BLOCK_STEPS = 64


class VehicleDraws:
    """One concern's random numbers for a changing set of vehicles.

    Args:
        root_seed: seed of the episode's radio.
        concern: name of the streams, for example `sensors`.
        width: numbers W that a vehicle needs per step.
        sample: draws one vehicle's block: (generator, steps S) -> array (S, W).
    """

    def __init__(self, root_seed: int, concern: str, width: int, sample: Callable[[np.random.Generator, int], FloatArray]) -> None:
        self._root_seed = root_seed
        self._concern = concern
        self._width = width
        self._sample = sample
        self._generators: dict[str, np.random.Generator] = {}
        self._blocks: dict[str, FloatArray] = {}
        self._ids: tuple[str, ...] = ()
        self._stacked: FloatArray = self._stack()
        self._cursor = 0

    def arrange(self, ids: tuple[str, ...]) -> None:
        """From now on `advance` answers for these vehicles, in this order."""
        self._ids = ids
        self._stacked = self._stack()

    def advance(self) -> FloatArray:
        """The numbers of one step: array (W, N), a column per vehicle; read only."""
        if self._cursor == _BLOCK_STEPS:
            self._blocks.clear()
            self._stacked = self._stack()
            self._cursor = 0
        numbers: FloatArray = self._stacked[self._cursor]
        self._cursor += 1
        return numbers

    def _stack(self) -> FloatArray:
        if not self._ids:
            return np.empty((_BLOCK_STEPS, self._width, 0))
        return np.stack([self._block(vehicle_id) for vehicle_id in self._ids], axis=2)

    def _block(self, vehicle_id: str) -> FloatArray:
        block = self._blocks.get(vehicle_id)
        if block is None:
            generator = self._generators.get(vehicle_id)
            if generator is None:
                generator = self._generators[vehicle_id] = named_stream(self._root_seed, self._concern, vehicle_id)
            block = self._blocks[vehicle_id] = self._sample(generator, _BLOCK_STEPS)
        return block
