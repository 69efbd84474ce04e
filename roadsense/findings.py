"""What a doctor finds: things that were looked at, what was seen, and what to type where something is wrong."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from roadsense.errors import DefectsFoundError


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One thing that was looked at.

    Attributes:
        what: its name.
        ok: whether it is as it should be.
        seen: what was found.
        remedy: what to type or do, empty where all is well.
        exit_code: what the command returns when it is not ok; 0 for what one can do without.
        problem: one word for what is not ok and cannot be done without.
    """

    what: str
    ok: bool
    seen: str
    remedy: str = ""
    exit_code: int = DefectsFoundError.exit_code
    problem: str = "MISSING"


def exit_code_of(findings: Iterable[Finding]) -> int:
    """The largest exit code among what is not ok, else 0: a missing dependency (4) comes before a defect (1)."""
    return max((finding.exit_code for finding in findings if not finding.ok), default=0)
