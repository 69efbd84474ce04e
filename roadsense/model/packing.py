"""Peer sets of a batch in one matrix: compressed rows, no padding.

Shape suffixes: M chosen rows, B rows of the batch, S peers of all rows together, F features of a peer.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from roadsense.compiled import compiled_beside
from roadsense.errors import ConfigError
from roadsense.peer_set import PeerSet


def pack(cells: Sequence[PeerSet] | NDArray[np.object_]) -> tuple[Tensor, Tensor]:
    """Lay B peer sets end to end.

    Args:
        cells: B peer sets, B > 0, as a sequence or a one-dimensional object array.

    Returns:
        `values_SF` (float32) and `counts_B` (int64): row b owns the `counts_B[b]` rows of `values_SF` after those of the rows before it.

    Raises:
        ConfigError: there is no set, or the sets differ in their number of features.
    """
    values, counts = pack_arrays(cells)
    return torch.from_numpy(values), torch.from_numpy(counts)


def pack_arrays(cells: Sequence[PeerSet] | NDArray[np.object_]) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """As `pack`, and raises as it, in arrays."""
    arrays = [peers.values for peers in cells]
    try:
        values = np.concatenate(arrays)
    except ValueError as problem:
        raise ConfigError(f"cannot pack {len(arrays)} peer sets ({problem}); give one or more with the same features") from None
    return values, np.array([len(array) for array in arrays], dtype=np.int64)


@dataclass(frozen=True, slots=True)
class PackedPeers:
    """The peers of B rows end to end, from which any rows can be taken in any order without touching a set again."""

    values: Tensor  # (S, F)
    starts: Tensor  # (B,), where each row's peers begin
    counts: Tensor  # (B,)

    @classmethod
    def of(cls, cells: Sequence[PeerSet] | NDArray[np.object_]) -> Self:
        """Pack B sets; raises as `pack`."""
        values_SF, counts_B = pack(cells)
        return cls(values_SF, counts_B.cumsum(0) - counts_B, counts_B)

    @property
    def rows(self) -> int:
        """B."""
        return int(self.counts.shape[0])

    def to(self, device: torch.device | str) -> Self:
        """The same on a device."""
        return type(self)(self.values.to(device), self.starts.to(device), self.counts.to(device))

    def take(self, rows_M: Tensor) -> tuple[Tensor, Tensor]:
        """Values and counts of the chosen rows (int64), as `pack` gives them for these sets alone."""
        if self.values.device.type == "cpu":
            values, counts = _taken(self.values.numpy(), self.starts.numpy(), self.counts.numpy(), rows_M.numpy())
            return torch.from_numpy(values), torch.from_numpy(counts)
        counts_M = self.counts[rows_M]
        shift_M = self.starts[rows_M] - (counts_M.cumsum(0) - counts_M)
        total = int(counts_M.sum())
        places = torch.repeat_interleave(shift_M, counts_M, output_size=total) + torch.arange(total, device=rows_M.device)
        return self.values[places], counts_M


@compiled_beside
def _taken(
    values_SF: NDArray[np.float32], starts_B: NDArray[np.int64], counts_B: NDArray[np.int64], rows_M: NDArray[np.int64]
) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """The values of the chosen rows end to end, and their counts (M,)."""
    counts_M = counts_B[rows_M]
    taken = np.empty((counts_M.sum(), values_SF.shape[1]), dtype=values_SF.dtype)
    place = 0
    for row in rows_M:
        for peer in range(starts_B[row], starts_B[row] + counts_B[row]):
            for column in range(values_SF.shape[1]):
                taken[place, column] = values_SF[peer, column]
            place += 1
    return taken, counts_M
