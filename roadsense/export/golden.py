"""Golden vectors: inputs and torch's answers, as JSON for any language and as C arrays for the self-test on a device."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from roadsense.export.c_header import c_float
from roadsense.export.cases import Case, DoubleArray, Expected, expected_of
from roadsense.export.layers import FloatArray
from roadsense.export.verify import FLOAT
from roadsense.features import EGO_FEATURES, PEER_FEATURES
from roadsense.model.action import LEAST_GATE_LOGIT

if TYPE_CHECKING:
    from roadsense.model.inference import Policy

_PER_GROUP: Final = 2
_RECORDED: Final = 6
_MOST_PEERS: Final = 50  # the vectors must fit on a device beside the policy
_CLEAR_OF_THE_GATE: Final = 1e-3
# Another processor rounds its tanh and its sums otherwise; a wrong weight shows up hundreds of times larger.
_DEVICE_FACTOR: Final = 5


def golden_cases(policy: Policy, cases: Sequence[Case]) -> tuple[list[Case], Expected]:
    """A few cases of every group with at most 50 peers, braking and not braking where there are both; none near the edge of the gate."""
    small = [case for case in cases if len(case.peers) <= _MOST_PEERS and case.peers is case.ordered]
    answers = expected_of(policy, small)
    chosen: list[Case] = []
    for group in dict.fromkeys(case.group for case in small):
        wanted = _RECORDED if group == "recorded" else _PER_GROUP
        rows = [row for row, case in enumerate(small) if case.group == group and _is_clear(answers.parameters[row])]
        braking = [row for row in rows if answers.actions[row] > 0][: wanted // 2]
        others = [row for row in rows if answers.actions[row] == 0][: wanted - len(braking)]
        chosen += [small[row] for row in sorted(braking + others)]
    return chosen, expected_of(policy, chosen)


def golden_json(cases: Sequence[Case], expected: Expected, weights_sha256: str) -> str:
    """The text of `golden.json`; numbers are float32 written so that they come back bit for bit."""
    content: dict[str, Any] = {
        "format": "roadsense-golden",
        "format_version": 1,
        "weights_sha256": weights_sha256,
        "ego": [feature.name for feature in EGO_FEATURES],
        "peer": [feature.name for feature in PEER_FEATURES],
        "tolerance": {"action_parameters": parameter_tolerance(expected), "action": _DEVICE_FACTOR * FLOAT.action},
        "cases": [
            {
                "ego": _numbers(case.ego),
                "peers": [_numbers(row) for row in case.peers],
                "action_parameters": _numbers(expected.parameters[row]),
                "action": _numbers(expected.actions[row : row + 1])[0],
            }
            for row, case in enumerate(cases)
        ],
        "refused": "NaN or an infinity in any entry of the ego or of a peer",
    }
    return json.dumps(content, allow_nan=False, indent=1) + "\n"


def golden_header(cases: Sequence[Case], expected: Expected) -> str:
    """The text of `golden.h`: the same cases as C arrays."""
    peers = [row for case in cases for row in case.peers]
    first, lines = 0, []
    for row, case in enumerate(cases):
        parameters, action = _braces(expected.parameters[row]), c_float(float(expected.actions[row]))
        lines.append(f"  {{{_braces(case.ego)}, {first}, {len(case.peers)}, {parameters}, {action}}}")
        first += len(case.peers)
    return "\n".join(
        [
            "/* Golden vectors for check_golden.c and for the self-test of the sketch; the same as in golden.json. */",
            "#ifndef ROADSENSE_GOLDEN_H",
            "#define ROADSENSE_GOLDEN_H",
            "",
            '#include "policy.h"',
            "",
            f"#define ROADSENSE_GOLDEN_CASES {len(cases)}",
            f"#define ROADSENSE_GOLDEN_PARAMETER_TOLERANCE {c_float(parameter_tolerance(expected))}",
            f"#define ROADSENSE_GOLDEN_ACTION_TOLERANCE {c_float(_DEVICE_FACTOR * FLOAT.action)}",
            "",
            "typedef struct {",
            "  roadsense_ego ego;",
            "  int first_peer; /* in roadsense_golden_peers */",
            "  int peer_count;",
            "  float parameters[ROADSENSE_ACTION_PARAMETERS];",
            "  float action;",
            "} roadsense_golden_case;",
            "",
            f"static const roadsense_peer roadsense_golden_peers[{len(peers)}] = {{",
            ",\n".join(f"  {_braces(row)}" for row in peers) + "};",
            "",
            "static const roadsense_golden_case roadsense_golden_cases[ROADSENSE_GOLDEN_CASES] = {",
            ",\n".join(lines) + "};",
            "",
            "#endif /* ROADSENSE_GOLDEN_H */",
            "",
        ]
    )


def parameter_tolerance(expected: Expected) -> float:
    """What a device's action parameters may differ by: room for another tanh and another order of sums."""
    return _DEVICE_FACTOR * FLOAT.parameters * float(expected.scales.max(initial=1.0))


def _is_clear(parameters: DoubleArray) -> bool:
    return abs(float(parameters[0]) - LEAST_GATE_LOGIT) > _CLEAR_OF_THE_GATE


def _numbers(values: FloatArray | DoubleArray) -> list[float]:
    # The shortest decimal that a float32 reader turns into the same bits.
    return [float(str(value)) for value in values.astype(np.float32)]


def _braces(values: FloatArray | DoubleArray) -> str:
    return "{" + ", ".join(c_float(float(value)) for value in values) + "}"
