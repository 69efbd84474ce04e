"""Pages in one file: a template, styles and scripts put together; nothing is fetched when it is opened."""

from __future__ import annotations

from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from roadsense import __version__
from roadsense.artifacts.files import atomic_path


def write_page(path: Path, template: str, **content: Any) -> None:
    """Render a template of `roadsense/report/templates` to a file, complete or absent.

    Raises:
        RunDirectoryError: the file cannot be written.
    """
    text = _environment().get_template(template).render(version=__version__, **content)
    with atomic_path(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("roadsense.report"),
        autoescape=True,
        undefined=StrictUndefined,  # a misspelt name is an error, not an empty place
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.globals["asset"] = _asset
    return environment


@cache
def _asset(name: str) -> Markup:
    """A stylesheet or script of this package, to stand in the page as it is."""
    return Markup((files("roadsense.report") / "assets" / name).read_text(encoding="utf-8"))  # noqa: S704 - our own file
