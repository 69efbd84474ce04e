"""Parts that users bring from outside the package, named `module:function` in settings and on the command line.

Settings travel to every worker and into every run's configuration, so a name works there where a registration in the driver would not.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable
from typing import Any

from roadsense.errors import ConfigError


def import_callable(spec: str, what: str) -> Callable[..., Any]:
    """The function or class that `spec` names as `module:function`.

    Args:
        spec: for example `my_package.hazards:cut_in`.
        what: what it is to be, for the message: `hazard source`, `reward term`.

    Raises:
        ConfigError: not of that form, a module that cannot be imported, a name that it lacks, or something that cannot be called.
    """
    module_name, separator, name = spec.partition(":")
    if not separator or not module_name or not name:
        raise ConfigError(f"{what} {spec!r} is not of the form module:function; for example my_package.my_module:my_function")
    try:
        target = getattr(importlib.import_module(module_name), name)
    except ImportError as problem:
        raise ConfigError(f"{what} {spec!r}: cannot import {module_name!r} ({problem}); check the name and PYTHONPATH") from None
    except AttributeError:
        raise ConfigError(f"{what} {spec!r}: module {module_name!r} has no {name!r}; check the name") from None
    if not callable(target):
        raise ConfigError(f"{what} {spec!r}: {name!r} is a {type(target).__name__}; give a function")
    return target  # type: ignore[no-any-return]
