"""Policies that stand beside every learned one, from doing nothing to knowing the future. A metric in which none fails says nothing.

The first five see what a learned policy sees; the last three are privileged and measure what a sensor or foresight would be worth. The
formulas stand in the modules, the choice of constants in `docs/reference_policies.md`.
"""

from __future__ import annotations

from typing import Final

from roadsense.evaluation.reference.constant import AlwaysBrake, NeverBrake
from roadsense.evaluation.reference.leak_rule import LeakRule
from roadsense.evaluation.reference.oracle import Oracle
from roadsense.evaluation.reference.policy import Policy, PrivilegedPolicy, TrueWorld
from roadsense.evaluation.reference.random_bursts import RandomBursts
from roadsense.evaluation.reference.ttc_leader import TimeToCollisionLeader
from roadsense.evaluation.reference.ttc_perfect_radio import TimeToCollisionPerfectRadio
from roadsense.evaluation.reference.ttc_radio import TimeToCollisionRadio

__all__ = ["REFERENCE_POLICIES", "Policy", "PrivilegedPolicy", "TrueWorld"]

REFERENCE_POLICIES: Final[dict[str, type[Policy]]] = {
    "never_brake": NeverBrake,
    "always_brake": AlwaysBrake,
    "random": RandomBursts,
    "leak_rule": LeakRule,
    "ttc_radio": TimeToCollisionRadio,
    "ttc_leader": TimeToCollisionLeader,
    "ttc_perfect_radio": TimeToCollisionPerfectRadio,
    "oracle": Oracle,
}
