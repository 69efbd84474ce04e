"""The objects of the running driver, for Tune's own copies of them: what it kept at the start comes back as what is there now."""

from __future__ import annotations

from typing import Any

_LIVE: dict[str, Any] = {}


def set_live(**objects: Any) -> None:
    """Name the objects of this driver."""
    _LIVE.update(objects)


def from_live(name: str) -> Any:
    """The object of that name; None in a process that has none."""
    return _LIVE.get(name)
