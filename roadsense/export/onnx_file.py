"""Writes and runs `policy.onnx`: physical values in, action out, a dynamic number of peers.

The graph is written operator by operator. torch's exporter was tried: it needs onnxscript, leaves stack traces with local paths in the
file, and turns a Python `if n == 0` or a bare maximum into a graph that gives NaN for no peers, without any warning.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

import numpy as np

from roadsense.errors import PolicyError
from roadsense.export.artifact import Decision
from roadsense.export.dependencies import onnx_library, onnxruntime_library
from roadsense.export.layers import FloatArray, Layer, Network
from roadsense.features import EGO_SCALES, EGO_SIZE, PEER_SCALES, PEER_SIZE, RELEASE_THRESHOLD
from roadsense.model.action import CONCENTRATION_LIMIT, LEAST_GATE_LOGIT
from roadsense.model.inputs import MAGNIFIED, SIDED
from roadsense.model.settings import ACTION_PARAMETERS

# Old enough for every runtime of the last years, new enough for reductions with axes as an input.
_OPSET: Final = 18
_IR_VERSION: Final = 8
_ERRORS_ONLY: Final = 3


def onnx_model(network: Network, description: str) -> bytes:
    """The file's bytes, the same for the same policy.

    Inputs: `ego` (E,) and `peers` (n, F), float32, physical units in the order of `roadsense.features`. Outputs: `action` () and
    `action_parameters` (3,). A NaN or infinite input makes both outputs NaN instead of being dropped from a maximum.

    Args:
        network: the layers.
        description: one line that says where the policy comes from.
    """
    onnx = onnx_library()
    graph = _Graph(onnx)
    ego, peers = "ego", "peers"
    ego_row = graph.node("Reshape", ego, graph.integers([1, EGO_SIZE]))
    ego_inputs = graph.squashed(ego_row, EGO_SCALES)
    hidden = graph.squashed(graph.mirrored(peers) if network.mirrors else peers, PEER_SCALES)
    if network.sees_ego:
        hidden = graph.node("Concat", hidden, graph.repeated(ego_inputs, peers), axis=1)
    for layer in network.encoder:
        hidden = graph.linear(hidden, layer)
    parts = [ego_inputs]
    for kind in network.pools:
        parts.append(graph.largest(hidden, network) if kind == "max" else graph.mean(hidden, peers))
    hidden = graph.node("Concat", *parts, axis=1)
    for layer in network.head:
        hidden = graph.linear(hidden, layer)
    poison = graph.node("Add", graph.zero_unless_finite(ego_row), graph.zero_unless_finite(peers))
    parameters = graph.node("Reshape", graph.node("Add", hidden, poison), graph.integers([ACTION_PARAMETERS]), output="action_parameters")
    graph.action(parameters, poison)
    make = onnx.helper.make_tensor_value_info
    kind = onnx.TensorProto.FLOAT
    inputs = [make(ego, kind, [EGO_SIZE]), make(peers, kind, ["n", PEER_SIZE])]
    outputs = [make("action", kind, []), make("action_parameters", kind, [ACTION_PARAMETERS])]
    model = onnx.helper.make_model(
        onnx.helper.make_graph(graph.nodes, "roadsense_policy", inputs, outputs, graph.constants, doc_string=description),
        opset_imports=[onnx.helper.make_opsetid("", _OPSET)],
        ir_version=_IR_VERSION,
        producer_name="roadsense",
    )
    onnx.checker.check_model(model, full_check=True)
    return bytes(model.SerializeToString(deterministic=True))


class OnnxPolicy:
    """A `policy.onnx` as an artifact, in ONNX Runtime on one thread.

    Args:
        path: the file.

    Raises:
        DependencyError: ONNX Runtime is missing. PolicyError: the file is missing or is no such model.
    """

    def __init__(self, path: Path) -> None:
        runtime = onnxruntime_library()
        options = runtime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        options.log_severity_level = _ERRORS_ONLY
        try:
            self._session = runtime.InferenceSession(path.read_bytes(), options, providers=["CPUExecutionProvider"])
        except Exception as problem:  # ONNX Runtime raises a dozen classes that share no base but this
            first = str(problem).strip().splitlines()[0]
            raise PolicyError(f"{path}: cannot be loaded as an ONNX model ({first}); give the policy.onnx of an export") from None
        if [value.name for value in self._session.get_inputs()] != ["ego", "peers"]:
            raise PolicyError(f"{path}: has other inputs than ego and peers; give the policy.onnx of an export")

    def decide(self, ego_E: FloatArray, peers_NF: FloatArray) -> Decision:
        """See `Artifact`."""
        action, parameters = self._session.run(["action", "action_parameters"], {"ego": ego_E, "peers": peers_NF})
        return Decision(parameters=np.asarray(parameters, np.float32), action=float(action))


class _Graph:
    """Nodes and constants of a graph in the making; every method returns the name of its result."""

    def __init__(self, onnx: Any) -> None:
        self._onnx = onnx
        self.nodes: list[Any] = []
        self.constants: list[Any] = []

    def node(self, kind: str, *inputs: str, output: str | None = None, **attributes: Any) -> str:
        name = output or f"{kind.lower()}_{len(self.nodes)}"
        self.nodes.append(self._onnx.helper.make_node(kind, list(inputs), [name], **attributes))
        return name

    def floats(self, values: Any) -> str:
        return self._constant(np.asarray(values, np.float32))

    def integers(self, values: list[int]) -> str:
        return self._constant(np.asarray(values, np.int64))

    def _constant(self, array: Any) -> str:
        name = f"constant_{len(self.constants)}"
        self.constants.append(self._onnx.numpy_helper.from_array(array, name))
        return name

    def squashed(self, physical: str, scales: Any) -> str:
        """(N, F) physical values as network inputs (N, 2 F); see `roadsense.model.inputs`."""
        entries = self.node("Div", physical, self.floats(scales))
        return self.node("Tanh", self.node("Concat", entries, self.node("Mul", entries, self.floats(MAGNIFIED)), axis=1))

    def mirrored(self, peers: str) -> str:
        """Peers (n, F), those to the right as their mirror images to the left; see `roadsense.model.inputs`."""
        side = self.node("Slice", peers, *map(self.integers, ([SIDED[0]], [SIDED[0] + 1], [1])))
        is_right = self.node("Cast", self.node("Less", side, self.floats(0.0)), to=self._onnx.TensorProto.FLOAT)
        twice = np.zeros((1, PEER_SIZE))
        twice[0, list(SIDED)] = 2.0
        return self.node("Mul", peers, self.node("Sub", self.floats(1.0), self.node("Mul", is_right, self.floats(twice))))

    def linear(self, inputs: str, layer: Layer) -> str:
        outputs = self.node("Gemm", inputs, self.floats(layer.weight), self.floats(layer.bias), transB=1)
        return self.node("Relu", outputs) if layer.relu else outputs

    def repeated(self, row: str, peers: str) -> str:
        """A row (1, I) once for each peer, (n, I)."""
        count = self.node("Shape", peers, end=1)
        return self.node("Expand", row, self.node("Concat", count, self.integers([1]), axis=0))

    def largest(self, encoded: str, network: Network) -> str:
        """Maximum over the peers and a row of zeros, (1, H): the row changes nothing after a ReLU, and is what no peers pool to."""
        zeros = self.floats(np.zeros((1, network.settings.peer_width)))
        return self.node("ReduceMax", self.node("Concat", zeros, encoded, axis=0), self.integers([0]), keepdims=1)

    def mean(self, encoded: str, peers: str) -> str:
        count = self.node("Cast", self.node("Shape", peers, end=1), to=self._onnx.TensorProto.FLOAT)
        total = self.node("ReduceSum", encoded, self.integers([0]), keepdims=1)
        return self.node("Div", total, self.node("Max", count, self.floats([1.0])))

    def zero_unless_finite(self, values: str) -> str:
        """0 as (1, 1), or NaN when a value is NaN or infinite (x - x is 0 for finite x alone); 0 for no values."""
        return self.node("ReduceSum", self.node("Sub", values, values), self.integers([0, 1]), keepdims=1)

    def action(self, parameters: str, poison: str) -> None:
        """The formula of `roadsense.model.action`, as the output `action`."""
        gate, raw = (self.node("Slice", parameters, *map(self.integers, ([low], [high]))) for low, high in ((0, 1), (1, 3)))
        limit = self.floats(CONCENTRATION_LIMIT)
        softplus = self.node("Softplus", raw)
        bounded = self.node("Div", self.node("Mul", limit, softplus), self.node("Add", limit, softplus))
        alpha_beta = self.node("Add", self.floats(1.0), bounded)
        alpha = self.node("Slice", alpha_beta, self.integers([0]), self.integers([1]))
        share = self.node("Div", alpha, self.node("ReduceSum", alpha_beta, self.integers([0]), keepdims=1))
        spread = self.node("Mul", self.floats(1.0 - RELEASE_THRESHOLD), share)
        amount = self.node("Add", self.floats(RELEASE_THRESHOLD), spread)
        opens = self.node("Greater", gate, self.floats(LEAST_GATE_LOGIT))
        chosen = self.node("Where", opens, amount, self.floats([0.0]))
        # A NaN is greater than nothing, so it would read as "do not brake".
        told = self.node("Add", chosen, self.node("Reshape", poison, self.integers([1])))
        self.node("Reshape", told, self._constant(np.zeros(0, np.int64)), output="action")
