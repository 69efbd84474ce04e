"""The files in the interpreter of the devices, TensorFlow Lite for Microcontrollers itself."""

import numpy as np
import pytest
from export_support import observations
from tflite_micro.python.tflite_micro import runtime

from roadsense.export.cases import drawn_cases, expected_of, recorded_cases
from roadsense.export.tflite_policy import TflitePolicy, litert_chain, quantization_of
from roadsense.export.verify import FLOAT, INT8, verify

POOLS = ["max", "mean", "max+mean", "beside ego", "mirrored"]


class TflmChain:
    """One file in TFLM, with the arena that the documentation promises to be enough."""

    arena_bytes = 8 * 1024

    def __init__(self, path):
        self._interpreter = runtime.Interpreter.from_bytes(path.read_bytes(), arena_size=self.arena_bytes)
        source, target = self._interpreter.get_input_details(0), self._interpreter.get_output_details(0)
        self.inputs, self.outputs = int(source["shape"][-1]), int(target["shape"][-1])
        self._encode, self._decode = quantization_of(source), quantization_of(target)

    def __call__(self, inputs):
        row = inputs[None]
        self._interpreter.set_input(row if self._encode is None else self._encode.codes(row), 0)
        self._interpreter.invoke()
        result = self._interpreter.get_output(0)[0].copy()
        return result if self._decode is None else self._decode.values(result)


@pytest.mark.parametrize("pool", POOLS)
def test_float_files_in_tflm_equal_torch(exports, policies, pool):
    artifact = TflitePolicy(
        exports[pool] / "encoder.tflite",
        tuple(policies[pool].settings.pool.split("+")),
        mirrors=policies[pool].settings.mirror_peers,
        load=TflmChain,
    )
    cases = list(drawn_cases())
    found = verify(artifact, cases, expected_of(policies[pool], cases), tolerance=FLOAT)
    assert found.failures == ()
    assert found.groups["n=0"].cases and found.groups["n=200"].cases


@pytest.mark.parametrize("pool", POOLS)
def test_int8_files_in_tflm_are_within_the_limit(exports, policies, pool):
    artifact = TflitePolicy(
        exports[pool] / "encoder_int8.tflite",
        tuple(policies[pool].settings.pool.split("+")),
        mirrors=policies[pool].settings.mirror_peers,
        load=TflmChain,
    )
    cases = list(recorded_cases(observations(40, seed=1000)))
    found = verify(artifact, cases, expected_of(policies[pool], cases), tolerance=INT8)
    assert found.failures == ()
    assert found.worst_relative_error > 1e-4  # these really are 8 bits


@pytest.mark.parametrize("part", ["encoder", "head"])
def test_tflm_and_litert_agree_bit_by_bit_on_int8(exports, part):
    """Integer arithmetic has one answer, so what was measured on a host holds on the device."""
    path = exports["max"] / f"{part}_int8.tflite"
    micro, lite = TflmChain(path), litert_chain(path)
    rng = np.random.default_rng(0)
    for _ in range(200):
        inputs = rng.uniform(-1, 1, size=lite.inputs).astype(np.float32)
        np.testing.assert_array_equal(micro(inputs), lite(inputs))


def test_the_files_hold_one_kind_of_operator_and_no_dynamic_shape(exports):
    from roadsense.export.dependencies import tflite_schema

    schema = tflite_schema()
    for name in ("encoder", "head", "encoder_int8", "head_int8"):
        data = (exports["max"] / f"{name}.tflite").read_bytes()
        assert data[4:8] == b"TFL3"
        model = schema.ModelT.InitFromPackedBuf(data, 0)
        assert [code.builtinCode for code in model.operatorCodes] == [schema.BuiltinOperator.FULLY_CONNECTED]
        assert all(tensor.shapeSignature is None and min(tensor.shape) > 0 for tensor in model.subgraphs[0].tensors)
