"""Where the repository's `scenarios/` folder is, on a developer's machine and in an image."""

from __future__ import annotations

import os
from pathlib import Path

from roadsense.errors import DatasetError
from roadsense.provenance import source_root

SCENARIOS_VARIABLE = "ROADSENSE_SCENARIOS"
DEFAULT_BASE = "highway_fast"


def scenarios_root() -> Path:
    """The folder from ROADSENSE_SCENARIOS, else `scenarios/` of the source tree; raises DatasetError when there is none."""
    named = os.environ.get(SCENARIOS_VARIABLE, "").strip()
    root = Path(named).absolute() if named else source_root() / "scenarios"
    if not (root / "base").is_dir():
        raise DatasetError(f"{root}: holds no base scenarios; set {SCENARIOS_VARIABLE} to the repository's scenarios/ folder")
    return root


def default_base_dir() -> Path:
    """The folder of our own base scenarios."""
    return scenarios_root() / "base"


def default_scenario() -> Path:
    """The configuration that is driven when no dataset is given."""
    return default_base_dir() / DEFAULT_BASE / "scenario.sumocfg"
