"""Where SUMO's programs are, and whether they have the version this package was measured with."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from importlib.metadata import Distribution, PackageNotFoundError, distribution
from pathlib import Path
from typing import Final

from roadsense.errors import DependencyError

SUMO_VERSION: Final = "1.28.0"
_ELF_MAGIC: Final = b"\x7fELF"


@dataclass(frozen=True, slots=True, kw_only=True)
class SumoProgram:
    """A SUMO program and the data directory it belongs to (None: SUMO finds its own)."""

    path: Path
    home: Path | None


@cache
def find_program(name: str) -> SumoProgram:
    """The program `name` (`sumo` or `sumo-gui`); looked up once per process.

    The wheel's own binary comes first, then `$SUMO_HOME/bin`, the directory of the interpreter, and PATH. Only real executables count:
    a wrapper script runs SUMO as its child, out of reach of the parent-death signal.

    Raises:
        DependencyError: there is none, or the installed packages have another version.
    """
    require_package("traci")
    wheel = _installed("eclipse-sumo")
    if wheel is not None:
        _check_version("eclipse-sumo", wheel.version)
    for program in _candidates(name, wheel):
        if _is_executable(program.path):
            return program
    raise DependencyError(f"no {name} program was found; install it with: pip install eclipse-sumo=={SUMO_VERSION}")


def require_package(name: str) -> None:
    """Raises DependencyError, with the command that helps, unless the Python package is installed in SUMO's version."""
    installed = _installed(name)
    if installed is None:
        raise DependencyError(f"the package {name} is missing; install it with: pip install {name}=={SUMO_VERSION}")
    _check_version(name, installed.version)


def check_answered_version(answer: str) -> None:
    """Raises DependencyError unless a running SUMO answered with the right version (`SUMO 1.28.0`)."""
    _check_version("SUMO", answer.removeprefix("SUMO").strip().removeprefix("v"))


def _check_version(what: str, version: str) -> None:
    if version != SUMO_VERSION:
        package = what if what != "SUMO" else "eclipse-sumo"
        raise DependencyError(f"{what} has version {version}, expected {SUMO_VERSION}; mend it with: pip install {package}=={SUMO_VERSION}")


def _installed(name: str) -> Distribution | None:
    try:
        return distribution(name)
    except PackageNotFoundError:
        return None


def _candidates(name: str, wheel: Distribution | None) -> Iterator[SumoProgram]:
    if wheel is not None:
        home = Path(str(wheel.locate_file("sumo"))).absolute()
        yield SumoProgram(path=home / "bin" / name, home=home)
    if os.environ.get("SUMO_HOME"):
        home = Path(os.environ["SUMO_HOME"]).absolute()
        yield SumoProgram(path=home / "bin" / name, home=home)
    yield SumoProgram(path=Path(sys.executable).parent / name, home=None)
    on_path = shutil.which(name)
    if on_path is not None:
        yield SumoProgram(path=Path(on_path).absolute(), home=None)


def _is_executable(path: Path) -> bool:
    try:
        with path.open("rb") as file:
            return os.access(path, os.X_OK) and file.read(len(_ELF_MAGIC)) == _ELF_MAGIC
    except OSError:
        return False
