"""The network's arithmetic on bare tensors: one formula for the module, for acting and for learning.

Shape suffixes: N rows, S peers of all rows together, B rows of the batch, I inputs of a layer, E ego features, F peer features,
J inputs of the peer encoder.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn.functional import linear

from roadsense.compiled import compiled_beside
from roadsense.model.inputs import COPIES, MAGNIFIED, SIDED
from roadsense.model.pooling import pool

Layers = Sequence[tuple[Tensor, Tensor]]  # weight and bias of each


def layers_of(network: nn.Sequential) -> Layers:
    """The weights and biases of linear layers with activations between them."""
    return [(layer.weight, layer.bias) for layer in network if isinstance(layer, nn.Linear)]


def squashed_rows(entries_NF: NDArray[np.float32], withheld: Sequence[int] = (), *, mirrors: bool = False) -> Tensor:
    """`inputs.squashed` of an array as a tensor, to the last bit, with 0 in the withheld columns; of `inputs.mirrored` if so asked.

    Acting does it for a few rows at a time, and there each of torch's operators costs more than its numbers; here is only one.
    """
    rows, features = entries_NF.shape
    inputs_N2F = np.empty((rows, COPIES * features), dtype=np.float32)
    _lay_twice(entries_NF, mirrors, inputs_N2F)
    inputs = torch.from_numpy(inputs_N2F).tanh_()
    if withheld:
        inputs[:, withheld] = 0.0
    return inputs


@compiled_beside
def _lay_twice(entries_NF: NDArray[np.float32], mirrors: bool, inputs_N2F: NDArray[np.float32]) -> None:
    """Each entry as it is, and behind all of a row each magnified: by a power of two, so nothing is rounded."""
    rows, features = entries_NF.shape
    for row in range(rows):
        for feature in range(features):
            inputs_N2F[row, feature] = entries_NF[row, feature]
            inputs_N2F[row, features + feature] = MAGNIFIED * entries_NF[row, feature]
        if mirrors and entries_NF[row, SIDED[0]] < 0:
            for feature in SIDED:
                inputs_N2F[row, feature] = -inputs_N2F[row, feature]
                inputs_N2F[row, features + feature] = -inputs_N2F[row, features + feature]


def beside_ego(inputs_SJ: Tensor, ego_BI: Tensor, counts_B: Tensor) -> Tensor:
    """Inputs of the peers (S, J), each followed by those of the ego that heard it: (S, J + I)."""
    return torch.cat([inputs_SJ, torch.repeat_interleave(ego_BI, counts_B, dim=0, output_size=len(inputs_SJ))], dim=1)


def encoded_peers(inputs_SJ: Tensor, counts_B: Tensor, encoder: Layers, kind: str) -> Tensor:
    """The peers of each row through the encoder and pooled; `kind` as in `ModelSettings.pool`."""
    hidden = inputs_SJ
    for weight, bias in encoder:
        hidden = linear(hidden, weight, bias).relu_()
    return pool(hidden, counts_B, kind)


def through_trunk(inputs: Sequence[Tensor], trunk: Layers) -> Tensor:
    """Inputs side by side, each (B, I), through the trunk to its head."""
    hidden = torch.cat(list(inputs), dim=1)
    for weight, bias in trunk[:-1]:
        hidden = linear(hidden, weight, bias).relu_()
    return linear(hidden, *trunk[-1])
