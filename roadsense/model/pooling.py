"""From the encoded peers of each row to one vector, for any number of peers.

The encoder ends in ReLU, so no encoded value is negative and 0 is the neutral element of both maximum and sum: an empty set pools to 0
exactly, as it does in an exported `cat([zeros, encoded]).amax()`.

Shape suffixes: B rows of the batch, S peers of all rows together, H width of the encoder.
"""

from __future__ import annotations

import torch
from torch import Tensor


def pool(encoded_SH: Tensor, counts_B: Tensor, kind: str) -> Tensor:
    """Pool each row's segment of `encoded_SH`; `kind` is "max", "mean" or "max+mean" (side by side). Returns (B, H) or (B, 2H)."""
    if kind == "max":
        return _segment_max(encoded_SH, counts_B)
    if kind == "mean":
        return _segment_mean(encoded_SH, counts_B)
    return torch.cat([_segment_max(encoded_SH, counts_B), _segment_mean(encoded_SH, counts_B)], dim=1)


def _segment_max(encoded_SH: Tensor, counts_B: Tensor) -> Tensor:
    # unsafe skips the check that the counts add up, which costs a pass; `pack` makes them add up.
    return torch.segment_reduce(encoded_SH, "max", lengths=counts_B, axis=0, initial=0.0, unsafe=True)


def _segment_mean(encoded_SH: Tensor, counts_B: Tensor) -> Tensor:
    row_S = torch.repeat_interleave(counts_B, output_size=encoded_SH.shape[0])
    sums_BH = encoded_SH.new_zeros(counts_B.shape[0], encoded_SH.shape[1]).index_add_(0, row_S, encoded_SH)
    return sums_BH / counts_B.clamp(min=1).unsqueeze(1)
