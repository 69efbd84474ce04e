"""RoadSense: parallel training of V2V collision-avoidance policies on SUMO.

Importing the package is cheap (no ray, torch, traci or boto3) and registers `RoadSense-Convoy-v0` with Gymnasium.
`roadsense.load_policy` is loaded when it is first used.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import gymnasium

if TYPE_CHECKING:
    from roadsense.model.policy_file import load_policy as load_policy

__version__ = "0.1.0"


def __getattr__(name: str) -> Any:
    if name == "load_policy":
        from roadsense.model.policy_file import load_policy

        return load_policy
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted([*globals(), "load_policy"])


# The entry point is a string: registering loads nothing but Gymnasium.
gymnasium.register(id="RoadSense-Convoy-v0", entry_point="roadsense.env.convoy_env:ConvoyEnv")
