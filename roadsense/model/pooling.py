"""From the encoded peers of each row to one vector, for any number of peers.

The encoder ends in ReLU, so no encoded value is negative and 0 is the neutral element of both maximum and sum: an empty set pools to 0
exactly, as it does in an exported `cat([zeros, encoded]).amax()`.

Shape suffixes: B rows of the batch, S peers of all rows together, H width of the encoder.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.autograd.function import once_differentiable

from roadsense.compiled import compiled_beside

FloatArray = NDArray[np.float32]
CountArray = NDArray[np.int64]


def pool(encoded_SH: Tensor, counts_B: Tensor, kind: str) -> Tensor:
    """Pool each row's segment of `encoded_SH`; `kind` is "max", "mean" or "max+mean" (side by side). Returns (B, H) or (B, 2H)."""
    if kind == "max":
        return _segment_max(encoded_SH, counts_B)
    if kind == "mean":
        return _segment_mean(encoded_SH, counts_B)
    return torch.cat([_segment_max(encoded_SH, counts_B), _segment_mean(encoded_SH, counts_B)], dim=1)


def _segment_max(encoded_SH: Tensor, counts_B: Tensor) -> Tensor:
    if encoded_SH.device.type != "cpu":
        # unsafe skips the check that the counts add up, which costs a pass; `pack` makes them add up.
        return torch.segment_reduce(encoded_SH, "max", lengths=counts_B, axis=0, initial=0.0, unsafe=True)
    if encoded_SH.requires_grad and torch.is_grad_enabled():
        pooled_BH: Tensor = _SegmentMax.apply(encoded_SH, counts_B)  # type: ignore[no-untyped-call]
        return pooled_BH
    return torch.from_numpy(_maxima(encoded_SH.numpy(), counts_B.numpy()))


def _segment_mean(encoded_SH: Tensor, counts_B: Tensor) -> Tensor:
    row_S = torch.repeat_interleave(counts_B, output_size=encoded_SH.shape[0])
    sums_BH = encoded_SH.new_zeros(counts_B.shape[0], encoded_SH.shape[1]).index_add_(0, row_S, encoded_SH)
    return sums_BH / counts_B.clamp(min=1).unsqueeze(1)


class _SegmentMax(torch.autograd.Function):
    """`torch.segment_reduce(..., "max", initial=0.0)` on the CPU, values and gradients to the last bit, in a tenth of its time.

    Torch walks each segment column by column, which no vector unit can follow.
    """

    @staticmethod
    def forward(ctx: Any, encoded_SH: Tensor, counts_B: Tensor) -> Tensor:
        pooled_BH = torch.from_numpy(_maxima(encoded_SH.detach().numpy(), counts_B.numpy()))
        ctx.save_for_backward(encoded_SH, counts_B, pooled_BH)
        return pooled_BH

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient_BH: Tensor) -> tuple[Tensor, None]:
        encoded_SH, counts_B, pooled_BH = ctx.saved_tensors
        arrays = (encoded_SH.detach().numpy(), counts_B.numpy(), pooled_BH.detach().numpy(), gradient_BH.contiguous().numpy())
        return torch.from_numpy(_gradients(*arrays)), None


@compiled_beside
def _maxima(encoded_SH: FloatArray, counts_B: CountArray) -> FloatArray:
    """The largest value of each segment and column, at least 0; NaN where one of them is."""
    width = encoded_SH.shape[1]
    pooled_BH = np.zeros((len(counts_B), width), dtype=encoded_SH.dtype)
    peer = 0
    for row in range(len(counts_B)):
        for _ in range(counts_B[row]):
            for column in range(width):
                value, largest = encoded_SH[peer, column], pooled_BH[row, column]
                pooled_BH[row, column] = value if value > largest or value != value else largest
            peer += 1
    return pooled_BH


@compiled_beside
def _gradients(encoded_SH: FloatArray, counts_B: CountArray, pooled_BH: FloatArray, gradient_BH: FloatArray) -> FloatArray:
    """Each maximum's gradient goes to the value that is the maximum.

    Where several values are, torch divides a positive gradient among them and gives a negative one to each in full; so does this.
    """
    width = encoded_SH.shape[1]
    gradients_SH = np.empty_like(encoded_SH)
    shares_H = np.empty(width, dtype=np.int64)
    begin = 0
    for row in range(len(counts_B)):
        end = begin + counts_B[row]
        shares_H[:] = 0
        for peer in range(begin, end):
            for column in range(width):
                value = encoded_SH[peer, column]
                is_largest = value == pooled_BH[row, column] or value != value
                shares_H[column] += is_largest
                gradients_SH[peer, column] = gradient_BH[row, column] if is_largest else 0.0
        for column in range(width):
            if shares_H[column] > 1 and gradient_BH[row, column] > 0.0:
                for peer in range(begin, end):
                    if gradients_SH[peer, column] > 0.0:
                        gradients_SH[peer, column] = gradient_BH[row, column] / encoded_SH.dtype.type(shares_H[column])
        begin = end
    return gradients_SH
