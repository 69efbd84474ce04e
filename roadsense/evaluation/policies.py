"""From what a user types to a policy: a reference policy's name, `module:function`, a run directory or a model file."""

from __future__ import annotations

import difflib
import importlib
from collections.abc import Callable
from pathlib import Path

import numpy as np

from roadsense.artifacts.layout import RunLayout
from roadsense.env.observation import Observation
from roadsense.errors import PolicyError
from roadsense.evaluation.reference_policies import REFERENCE_POLICIES, Policy


class FunctionPolicy:
    """A function of the observation as a policy; an optional `begin(rng)` attribute is called for every episode."""

    def __init__(self, function: Callable[[Observation], float]) -> None:
        self._function = function

    def begin(self, rng: np.random.Generator) -> None:
        """Hand the episode's stream to the function, if it wants one."""
        begin = getattr(self._function, "begin", None)
        if begin is not None:
            begin(rng)

    def __call__(self, observation: Observation) -> float:
        """The function's action."""
        return float(self._function(observation))


def resolve_policy(spec: str) -> Policy:
    """Build the policy that `spec` names.

    Raises:
        PolicyError: nothing of that name, a module that cannot be imported, or a model file that is refused.
    """
    if spec in REFERENCE_POLICIES:
        return REFERENCE_POLICIES[spec]()
    path = Path(spec)
    if path.is_dir():
        path = RunLayout(path).model
    if path.suffix == ".zip" or path.exists():
        return _load_model(path)
    if ":" in spec:
        return FunctionPolicy(_import_function(spec))
    close = difflib.get_close_matches(spec, REFERENCE_POLICIES, n=1)
    hint = f"did you mean {close[0]!r}?" if close else f"known are {', '.join(REFERENCE_POLICIES)}"
    raise PolicyError(f"no policy {spec!r}; {hint} Or give module:function, a run directory or a model_final.zip")


def _load_model(path: Path) -> Policy:
    from roadsense.model.policy_file import load_policy

    return FunctionPolicy(load_policy(path))


def _import_function(spec: str) -> Callable[[Observation], float]:
    module_name, _, name = spec.partition(":")
    try:
        target = getattr(importlib.import_module(module_name), name)
    except ImportError as problem:
        raise PolicyError(f"policy {spec!r}: cannot import {module_name!r} ({problem}); check the name and PYTHONPATH") from None
    except AttributeError:
        raise PolicyError(f"policy {spec!r}: module {module_name!r} has no {name!r}; check the name") from None
    # A class is a factory of stateful policies; a function is the policy itself.
    function: Callable[[Observation], float] = target() if isinstance(target, type) else target
    if not callable(function):
        raise PolicyError(f"policy {spec!r}: {name!r} is a {type(target).__name__}; give a function of the observation")
    return function
