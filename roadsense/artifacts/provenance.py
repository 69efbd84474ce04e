"""Where a run comes from: everything that is needed to tell whether two runs can be compared."""

from __future__ import annotations

import os
import platform
import sys
from collections.abc import Mapping
from datetime import UTC, datetime
from importlib import metadata
from typing import Any

from roadsense.provenance import source_commit

_PACKAGES = (
    "roadsense",
    "ray",
    "torch",
    "gymnasium",
    "numpy",
    "numba",
    "pyarrow",
    "eclipse-sumo",
    "traci",
    "sumolib",
    "libsumo",
    "stable-baselines3",
)

_DECISIVE = ("roadsense", "ray", "torch", "numpy", "eclipse-sumo")


def collect_provenance(inputs: Mapping[str, Any]) -> dict[str, Any]:
    """Commit, versions, machine and command line, with the run's own `inputs` (seeds, hashes) beside them."""
    return {
        "timestamp": datetime.now(UTC).isoformat(timespec="seconds"),
        "git_commit": source_commit(),
        "command": sys.argv,
        "python": platform.python_version(),
        "platform": platform.platform(),
        "cores": len(os.sched_getaffinity(0)),
        "container_image": os.environ.get("ROADSENSE_CONTAINER_IMAGE"),
        "packages": {name: _version(name) for name in _PACKAGES},
        **inputs,
    }


def decisive_versions() -> dict[str, str]:
    """Versions of the packages that decide how a training goes on; a checkpoint remembers them."""
    return {name: _version(name) or "none" for name in _DECISIVE}


def _version(name: str) -> str | None:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None
