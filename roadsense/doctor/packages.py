"""Python packages: what this version of RoadSense asks for, and what is installed.

Read from the installed metadata alone: the doctor must be able to speak where torch or Ray cannot be imported.
"""

from __future__ import annotations

import platform
import re
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from importlib import metadata
from typing import Final

from roadsense.errors import DependencyError
from roadsense.findings import Finding
from roadsense.provenance import source_root

_REQUIREMENT: Final = re.compile(r"^\s*([A-Za-z0-9._-]+)\s*(?:\[[^\]]*\])?\s*\(?([^;)]*)\)?\s*(?:;(.*))?$")
_EXTRA: Final = re.compile(r"extra\s*==\s*['\"]([^'\"]+)['\"]")
_PYTHON: Final = "3.11"
_SHOWN: Final = ("eclipse-sumo", "traci", "sumolib", "ray", "torch")  # by name even when all is well
_USERS_EXTRAS: Final = ("libsumo", "export", "report")


@dataclass(frozen=True, slots=True, kw_only=True)
class Requirement:
    """One package: `wanted` is its condition, such as `==2.60.*`, or empty; `extra` is None for the base install."""

    name: str
    wanted: str
    extra: str | None


def package_findings() -> Iterator[Finding]:
    """Python, the base install's packages, and the extras."""
    yield _python()
    required = list(requirements())
    base = [_base_finding(requirement) for requirement in required if requirement.extra is None]
    yield from (finding for finding in base if not finding.ok or finding.what in _SHOWN)
    rest = sum(finding.ok and finding.what not in _SHOWN for finding in base)
    yield Finding(what="other packages", ok=True, seen=f"{rest} of {sum(finding.what not in _SHOWN for finding in base)} as required")
    for extra in _USERS_EXTRAS:
        yield _extra_finding(extra, [requirement for requirement in required if requirement.extra == extra])


def requirements() -> Iterator[Requirement]:
    """What pyproject.toml asks for: in a source tree from the file itself, else from the installed metadata.

    Raises:
        DependencyError: neither is there, so nothing can be compared.
    """
    project_file = source_root() / "pyproject.toml"
    try:
        project = tomllib.loads(project_file.read_text(encoding="utf-8"))["project"]
    except (OSError, tomllib.TOMLDecodeError, KeyError):
        yield from _installed_requirements()
        return
    for text in project["dependencies"]:
        yield _parsed(text, None)
    for extra, texts in project.get("optional-dependencies", {}).items():
        for text in texts:
            yield _parsed(text, extra)


def satisfies(version: str, wanted: str) -> bool:
    """Whether a version fulfils conditions like `==2.60.*`, `>=2` or `==2.13.0,<3`; a build's own label (`+cpu`) does not count."""
    public = version.partition("+")[0]
    for condition in filter(None, (part.strip() for part in wanted.split(","))):
        operator, bound = condition[:2].rstrip("0123456789."), condition.lstrip("=<>!~ ")
        if operator == "==" and bound.endswith(".*"):
            fits = f"{public}.".startswith(bound[:-1])
        elif operator == "==":
            fits = public == bound
        elif operator == "!=":
            fits = public != bound
        else:
            have, bar = _numbers(public), _numbers(bound)
            fits = {">=": have >= bar, "<=": have <= bar, ">": have > bar, "<": have < bar}.get(operator, True)
        if not fits:
            return False
    return True


def installed_version(name: str) -> str | None:
    """None where the package is not installed."""
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None


def _python() -> Finding:
    version = platform.python_version()
    return Finding(
        what="Python",
        ok=version.startswith(f"{_PYTHON}."),
        seen=version,
        remedy=""
        if version.startswith(f"{_PYTHON}.")
        else f"make the environment anew with Python {_PYTHON}: python{_PYTHON} -m venv .venv",
        exit_code=DependencyError.exit_code,
    )


def _base_finding(requirement: Requirement) -> Finding:
    version = installed_version(requirement.name)
    ok = version is not None and satisfies(version, requirement.wanted)
    pinned = f", expected {requirement.wanted.removeprefix('==')}" if requirement.wanted else ""
    return Finding(
        what=requirement.name,
        ok=ok,
        seen=f"{version}, as pinned" if ok and requirement.wanted else version if ok and version else f"{version or 'missing'}{pinned}",
        remedy="" if ok else f"pip install '{requirement.name}{requirement.wanted}'",
        exit_code=DependencyError.exit_code,
    )


def _extra_finding(extra: str, required: list[Requirement]) -> Finding:
    wrong = []
    for requirement in required:
        version = installed_version(requirement.name)
        if version is None:
            wrong.append(f"{requirement.name} is missing")
        elif not satisfies(version, requirement.wanted):
            wrong.append(f"{requirement.name} {version} instead of {requirement.wanted.removeprefix('==')}")
    return Finding(
        what=f"extra {extra}",
        ok=not wrong,
        seen="; ".join(wrong) or "installed",
        remedy=f"pip install 'roadsense[{extra}]'" if wrong else "",
        exit_code=0,
    )


def _installed_requirements() -> Iterator[Requirement]:
    try:
        texts = metadata.requires("roadsense") or []
    except metadata.PackageNotFoundError:
        raise DependencyError(
            f"what RoadSense requires cannot be told (no pyproject.toml at {source_root()}, no installed package); pip install roadsense"
        ) from None
    for text in texts:
        extra = _EXTRA.search(text.partition(";")[2])
        yield _parsed(text, None if extra is None else extra.group(1))


def _parsed(text: str, extra: str | None) -> Requirement:
    found = _REQUIREMENT.match(text)
    if found is None:
        raise DependencyError(f"the requirement {text!r} cannot be read; report this as a bug in RoadSense")
    return Requirement(name=found.group(1), wanted=found.group(2).strip(), extra=extra)


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in re.findall(r"\d+", version))
