"""The parameter sets that ship with the package, measured on pairs of ESP32 boards over ESP-NOW; docs/radio.md says what is assumed."""

from __future__ import annotations

import difflib
from importlib import resources
from pathlib import Path
from typing import Final

from roadsense.errors import ConfigError

PROFILE_NAMES: Final = ("convoy", "5m")
DEFAULT_PROFILE: Final = "convoy"


def packaged_profile(name: str) -> Path:
    """The file of a measured parameter set; raises `ConfigError` for a name that does not ship."""
    if name not in PROFILE_NAMES:
        close = difflib.get_close_matches(name, PROFILE_NAMES, n=1)
        remedy = f"did you mean {close[0]!r}?" if close else f"known profiles are {', '.join(PROFILE_NAMES)}"
        raise ConfigError(f"unknown radio profile {name!r}; {remedy}")
    return Path(str(resources.files(__name__) / f"emulator_params_{name}.json"))
