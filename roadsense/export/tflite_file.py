"""Writes `.tflite` files of fully connected layers, in float32 or int8, that LiteRT and TFLM run alike.

The schema is the one that `ai-edge-litert` ships; a converter of a gigabyte is not needed for a chain of FULLY_CONNECTED operators.
Quantisation follows the TensorFlow Lite 8-bit specification (https://ai.google.dev/edge/litert/models/quantization_spec): activations
asymmetric int8 per tensor, weights symmetric int8 per output channel, biases int32 with the product of both scales.

Shape suffixes: I inputs and O outputs of a layer.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from roadsense.export.dependencies import flatbuffers_library, tflite_schema
from roadsense.export.layers import FloatArray, Layer

_FILE_IDENTIFIER: Final = b"TFL3"
_SCHEMA_VERSION: Final = 3
_INT8_LIMIT: Final = 127  # symmetric weights leave -128 out, so that a product of two never overflows its sum
_LEAST_RANGE: Final = 1e-6  # a tensor that was never anything but 0 still needs a scale


@dataclass(frozen=True, slots=True, kw_only=True)
class Quantization:
    """`real = scale * (code - zero_point)` with codes in [-128, 127]; the real 0 is a code exactly."""

    scale: float
    zero_point: int

    @classmethod
    def of_range(cls, low: float, high: float) -> Quantization:
        """The finest quantisation that holds [low, high] and 0."""
        low, high = min(low, 0.0), max(high, 0.0)
        scale = float(np.float32(max(high - low, _LEAST_RANGE) / 255))
        return cls(scale=scale, zero_point=int(np.clip(round(-128 - low / scale), -128, 127)))

    def codes(self, values: FloatArray) -> NDArray[np.int8]:
        """The nearest codes, half to even, clipped; any shape."""
        rounded = np.rint(values / np.float32(self.scale)) + self.zero_point
        codes: NDArray[np.int8] = np.clip(rounded, -128, 127).astype(np.int8)
        return codes

    def values(self, codes: NDArray[np.int8]) -> FloatArray:
        """The real numbers behind codes, float32; any shape."""
        return ((codes.astype(np.int32) - self.zero_point) * np.float32(self.scale)).astype(np.float32)


def float_chain(layers: Sequence[Layer], name: str) -> bytes:
    """A model of one input (1, I) and one output (1, O), both float32."""
    model = _Model(name)
    tensor = model.tensor("input", (1, layers[0].weight.shape[1]), "FLOAT32")
    first = tensor
    for number, layer in enumerate(layers):
        outputs, inputs = layer.weight.shape
        weight = model.tensor(f"weight_{number}", (outputs, inputs), "FLOAT32", data=layer.weight.astype("<f4").tobytes())
        bias = model.tensor(f"bias_{number}", (outputs,), "FLOAT32", data=layer.bias.astype("<f4").tobytes())
        result = model.tensor(_result_name(number, layers), (1, outputs), "FLOAT32")
        model.fully_connected((tensor, weight, bias), result, relu=layer.relu)
        tensor = result
    return model.serialized(first, tensor)


def int8_chain(layers: Sequence[Layer], ranges: Sequence[Quantization], name: str) -> bytes:
    """A model of one input (1, I) and one output (1, O), both int8.

    Args:
        layers: L layers.
        ranges: the quantisation of the input and of every layer's output, L + 1 of them.
        name: what a viewer shows.
    """
    model = _Model(name)
    tensor = model.tensor("input", (1, layers[0].weight.shape[1]), "INT8", scales=[ranges[0].scale], zero_point=ranges[0].zero_point)
    first = tensor
    for number, layer in enumerate(layers):
        outputs, inputs = layer.weight.shape
        channel_scales = np.maximum(np.abs(layer.weight).max(axis=1), _LEAST_RANGE).astype(np.float32) / np.float32(_INT8_LIMIT)
        codes = np.clip(np.rint(layer.weight / channel_scales[:, None]), -_INT8_LIMIT, _INT8_LIMIT).astype(np.int8)
        bias_scales = channel_scales.astype(np.float64) * ranges[number].scale
        bias_codes = np.clip(np.rint(layer.bias / bias_scales), -(2**31) + 1, 2**31 - 1).astype("<i4")
        weight = model.tensor(f"weight_{number}", (outputs, inputs), "INT8", data=codes.tobytes(), scales=channel_scales.tolist())
        bias = model.tensor(f"bias_{number}", (outputs,), "INT32", data=bias_codes.tobytes(), scales=bias_scales.tolist())
        after = ranges[number + 1]
        result = model.tensor(_result_name(number, layers), (1, outputs), "INT8", scales=[after.scale], zero_point=after.zero_point)
        model.fully_connected((tensor, weight, bias), result, relu=layer.relu)
        tensor = result
    return model.serialized(first, tensor)


def _result_name(number: int, layers: Sequence[Layer]) -> str:
    return "output" if number == len(layers) - 1 else f"hidden_{number}"


class _Model:
    """A model in the making: tensors, their data, operators."""

    def __init__(self, name: str) -> None:
        self._schema = tflite_schema()
        self._name = name
        self._tensors: list[Any] = []
        self._operators: list[Any] = []
        self._buffers: list[Any] = [self._schema.BufferT()]  # buffer 0 is empty by convention: tensors without data point to it

    def tensor(
        self,
        name: str,
        shape: tuple[int, ...],
        kind: str,
        *,
        data: bytes | None = None,
        scales: Sequence[float] = (),
        zero_point: int = 0,
    ) -> int:
        """Add a tensor and return its number."""
        schema = self._schema
        tensor = schema.TensorT()
        tensor.name, tensor.shape, tensor.type = name, list(shape), getattr(schema.TensorType, kind)
        tensor.buffer = 0
        if data is not None:
            buffer = schema.BufferT()
            buffer.data = np.frombuffer(data, np.uint8)
            self._buffers.append(buffer)
            tensor.buffer = len(self._buffers) - 1
        if scales:
            quantization = schema.QuantizationParametersT()
            quantization.scale = list(scales)
            quantization.zeroPoint = [zero_point] * len(scales)
            quantization.quantizedDimension = 0
            tensor.quantization = quantization
        self._tensors.append(tensor)
        return len(self._tensors) - 1

    def fully_connected(self, inputs: tuple[int, int, int], output: int, *, relu: bool) -> None:
        """Add an operator on (input, weight, bias)."""
        schema = self._schema
        options = schema.FullyConnectedOptionsT()
        activations = schema.ActivationFunctionType
        options.fusedActivationFunction = activations.RELU if relu else activations.NONE
        operator = schema.OperatorT()
        operator.opcodeIndex = 0
        operator.inputs, operator.outputs = list(inputs), [output]
        operator.builtinOptionsType, operator.builtinOptions = schema.BuiltinOptions.FullyConnectedOptions, options
        self._operators.append(operator)

    def serialized(self, first: int, last: int) -> bytes:
        """The file's bytes, the same for the same content."""
        schema = self._schema
        code = schema.OperatorCodeT()
        code.builtinCode = code.deprecatedBuiltinCode = schema.BuiltinOperator.FULLY_CONNECTED
        code.version = 1
        graph = schema.SubGraphT()
        graph.name, graph.tensors, graph.operators = self._name, self._tensors, self._operators
        graph.inputs, graph.outputs = [first], [last]
        model = schema.ModelT()
        model.version, model.description = _SCHEMA_VERSION, f"RoadSense {self._name}"
        model.operatorCodes, model.subgraphs, model.buffers = [code], [graph], self._buffers
        builder = flatbuffers_library().Builder(1 << 16)
        builder.Finish(model.Pack(builder), file_identifier=_FILE_IDENTIFIER)
        return bytes(builder.Output())
