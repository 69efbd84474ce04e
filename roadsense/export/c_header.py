"""Writes `policy.h`: the template in `firmware/` with this policy's sizes, scales and weights."""

from __future__ import annotations

import re
from collections.abc import Sequence
from importlib.resources import files
from typing import Final

import numpy as np

from roadsense.export.layers import Layer, Network
from roadsense.features import EGO_FEATURES, EGO_SIZE, PEER_FEATURES, PEER_SIZE, RELEASE_THRESHOLD, Feature
from roadsense.model.action import CONCENTRATION_LIMIT, LEAST_GATE_LOGIT
from roadsense.model.inputs import COPIES, MAGNIFIED, SIDED
from roadsense.model.settings import ACTION_PARAMETERS

_NUMBERS_PER_LINE: Final = 8
_PLACEHOLDER: Final = re.compile(r"@([A-Z0-9_]+)@")
_POOL_STEPS: Final = {
    "max": "    pooled[{place}] = encoded[i] > pooled[{place}] ? encoded[i] : pooled[{place}];",
    "mean": "    pooled[{place}] += encoded[i];",
}

_BESIDE_EGO: Final = "  memcpy(inputs + ROADSENSE_PEER_INPUTS, policy->inputs, ROADSENSE_EGO_INPUTS * sizeof(float));\n"


def firmware_source(name: str) -> str:
    """The text of a file in `firmware/`."""
    return files("roadsense.export.firmware").joinpath(name).read_text(encoding="utf-8")


def policy_header(network: Network, weights_sha256: str, provenance: str) -> str:
    """The text of `policy.h`.

    Args:
        network: the layers.
        weights_sha256: the fingerprint of the weights, for firmware that wants to say what it runs.
        provenance: one line that says where the policy comes from.
    """
    encoded = network.encoder[-1].weight.shape[0]
    widths = [width for layer in (*network.encoder, *network.head) for width in layer.weight.shape]
    values = {
        "PROVENANCE": provenance.replace("*/", "* /"),
        "WEIGHTS_SHA256": weights_sha256,
        "RELEASE_THRESHOLD": c_float(RELEASE_THRESHOLD),
        "EGO_SIZE": str(EGO_SIZE),
        "PEER_SIZE": str(PEER_SIZE),
        "EGO_INPUTS": str(COPIES * EGO_SIZE),
        "PEER_INPUTS": str(COPIES * PEER_SIZE),
        "ENCODER_INPUTS": "(ROADSENSE_PEER_INPUTS + ROADSENSE_EGO_INPUTS)" if network.sees_ego else "ROADSENSE_PEER_INPUTS",
        "BESIDE_EGO": _BESIDE_EGO if network.sees_ego else "",
        "ENCODED": str(encoded),
        "POOLED": str(network.settings.pooled_size),
        "ACTION_PARAMETERS": str(ACTION_PARAMETERS),
        "WIDEST": str(max(widths)),
        "EGO_FIELDS": _fields(EGO_FEATURES),
        "PEER_FIELDS": _fields(PEER_FEATURES),
        "EGO_SCALES": ", ".join(c_float(feature.scale) for feature in EGO_FEATURES),
        "PEER_SCALES": ", ".join(c_float(feature.scale) for feature in PEER_FEATURES),
        "EGO_VALUES": ", ".join(f"ego->{feature.name}" for feature in EGO_FEATURES),
        "PEER_VALUES": ", ".join(f"peer->{feature.name}" for feature in PEER_FEATURES),
        "CONST_PEER": "" if network.mirrors else "const ",
        "MIRROR": _mirror() if network.mirrors else "",
        "MAGNIFIED": c_float(MAGNIFIED),
        "CONCENTRATION_LIMIT": c_float(CONCENTRATION_LIMIT),
        "LEAST_GATE_LOGIT": c_float(LEAST_GATE_LOGIT),
        "WEIGHTS": "\n".join([_arrays("encoder", network.encoder), _arrays("head", network.head)]),
        "POOL_STEPS": _pool_steps(network.pools),
        "MEAN_STEP": _mean_step(network.pools),
        "ENCODER_CALLS": _calls("encoder", network.encoder),
        "ENCODER_RESULT": _result(network.encoder),
        "HEAD_CALLS": _calls("head", network.head),
        "HEAD_RESULT": _result(network.head),
    }
    return _PLACEHOLDER.sub(lambda match: values[match.group(1)], firmware_source("policy_template.h"))


def c_float(value: float) -> str:
    """The float32 nearest to `value` as a C literal; nine digits give it back bit for bit."""
    text = f"{np.float32(value):.9g}"
    return f"{text}f" if "." in text or "e" in text else f"{text}.0f"


def c_numbers(values: Sequence[float], indent: str = "  ") -> str:
    """Literals separated by commas, a few per line."""
    literals = [c_float(value) for value in values]
    lines = [", ".join(literals[start : start + _NUMBERS_PER_LINE]) for start in range(0, len(literals), _NUMBERS_PER_LINE)]
    return ",\n".join(indent + line for line in lines)


def _mirror() -> str:
    turns = "".join(f"    physical[{column}] = -physical[{column}]; /* {PEER_FEATURES[column].name} */\n" for column in SIDED)
    return f"  if (physical[{SIDED[0]}] < 0.0f) {{ /* to the right: its mirror image to the left */\n{turns}  }}\n"


def _fields(features: Sequence[Feature]) -> str:
    return "\n".join(f"  float {feature.name}; /* {feature.meaning} */" for feature in features)


def _arrays(part: str, layers: Sequence[Layer]) -> str:
    blocks = []
    for number, layer in enumerate(layers):
        outputs, inputs = layer.weight.shape
        weights, bias = c_numbers(layer.weight.reshape(-1).tolist()), c_numbers(layer.bias.tolist())
        blocks.append(f"static const float roadsense_{part}_weight_{number}[{outputs} * {inputs}] = {{\n{weights}}};")
        blocks.append(f"static const float roadsense_{part}_bias_{number}[{outputs}] = {{\n{bias}}};")
    return "\n".join(blocks)


def _calls(part: str, layers: Sequence[Layer]) -> str:
    lines = []
    for number, layer in enumerate(layers):
        outputs, inputs = layer.weight.shape
        source, target = ("a", "b") if number % 2 == 0 else ("b", "a")
        arrays = f"roadsense_{part}_weight_{number}, roadsense_{part}_bias_{number}"
        lines.append(f"  roadsense_linear({arrays}, {inputs}, {outputs}, {int(layer.relu)}, {source}, {target});")
    return "\n".join(lines)


def _result(layers: Sequence[Layer]) -> str:
    return "b" if len(layers) % 2 else "a"


def _pool_steps(pools: Sequence[str]) -> str:
    places = ["i", *(f"{number} * ROADSENSE_ENCODED + i" for number in range(1, len(pools)))]
    return "\n".join(_POOL_STEPS[kind].format(place=place) for kind, place in zip(pools, places, strict=True))


def _mean_step(pools: Sequence[str]) -> str:
    if "mean" not in pools:
        return ""
    first = f"ROADSENSE_EGO_INPUTS + {pools.index('mean')} * ROADSENSE_ENCODED"
    return (
        "  if (policy->peer_count > 1) {\n"
        "    int i;\n"
        f"    for (i = {first}; i < {first} + ROADSENSE_ENCODED; ++i) {{\n"
        "      a[i] /= (float)policy->peer_count;\n"
        "    }\n"
        "  }\n"
    )
