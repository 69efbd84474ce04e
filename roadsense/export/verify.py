"""How far an artifact is from torch, and whether that is near enough.

What torch says is computed in double precision, so that only the artifact's own rounding counts (torch's own float32 answers are as far
away as a float artifact's). The action parameters are sums of some sixty products, and rounding goes with the size of what is added up
rather than with what is left of it: |fl(x.y) - x.y| <= gamma_n |x|.|y| (Higham, Accuracy and Stability of Numerical Algorithms, 2002,
section 3.1). So their differences are divided by that size, `Expected.scales`, and are then shares that mean the same everywhere.

A float artifact sums in another order. Its action jumps where the gate's logit passes its threshold; where torch's own logit lies within
the tolerance of it (a tie), either side of the jump is right, and ties are counted.

An int8 artifact is another policy, near the first. Its limits are wide enough for 8 bits (rounding to 256 steps is a lottery whose largest
prize grows with the number of tickets, so one limit is for every case and a tighter one for 99 in 100) and narrow enough to catch a
wrong scale; the closed loop tells what the rest means on the road.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Final

import numpy as np

from roadsense.export.artifact import Artifact, Decision
from roadsense.export.cases import Case, DoubleArray, Expected
from roadsense.model.action import LEAST_GATE_LOGIT, deterministic_action


@dataclass(frozen=True, slots=True, kw_only=True)
class Tolerance:
    """What an artifact may differ by.

    Attributes:
        parameters: an action parameter in any case, as a share of what is added up for it.
        usual_parameters: the same in 99 of 100 cases.
        action: the action, where the gate says the same.
        gate: the share of cases in which the gate may say something else; 0 allows ties only.
    """

    parameters: float
    usual_parameters: float
    action: float
    gate: float

    @property
    def exact(self) -> bool:
        """Whether the gate must say the same but for ties."""
        return self.gate == 0


# Measured over three backends, four policies of 1,000,000 steps and 34,000 recorded observations: 5.2e-7, action 2.4e-7
# (docs/decisions/0008).
FLOAT: Final = Tolerance(parameters=2e-6, usual_parameters=2e-6, action=2e-6, gate=0.0)
# Sound exports of four policies: at most 0.07, in 99 of 100 cases 0.02; action 0.023, gate 0.06 %.
# Ranges 20 % too narrow: 0.21, 0.13, 0.13, 0.3 % at least (docs/decisions/0008).
INT8: Final = Tolerance(parameters=0.12, usual_parameters=0.04, action=0.05, gate=0.02)
_USUAL: Final = 0.99


@dataclass(frozen=True, slots=True, kw_only=True)
class GroupErrors:
    """The largest differences over the cases of one group.

    Attributes:
        cases: how many.
        parameter_error: of an action parameter.
        relative_error: of an action parameter, over the case's scale: what the tolerance is on.
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
    shares: list[float] = []
    for row, case in enumerate(cases):
        decided = artifact.decide(case.ego, case.peers)
        errors, problem = _errors(decided, expected.parameters[row], float(expected.scales[row]), tolerance)
        found[case.group] = _joined(found.get(case.group, GroupErrors()), errors)
        shares.append(errors.relative_error)
        if problem is not None:
            failures.append(f"{case.group} with {len(case.peers)} peers: {problem}")
    if not failures:
        failures = _over_all(shares, sum(errors.gate_differs for errors in found.values()), tolerance)
    return Verification(tolerance=tolerance, groups=found, failures=tuple(failures))


def _over_all(shares: Sequence[float], gate_differs: int, tolerance: Tolerance) -> list[str]:
    """What is wrong with the cases taken together."""
    if not shares:
        return []
    failures = []
    usual = float(np.quantile(shares, _USUAL))
    if usual > tolerance.usual_parameters:
        failures.append(
            f"in one of 100 cases an action parameter is off by {usual:.2g} or more, {tolerance.usual_parameters:.2g} is allowed"
        )
    allowed = math.ceil(tolerance.gate * len(shares))
    if gate_differs > allowed:
        failures.append(f"the gate says something else in {gate_differs} cases, {allowed} are allowed")
    return failures


def _errors(decided: Decision, reference: DoubleArray, scale: float, tolerance: Tolerance) -> tuple[GroupErrors, str | None]:
    parameters, action = decided.parameters, decided.action
    if parameters.shape != reference.shape or not (np.isfinite(parameters).all() and np.isfinite(action)):
        return GroupErrors(cases=1), f"it answers {parameters.tolist()} and {action}"
    parameter_error = float(np.abs(parameters - reference).max())
    open_gate = reference.copy()
    open_gate[0] = np.inf
    amount = float(deterministic_action(open_gate))
    tied = tolerance.exact and abs(float(reference[0]) - LEAST_GATE_LOGIT) <= tolerance.parameters * scale
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
    if errors.relative_error > tolerance.parameters:
        return errors, f"an action parameter is off by {errors.relative_error:.2g} of its terms, {tolerance.parameters:.2g} is allowed"
    if action_error > tolerance.action or (tolerance.exact and errors.gate_differs):
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
