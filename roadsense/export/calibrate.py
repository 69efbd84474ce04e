"""The ranges of an int8 model, from recorded observations.

The true minimum and maximum of every activation, over every observation: a moving average, as converters use, forgets the emergencies,
which are rare and the reason for the whole model.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from roadsense.errors import UsageError
from roadsense.export.layers import FloatArray, Layer, Network
from roadsense.export.tflite_file import Quantization
from roadsense.model.inputs import squashed


@dataclass(frozen=True, slots=True, kw_only=True)
class Ranges:
    """How each tensor is quantised: the input and every layer's output, of both parts."""

    encoder: tuple[Quantization, ...]
    head: tuple[Quantization, ...]


def calibrate(network: Network, observations: Sequence[Mapping[str, Any]]) -> Ranges:
    """Ranges of all activations over the observations.

    Raises:
        UsageError: no peer was ever heard in them, so the encoder has no ranges.
    """
    counts = [observation["peers"].count for observation in observations]
    if not sum(counts):
        raise UsageError(f"{len(observations)} recorded observations hold no peer; record more episodes with --episodes for --int8")
    peers_SF: FloatArray = np.concatenate([observation["peers"].values for observation in observations])
    encoder, encoded_SH = _ranges(network.encoder, squashed(peers_SF))
    pooled_BP = np.stack([network.pooled(part) for part in np.split(encoded_SH, np.cumsum(counts)[:-1])])
    egos_BE = np.stack([np.asarray(observation["ego"], np.float32) for observation in observations])
    # No peers at all is rare in recordings, and must be inside the range all the same.
    alone_BP = np.zeros_like(pooled_BP)
    inputs = np.concatenate([np.concatenate([squashed(egos_BE), pooled], axis=1) for pooled in (pooled_BP, alone_BP)])
    head, _ = _ranges(network.head, inputs)
    return Ranges(encoder=encoder, head=head)


def _ranges(layers: Sequence[Layer], inputs_NI: FloatArray) -> tuple[tuple[Quantization, ...], FloatArray]:
    seen = [inputs_NI]
    for layer in layers:
        seen.append(layer(seen[-1]))
    return tuple(Quantization.of_range(float(values.min()), float(values.max())) for values in seen), seen[-1]
