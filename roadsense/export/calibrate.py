"""The ranges of an int8 model, from recorded observations.

The true minimum and maximum of every activation, over every observation: a moving average, as converters use, forgets the emergencies,
which are rare and the reason for the whole model. Beside the sets of peers that were recorded, no peers at all and larger sets of them go
through the head, as a device may meet more cars than any recording held.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from roadsense.errors import UsageError
from roadsense.export.layers import FloatArray, Layer, Network
from roadsense.export.tflite_file import Quantization
from roadsense.model.inputs import squashed
from roadsense.seeding import named_stream

_CROWDS: Final = (8, 50, 200)
_DRAWS: Final = 200
_SEED: Final = 20_260


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
    egos_BE = np.stack([np.asarray(observation["ego"], np.float32) for observation in observations])
    heard = zip(egos_BE, np.split(peers_SF, np.cumsum(counts)[:-1]), strict=True)
    encoder, encoded_SH = _ranges(network.encoder, np.concatenate([network.encoder_inputs(ego_E, peers_NF) for ego_E, peers_NF in heard]))
    pooled_BP = np.stack([network.pooled(part) for part in np.split(encoded_SH, np.cumsum(counts)[:-1])])
    rng = named_stream(_SEED, "export calibration")
    rows = rng.integers(len(observations), size=len(_CROWDS) * _DRAWS)
    crowds_BP = np.stack(
        [network.pooled(encoded_SH[rng.integers(len(encoded_SH), size=count)]) for count in _CROWDS for _ in range(_DRAWS)]
    )
    inputs = np.concatenate(
        [
            np.concatenate([squashed(egos), pooled], axis=1)
            for egos, pooled in ((egos_BE, pooled_BP), (egos_BE, np.zeros_like(pooled_BP)), (egos_BE[rows], crowds_BP))
        ]
    )
    head, _ = _ranges(network.head, inputs)
    return Ranges(encoder=encoder, head=head)


def _ranges(layers: Sequence[Layer], inputs_NI: FloatArray) -> tuple[tuple[Quantization, ...], FloatArray]:
    seen = [inputs_NI]
    for layer in layers:
        seen.append(layer(seen[-1]))
    return tuple(Quantization.of_range(float(values.min()), float(values.max())) for values in seen), seen[-1]
