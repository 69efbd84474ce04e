"""The array library that an array belongs to, so that one formula serves NumPy and torch; torch is loaded only where a tensor is given."""

from __future__ import annotations

import importlib
from typing import Any

import numpy as np


def library_of(array: Any) -> Any:
    """`numpy` for an ndarray, else `torch`."""
    return np if isinstance(array, np.ndarray) else importlib.import_module("torch")
