"""SUMO's command line: what the caller drives, and how this package runs it. Where both speak, the package wins."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

from roadsense.config import STEP_LENGTH_S

# `collision.action warn` keeps crashed cars on the road where their speeds can be read; the default teleports them away, and already at
# `minGap`. A car that stands for 300 s would be teleported too.
_FIXED: Final = {
    "step-length": f"{STEP_LENGTH_S:g}",
    "random": "false",
    "collision.action": "warn",
    "collision.mingap-factor": "0",
    "collision.check-junctions": "true",
    "collision.stoptime": "0",
    "time-to-teleport": "-1",
    "time-to-teleport.highways": "0",
    "no-step-log": "true",
    "duration-log.disable": "true",
}
_FIXED_GUI: Final = {"start": "true", "quit-on-end": "true", "window-size": "1200,600"}
_OWN: Final = frozenset({*_FIXED, *_FIXED_GUI, "seed", "remote-port", "num-clients", "log", "error-log", "no-warnings"})
_SYNONYMS: Final = {
    "srand": "seed",
    "abs-rand": "random",
    "l": "log",
    "log-file": "log",
    "no-duration-log": "duration-log.disable",
    "W": "no-warnings",
    "S": "start",
    "Q": "quit-on-end",
}
_NUMBER: Final = re.compile(r"-[\d.]")


def run_options(options: Sequence[str], *, seed: int, gui: bool = False) -> list[str]:
    """The full option list, less port and logs: the caller's options without those that are fixed here, then the fixed ones.

    SUMO refuses an option that is given twice, so the caller's is left out rather than overridden.
    """
    fixed = {**_FIXED, **(_FIXED_GUI if gui else {}), "seed": str(seed)}
    return [*_without_own(options), *(text for name, value in fixed.items() for text in (f"--{name}", value))]


def _without_own(options: Sequence[str]) -> list[str]:
    kept: list[str] = []
    position = 0
    while position < len(options):
        size = _size(options, position)
        if not _is_name(options[position]) or _name(options[position]) not in _OWN:
            kept.extend(options[position : position + size])
        position += size
    return kept


def _name(option: str) -> str:
    name = option.partition("=")[0].lstrip("-")
    return _SYNONYMS.get(name, name)


def _size(options: Sequence[str], position: int) -> int:
    """1 for `--name=value` and for a switch, 2 for `--name value`."""
    if not _is_name(options[position]) or "=" in options[position]:
        return 1
    following = options[position + 1 : position + 2]
    return 2 if following and not _is_name(following[0]) else 1


def _is_name(text: str) -> bool:
    return text.startswith("-") and len(text) > 1 and _NUMBER.match(text) is None
