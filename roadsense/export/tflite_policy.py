"""`encoder.tflite` and `head.tflite` as one artifact, in LiteRT: the firmware's part (squashing, pooling, the action) is done here.

One dynamic graph is not an option: TFLM takes it without complaint and computes something else. So the encoder runs once per peer, the
firmware keeps the running maximum (or sum), and the head runs once per decision. Squashing stays outside the graphs: quantised to 8 bits,
a forward distance would have steps of metres before it is magnified, and squashed it has steps of centimetres nearby.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, Final, Protocol

import numpy as np

from roadsense.errors import PolicyError
from roadsense.export.artifact import Decision, decision, network_entries
from roadsense.export.dependencies import litert_interpreter
from roadsense.export.layers import FloatArray
from roadsense.export.tflite_file import Quantization
from roadsense.features import EGO_SIZE, PEER_SIZE
from roadsense.model.inputs import COPIES, beside_one_ego, peer_inputs, squashed
from roadsense.model.settings import ACTION_PARAMETERS

ENCODER_PREFIX: Final = "encoder"
HEAD_PREFIX: Final = "head"


class Chain(Protocol):
    """One file in an interpreter: `inputs` real numbers in, `outputs` real numbers out."""

    inputs: int
    outputs: int

    def __call__(self, inputs: FloatArray, /) -> FloatArray:
        """Real numbers (I,) in, real numbers (O,) out."""
        ...


ChainLoader = Callable[[Path], Chain]


class TflitePolicy:
    """The pair of files as an artifact.

    Args:
        encoder: `encoder.tflite` or `encoder_int8.tflite`; its head lies beside it.
        pools: the kinds of pooling side by side, from the manifest.
        mirrors: whether peers to the right are given as their mirror images to the left, from the manifest too.
        load: what runs a file; LiteRT by default, TFLM in the tests.

    Raises:
        DependencyError: the interpreter is missing. PolicyError: a file is missing or cannot be run.
    """

    def __init__(self, encoder: Path, pools: tuple[str, ...], *, mirrors: bool = False, load: ChainLoader | None = None) -> None:
        load_chain = litert_chain if load is None else load
        self._pools = pools
        self._mirrors = mirrors
        self._encoder = load_chain(encoder)
        self._head = load_chain(head_beside(encoder))
        apart, ego_inputs = COPIES * PEER_SIZE, COPIES * EGO_SIZE
        self._sees_ego = self._encoder.inputs == apart + ego_inputs
        expected = apart + ego_inputs * self._sees_ego, ego_inputs + len(pools) * self._encoder.outputs, ACTION_PARAMETERS
        if (self._encoder.inputs, self._head.inputs, self._head.outputs) != expected:
            raise PolicyError(f"{encoder}: the encoder and the head beside it do not fit each other; export the policy again")

    def decide(self, ego_E: FloatArray, peers_NF: FloatArray) -> Decision:
        """See `Artifact`."""
        entries_E, entries_NF = network_entries(ego_E, peers_NF)
        largest = np.zeros(self._encoder.outputs, np.float32)  # the encoder ends in ReLU, so 0 is the value of no peers
        total = largest.copy()
        ego_I, inputs_NJ = squashed(entries_E), peer_inputs(entries_NF, mirrors=self._mirrors)
        for inputs in beside_one_ego(inputs_NJ, ego_I) if self._sees_ego else inputs_NJ:
            encoded = self._encoder(inputs)
            largest, total = np.maximum(largest, encoded), total + encoded
        pooled = {"max": largest, "mean": total / np.float32(max(1, len(entries_NF)))}
        return decision(self._head(np.concatenate([ego_I, *(pooled[kind] for kind in self._pools)])))


def head_beside(encoder: Path) -> Path:
    """The head that belongs to an encoder's file: the same name with the other beginning."""
    if not encoder.name.startswith(ENCODER_PREFIX):
        raise PolicyError(
            f"{encoder}: the name does not begin with {ENCODER_PREFIX!r}; give encoder.tflite or encoder_int8.tflite of an export"
        )
    return encoder.with_name(HEAD_PREFIX + encoder.name.removeprefix(ENCODER_PREFIX))


class LitertChain:
    """One file in LiteRT's interpreter; int8 files take and give real numbers through their own quantisation."""

    def __init__(self, model: bytes) -> None:
        module = litert_interpreter()
        # The delegate would print a line per model, and other kernels would run than those that the check has seen.
        resolver = module.OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES
        self._interpreter = module.Interpreter(model_content=model, num_threads=1, experimental_op_resolver_type=resolver)
        self._interpreter.allocate_tensors()
        source, target = self._interpreter.get_input_details()[0], self._interpreter.get_output_details()[0]
        self.inputs, self.outputs = int(source["shape"][-1]), int(target["shape"][-1])
        self._source, self._target = int(source["index"]), int(target["index"])
        self._encode, self._decode = quantization_of(source), quantization_of(target)

    def __call__(self, inputs: FloatArray) -> FloatArray:
        """Real numbers (I,) in, real numbers (O,) out."""
        row = inputs[None]
        self._interpreter.set_tensor(self._source, row if self._encode is None else self._encode.codes(row))
        self._interpreter.invoke()
        result = self._interpreter.get_tensor(self._target)[0]
        return np.asarray(result, np.float32) if self._decode is None else self._decode.values(result)


def litert_chain(path: Path) -> LitertChain:
    """Load a file into LiteRT; raises PolicyError when it is missing or no model."""
    try:
        return LitertChain(path.read_bytes())
    except OSError as problem:
        raise PolicyError(
            f"{path}: cannot be read ({problem.strerror}); give the encoder.tflite of an export, its head beside it"
        ) from None
    except (ValueError, RuntimeError) as problem:
        first = str(problem).strip().splitlines()[0]
        raise PolicyError(f"{path}: cannot be run as a TFLite model ({first}); give the encoder.tflite of an export") from None


def quantization_of(detail: dict[str, Any]) -> Quantization | None:
    """How a tensor of LiteRT or TFLM is quantised, from its description; None for float32."""
    if np.dtype(detail["dtype"]) != np.int8:
        return None
    parameters = detail["quantization_parameters"]
    return Quantization(scale=float(parameters["scales"][0]), zero_point=int(parameters["zero_points"][0]))
