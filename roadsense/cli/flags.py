"""Command-line flags from settings: every field is a flag of the same name, and hyphens may stand for underscores.

Values reach the settings as typed, so a wrong one is refused by the same line as in a JSON file.
"""

from __future__ import annotations

import argparse
import difflib
import json
from collections.abc import Mapping, Sequence
from types import NoneType
from typing import Any, NoReturn, TypeVar, get_args

from pydantic.fields import FieldInfo

from roadsense.config import Settings
from roadsense.errors import UsageError

SettingsType = TypeVar("SettingsType", bound=Settings)


class Parser(argparse.ArgumentParser):
    """Refuses with one line instead of a page of usage."""

    def error(self, message: str) -> NoReturn:
        """Raise UsageError; the command line prints it and returns its exit code."""
        raise UsageError(f"{message}; see {self.prog} --help")


def with_underscores(argv: Sequence[str]) -> list[str]:
    """`--total-timesteps=5` as `--total_timesteps=5`; values are left alone."""
    normal = []
    for word in argv:
        if word.startswith("--") and len(word) > 2:
            name, equals, value = word.partition("=")
            word = f"--{name[2:].replace('-', '_')}{equals}{value}"  # noqa: PLW2901
        normal.append(word)
    return normal


def add_settings_flags(parser: argparse.ArgumentParser, settings: type[Settings]) -> None:
    """One flag per plain field; nested settings are reached with `--set task.horizon_s=20`."""
    nested = []
    for name, field in settings.model_fields.items():
        if _is_settings(field):
            nested.append(name)
        elif field.annotation is bool:
            parser.add_argument(f"--{name}", action="store_true", default=None, help=field.description)
        else:
            parser.add_argument(f"--{name}", default=None, metavar=_metavar(field), help=_help(field))
    if nested:
        names = ", ".join(nested)
        parser.add_argument(
            "--set",
            action="append",
            default=[],
            metavar="KEY=VALUE",
            help=f"change one setting inside {names}; for example --set task.horizon_s=20",
        )


def settings_from_flags(settings: type[SettingsType], flags: argparse.Namespace, base: Mapping[str, Any] | None = None) -> SettingsType:
    """Settings from parsed flags, on top of `base` where a flag was not given.

    Raises:
        ConfigError: a value is refused. UsageError: a flag is missing, or a `--set` is no KEY=VALUE.
    """
    values: dict[str, Any] = dict(base or {})
    for name in settings.model_fields:
        given = getattr(flags, name, None)
        if given is not None:
            values[name] = given
    for assignment in getattr(flags, "set", []):
        _assign(values, assignment, _defaults(settings))
    missing = [name for name, field in settings.model_fields.items() if field.is_required() and name not in values]
    if missing:
        listed = ", ".join(f"--{name}" for name in missing)
        raise UsageError(f"{listed} {'is' if len(missing) == 1 else 'are'} missing; add {'it' if len(missing) == 1 else 'them'}")
    return settings.parse(values, "command line")


def suggest(word: str, known: Sequence[str]) -> str:
    """' (did you mean --x?)', or nothing."""
    close = difflib.get_close_matches(word, known, n=1)
    return f" (did you mean {close[0]}?)" if close else ""


def _defaults(settings: type[Settings]) -> dict[str, Any]:
    """The nested settings as they are when nothing is given: an assignment changes one value in them and leaves the others."""
    return {name: field.get_default().model_dump() for name, field in settings.model_fields.items() if _is_settings(field)}


def _assign(values: dict[str, Any], assignment: str, defaults: Mapping[str, Any]) -> None:
    key, equals, value = assignment.partition("=")
    if not equals or not key:
        raise UsageError(f"--set {assignment!r} is no KEY=VALUE; write for example --set task.horizon_s=20")
    *path, last = key.split(".")
    if path and path[0] not in values and path[0] in defaults:
        values[path[0]] = defaults[path[0]]
    place = values
    for part in path:
        inner = place.get(part)
        place[part] = dict(inner) if isinstance(inner, Mapping) else {}
        place = place[part]
    place[last] = _structure(assignment, value) if value.startswith(("{", "[")) else value


def _structure(assignment: str, value: str) -> Any:
    """A value that is an object or a list, as JSON: keys may then hold dots."""
    try:
        return json.loads(value)
    except ValueError as problem:
        raise UsageError(f"--set {assignment!r}: the value is no JSON ({problem}); quote keys and texts with double quotes") from None


def _is_settings(field: FieldInfo) -> bool:
    return isinstance(field.annotation, type) and issubclass(field.annotation, Settings)


def _metavar(field: FieldInfo) -> str:
    kinds = [kind for kind in (get_args(field.annotation) or (field.annotation,)) if kind is not NoneType]
    names = [kind.__name__ if isinstance(kind, type) else str(kind) for kind in kinds]
    return "|".join(names).upper()


def _help(field: FieldInfo) -> str:
    text = field.description or ""
    return text if field.default is None or field.is_required() else f"{text} (default: {field.default})"
