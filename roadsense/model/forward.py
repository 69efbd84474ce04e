"""The network's arithmetic on bare tensors: one formula for the module, for acting and for learning.

Shape suffixes: N rows, S peers of all rows together, B rows of the batch, I inputs of a layer, E ego features, F peer features.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn.functional import linear

from roadsense.model.pooling import pool

Layers = Sequence[tuple[Tensor, Tensor]]  # weight and bias of each


def layers_of(network: nn.Sequential) -> Layers:
    """The weights and biases of linear layers with activations between them."""
    return [(layer.weight, layer.bias) for layer in network if isinstance(layer, nn.Linear)]


def encoded_peers(inputs_S2F: Tensor, counts_B: Tensor, encoder: Layers, kind: str) -> Tensor:
    """The peers of each row through the encoder and pooled; `kind` as in `ModelSettings.pool`."""
    hidden = inputs_S2F
    for weight, bias in encoder:
        hidden = linear(hidden, weight, bias).relu_()
    return pool(hidden, counts_B, kind)


def through_trunk(inputs: Sequence[Tensor], trunk: Layers) -> Tensor:
    """Inputs side by side, each (B, I), through the trunk to its head."""
    hidden = torch.cat(list(inputs), dim=1)
    for weight, bias in trunk[:-1]:
        hidden = linear(hidden, weight, bias).relu_()
    return linear(hidden, *trunk[-1])
