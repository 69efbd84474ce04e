"""What the network is given of an observation: every entry twice, as it is and magnified, both squashed.

One scale cannot serve both ends: with 100 m as the unit, the last ten metres before a standing car are a tenth, and creeping is a few
hundredths of motorway speed. Squashing keeps what is far and fast from outshining, in a maximum over peers, the one that brakes in front.
The functions take NumPy arrays and torch tensors alike.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, TypeVar

import numpy as np
from numpy.typing import NDArray

from roadsense.features import PEER_COLUMN
from roadsense.model.library import library_of

if TYPE_CHECKING:
    from torch import Tensor

MAGNIFIED: Final = 8.0
COPIES: Final = 2
SIDED: Final = (PEER_COLUMN["left_m"], PEER_COLUMN["relative_heading_rad"])  # what changes its sign in a mirror, the side itself first

ArrayT = TypeVar("ArrayT", NDArray[np.float32], "Tensor")


def mirrored(peers: ArrayT) -> ArrayT:
    """Peers' entries (..., F), where a peer to the ego's right is replaced by its mirror image to the left: a copy.

    What a peer asks of the ego is the same on either side; a network that is told so need not learn it twice.
    """
    library = library_of(peers)
    is_right = peers[..., SIDED[0]] < 0
    turned = peers.copy() if isinstance(peers, np.ndarray) else peers.clone()
    for column in SIDED:
        turned[..., column] = library.where(is_right, -peers[..., column], peers[..., column])
    return turned


def peer_inputs(peers: ArrayT, *, mirrors: bool) -> ArrayT:
    """Peers' entries (N, F) as network inputs (N, 2 F), of their mirror images where `ModelSettings.mirror_peers` says so."""
    return squashed(mirrored(peers) if mirrors else peers)


def squashed(entries: ArrayT) -> ArrayT:
    """(N, F) observation entries as network inputs (N, 2 F), each in (-1, 1): tanh(x), then tanh(8 x)."""
    library = library_of(entries)
    inputs: ArrayT = library.tanh(library.concatenate([entries, MAGNIFIED * entries], axis=-1))
    return inputs


def beside_one_ego(inputs_NJ: NDArray[np.float32], ego_I: NDArray[np.float32]) -> NDArray[np.float32]:
    """Inputs of the peers (N, J), each followed by those of the one ego that heard them: (N, J + I)."""
    return np.concatenate([inputs_NJ, np.broadcast_to(ego_I, (len(inputs_NJ), len(ego_I)))], axis=1)
