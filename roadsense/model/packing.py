"""Peer sets of a batch in one matrix: compressed rows, no padding.

Shape suffixes: B rows of the batch, S peers of all rows together, F features of a peer.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

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
    arrays = [peers.values for peers in cells]
    try:
        values = np.concatenate(arrays)
    except ValueError as problem:
        raise ConfigError(f"cannot pack {len(arrays)} peer sets ({problem}); give one or more with the same features") from None
    counts = np.array([len(array) for array in arrays], dtype=np.int64)
    return torch.from_numpy(values), torch.from_numpy(counts)
