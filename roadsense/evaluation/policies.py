"""From what a user types to a policy: a reference policy's name, `module:function`, a run directory, a model file or an export."""

from __future__ import annotations

import difflib
from collections.abc import Callable
from pathlib import Path

import numpy as np

from roadsense.artifacts.layout import RunLayout
from roadsense.env.observation import Observation
from roadsense.errors import ConfigError, PolicyError
from roadsense.evaluation.reference import REFERENCE_POLICIES, Policy, PrivilegedPolicy
from roadsense.export.load import is_export, load_exported
from roadsense.extensions import import_callable


class FunctionPolicy:
    """A function of the observation as a policy."""

    def __init__(self, function: Callable[[Observation], float]) -> None:
        self._function = function

    def begin(self, _rng: np.random.Generator, /) -> None:
        """A function has no memory to clear."""

    def __call__(self, observation: Observation, /) -> float:
        """The function's action."""
        return float(self._function(observation))


def resolve_policy(spec: str) -> Policy:
    """Build the policy that `spec` names.

    Raises:
        PolicyError: nothing of that name, a module that cannot be imported, or a model file or export that is refused.
        DependencyError: what runs an exported artifact is missing.
    """
    if spec in REFERENCE_POLICIES:
        return REFERENCE_POLICIES[spec]()
    path = Path(spec)
    if is_export(path):
        return load_exported(path)
    if path.is_dir():
        path = RunLayout(path).model
    if path.suffix == ".zip" or path.exists():
        return _load_model(path)
    if ":" in spec:
        return _own_policy(spec)
    close = difflib.get_close_matches(spec, REFERENCE_POLICIES, n=1)
    hint = f"did you mean {close[0]!r}?" if close else f"known are {', '.join(REFERENCE_POLICIES)}"
    raise PolicyError(f"no policy {spec!r}; {hint} Or give module:function, a run directory, a model_final.zip or an export")


def _load_model(path: Path) -> Policy:
    from roadsense.model.policy_file import load_policy

    return FunctionPolicy(load_policy(path))


def _own_policy(spec: str) -> Policy:
    """A user's policy: a function, or a class of policies that is built without arguments."""
    try:
        target = import_callable(spec, "policy")
    except ConfigError as refused:
        raise PolicyError(str(refused)) from None
    if not isinstance(target, type):
        return FunctionPolicy(target)
    try:
        policy = target()
    except TypeError as problem:
        raise PolicyError(f"policy {spec!r}: cannot be built without arguments ({problem}); give every argument a default") from None
    if hasattr(policy, "attach") and not isinstance(policy, PrivilegedPolicy):
        raise PolicyError(f"policy {spec!r}: has attach(env) but lacks begin(rng) or __call__(observation); give it all three")
    if not callable(policy):
        raise PolicyError(f"policy {spec!r}: its objects cannot be called; give the class a __call__(observation)")
    return policy if isinstance(policy, Policy) else FunctionPolicy(policy)
