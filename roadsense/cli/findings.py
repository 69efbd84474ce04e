"""What a doctor found, line by line."""

from __future__ import annotations

from collections.abc import Iterable

from rich.console import Console

from roadsense.findings import Finding

_WIDTH = 9


def print_findings(console: Console, findings: Iterable[Finding]) -> None:
    """One line per finding, and below it what to type where something is wrong; a `note` is about what one can do without."""
    for finding in findings:
        mark = "ok" if finding.ok else finding.problem if finding.exit_code else "note"
        console.print(f"{mark:<{_WIDTH}}{finding.what}: {finding.seen}", soft_wrap=True, markup=False)
        if finding.remedy:
            console.print(f"{'':<{_WIDTH}}{finding.remedy}", soft_wrap=True, markup=False)
