"""Where this copy of RoadSense comes from: the root of its source tree and the commit that is checked out."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

UNKNOWN_COMMIT = "unknown"
_SOURCE_ROOT = Path(__file__).resolve().parent.parent


def source_root() -> Path:
    """The folder that holds the package: the top of the repository in a source tree."""
    return _SOURCE_ROOT


def source_commit() -> str:
    """The commit of the source tree; else GIT_COMMIT from the environment (images hold no .git); else "unknown"."""
    return _head_of(_SOURCE_ROOT) or os.environ.get("GIT_COMMIT", "").strip() or UNKNOWN_COMMIT


def _head_of(root: Path) -> str | None:
    # A package installed below some other project's checkout must not report that project's commit.
    if not (root / ".git").exists():
        return None
    # Git sets these for hooks, and they would point the command at another repository.
    environment = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
    command = ["git", "-C", str(root), "rev-parse", "HEAD"]
    try:
        result = subprocess.run(command, capture_output=True, text=True, timeout=10, check=False, env=environment)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return result.stdout.strip() if result.returncode == 0 else None
