"""How far an artifact is from torch, and whether that is near enough.

A float artifact sums in another order than torch, so its action parameters differ in their last bits: by at most `FLOAT_TOLERANCE` times
the largest of the three (at least 1), and its action by at most `FLOAT_TOLERANCE`. The action jumps where the gate's logit passes its
threshold; where torch's own logit lies within the tolerance of it (a tie), either side of the jump is right, and ties are counted.

An int8 artifact is another policy, near the first. Its limits are wide enough for 8 bits (one step of the head's output is about a
hundredth of its range) and narrow enough to catch a wrong scale; how often its gate says something else is measured, and the closed loop
tells what that means on the road.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Final

import numpy as np

from roadsense.export.artifact import Artifact
from roadsense.export.cases import Case, Expected
from roadsense.export.layers import FloatArray
from roadsense.model.action import LEAST_GATE_LOGIT, deterministic_action


@dataclass(frozen=True, slots=True, kw_only=True)
class Tolerance:
    """What an artifact may differ by.

    Attributes:
        parameters: an action parameter, over the largest of the three (at least 1).
        action: the action, where the gate says the same.
        exact_gate: whether the gate must say the same but for ties.
    """

    parameters: float
    action: float
    exact_gate: bool


FLOAT_TOLERANCE: Final = 2e-6
FLOAT: Final = Tolerance(parameters=FLOAT_TOLERANCE, action=FLOAT_TOLERANCE, exact_gate=True)
INT8: Final = Tolerance(parameters=0.1, action=0.05, exact_gate=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class GroupErrors:
    """The largest differences over the cases of one group.

    Attributes:
        cases: how many.
        parameter_error: of an action parameter.
        relative_error: of an action parameter, over the largest of the case's three (at least 1): what the tolerance is on.
        action_error: of the action, where the gate says the same.
        gate_differs: cases in which the gate says something else, ties left out.
        ties: cases in which the logit is nearer to the threshold than the tolerance; none where the gate need not be exact.
    """

    cases: int = 0
    parameter_error: float = 0.0
    relative_error: float = 0.0
    action_error: float = 0.0
    gate_differs: int = 0
    ties: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Verification:
    """What came of comparing one artifact; `failures` is empty when it may be kept."""

    tolerance: Tolerance
    groups: dict[str, GroupErrors]
    failures: tuple[str, ...] = field(default=())

    def as_json(self) -> dict[str, Any]:
        """For the manifest."""
        return {"tolerance": asdict(self.tolerance), "largest_errors": {name: asdict(errors) for name, errors in self.groups.items()}}

    @property
    def worst_relative_error(self) -> float:
        """Over all groups."""
        return max((errors.relative_error for errors in self.groups.values()), default=0.0)

    @property
    def worst_action_error(self) -> float:
        """Over all groups, where the gate says the same."""
        return max((errors.action_error for errors in self.groups.values()), default=0.0)


def verify(artifact: Artifact, cases: Sequence[Case], expected: Expected, *, tolerance: Tolerance) -> Verification:
    """Compare an artifact with torch on every case.

    Args:
        artifact: what was exported, loaded from its file.
        cases: B inputs.
        expected: torch's answers to them.
        tolerance: what it may differ by.
    """
    found: dict[str, GroupErrors] = {}
    failures: list[str] = []
    for row, case in enumerate(cases):
        decided = artifact.decide(case.ego, case.peers)
        errors, problem = _errors(decided.parameters, decided.action, expected.parameters[row], tolerance)
        found[case.group] = _joined(found.get(case.group, GroupErrors()), errors)
        if problem is not None:
            failures.append(f"{case.group} with {len(case.peers)} peers: {problem}")
    return Verification(tolerance=tolerance, groups=found, failures=tuple(failures))


def _errors(parameters: FloatArray, action: float, reference: FloatArray, tolerance: Tolerance) -> tuple[GroupErrors, str | None]:
    if parameters.shape != reference.shape or not (np.isfinite(parameters).all() and np.isfinite(action)):
        return GroupErrors(cases=1), f"it answers {parameters.tolist()} and {action}"
    scale = max(1.0, float(np.abs(reference).max()))
    parameter_error = float(np.abs(parameters - reference).max())
    open_gate = reference.copy()
    open_gate[0] = np.inf
    amount = float(deterministic_action(open_gate))
    tied = tolerance.exact_gate and abs(float(reference[0]) - LEAST_GATE_LOGIT) <= tolerance.parameters * scale
    right = amount if reference[0] > LEAST_GATE_LOGIT else 0.0
    differs = (action > 0) != (right > 0)
    action_error = abs(action - (amount if action > 0 else 0.0)) if differs else abs(action - right)
    errors = GroupErrors(
        cases=1,
        parameter_error=parameter_error,
        relative_error=parameter_error / scale,
        action_error=action_error,
        gate_differs=int(differs and not tied),
        ties=int(tied),
    )
    allowed = tolerance.parameters * scale
    if parameter_error > allowed:
        return errors, f"an action parameter is off by {parameter_error:.2g}, {allowed:.2g} is allowed"
    if action_error > tolerance.action or (tolerance.exact_gate and errors.gate_differs):
        return errors, f"the action is {action:.9g}, torch says {right:.9g}"
    return errors, None


def _joined(a: GroupErrors, b: GroupErrors) -> GroupErrors:
    return GroupErrors(
        cases=a.cases + b.cases,
        parameter_error=max(a.parameter_error, b.parameter_error),
        relative_error=max(a.relative_error, b.relative_error),
        action_error=max(a.action_error, b.action_error),
        gate_differs=a.gate_differs + b.gate_differs,
        ties=a.ties + b.ties,
    )
