"""Every knob, with its unit, its default and its limits: one truth for command-line flags, JSON files and Tune.

`Settings` is the base of every validated structure that comes from outside (configuration, radio parameters, manifests): frozen, unknown
keys refused, NaN and infinity refused, and one line that names the key, what was seen and what to do.
"""

from __future__ import annotations

import difflib
import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Final, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from roadsense.errors import ConfigError, RoadSenseError

STEP_LENGTH_S: Final = 0.1
DEFAULT_EGO_ID: Final = "V001"


class Settings(BaseModel):
    """A frozen structure that refuses what it does not know."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False, validate_default=True)

    @classmethod
    def parse(cls, mapping: Mapping[str, Any], source: str, error: type[RoadSenseError] = ConfigError) -> Self:
        """Validate a mapping; raises `error` with one line that names the key, what was seen and what to do."""
        unusable = _unusable_text(mapping)
        if unusable is not None:
            raise error(f"{source}: the text {_short(unusable)} holds a character that no file system takes; correct the value")
        try:
            return cls.model_validate(dict(mapping))
        except ValidationError as invalid:
            raise error(f"{source}: {_first_problem(cls, invalid)}") from None

    @classmethod
    def load_json(cls, path: Path, error: type[RoadSenseError] = ConfigError) -> Self:
        """Read and validate a JSON file; raises `error` when it is missing, not JSON or refused."""
        return cls.parse(read_json_object(path, error), str(path), error)


def read_json_object(path: Path, error: type[RoadSenseError] = ConfigError) -> dict[str, Any]:
    """A JSON file that holds one object; raises `error` with one line otherwise."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise error(f"{path}: no such file; check the path") from None
    except (OSError, UnicodeDecodeError) as problem:
        raise error(f"{path}: cannot be read ({problem}); check that it is a readable text file") from None
    except (ValueError, RecursionError) as problem:  # JSONDecodeError, and the ValueError of an integer with thousands of digits
        raise error(f"{path}: not valid JSON ({problem}); restore or regenerate the file") from None
    if not isinstance(content, dict):
        raise error(f"{path}: holds a JSON {type(content).__name__}, expected an object; restore or regenerate the file")
    return content


class SumoSettings(Settings):
    """How SUMO is run; nothing here changes what an episode means, except `watch_radius_m`."""

    backend: Literal["traci", "traci-stock", "libsumo"] = Field(
        "traci",
        description="traci: own process over a socket; traci-stock: the same through the stock client; libsumo: inside this process",
    )
    gui: bool = Field(False, description="open sumo-gui instead of sumo")
    recycle_every: int = Field(200, ge=1, description="episodes after which the SUMO process is replaced")
    timeout_s: float = Field(30.0, gt=0, description="time after which a silent SUMO counts as hung")
    start_timeout_s: float = Field(30.0, gt=0, description="time SUMO may take to open its port")
    ego_wait_s: float = Field(60.0, ge=0, description="simulated time to wait for the ego to enter the road")
    watch_radius_m: float = Field(1500.0, gt=0, description="vehicles within this radius of the ego are observed")
    first_port: int = Field(20000, ge=1024, le=65535, description="first port of the band for TraCI")
    last_port: int = Field(29999, ge=1024, le=65535, description="last port of the band for TraCI")

    @model_validator(mode="after")
    def _check_band(self) -> Self:
        if self.last_port < self.first_port:
            raise ValueError(f"last_port {self.last_port} lies below first_port {self.first_port}; swap them")
        return self


def _unusable_text(value: object) -> str | None:
    """The first text in a structure that no path or command line can hold: with a null character, or half of a UTF-16 pair."""
    if isinstance(value, str):
        return value if "\0" in value or any("\ud800" <= letter <= "\udfff" for letter in value) else None
    inner: Iterable[object] = ()
    if isinstance(value, Mapping):
        inner = (*value.keys(), *value.values())
    elif isinstance(value, list | tuple):
        inner = value
    return next((found for part in inner if (found := _unusable_text(part)) is not None), None)


def _first_problem(cls: type[BaseModel], invalid: ValidationError) -> str:
    details = invalid.errors()
    first = details[0]
    where = ".".join(str(part) for part in first["loc"]) or "value"
    more = f" (and {len(details) - 1} more)" if len(details) > 1 else ""
    if first["type"] == "extra_forbidden":
        known = _known_keys(cls, first["loc"][:-1])
        close = difflib.get_close_matches(str(first["loc"][-1]), known, n=1)
        remedy = f"did you mean {close[0]!r}?" if close else f"known keys are {', '.join(known)}"
        return f"unknown key {where!r}; {remedy}{more}"
    if first["type"] == "missing":
        return f"key {where!r} is missing; add it{more}"
    message = first["msg"].removeprefix("Value error, ")
    return f"{where!r} is {_short(first['input'])}: {message[0].lower()}{message[1:]}; correct the value{more}"


def _known_keys(cls: type[BaseModel], location: tuple[int | str, ...]) -> list[str]:
    current: type[BaseModel] = cls
    for part in location:
        field = current.model_fields.get(str(part))
        if field is None or not (isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel)):
            return []
        current = field.annotation
    return list(current.model_fields)


def _short(value: object, limit: int = 60) -> str:
    text = repr(value)
    return text if len(text) <= limit else text[: limit - 3] + "..."
