"""The libraries of `roadsense[export]`, imported only where they are needed; one line names the remedy when one is missing."""

from __future__ import annotations

import importlib
from typing import Any

from roadsense.errors import DependencyError

_INSTALL = "pip install 'roadsense[export]'"


def tflite_schema() -> Any:
    """The generated FlatBuffers schema of TFLite; raises DependencyError."""
    return _library("ai_edge_litert.schema_py_generated", "ai-edge-litert")


def flatbuffers_library() -> Any:
    """FlatBuffers; raises DependencyError."""
    return _library("flatbuffers", "flatbuffers")


def litert_interpreter() -> Any:
    """The module with LiteRT's `Interpreter`; raises DependencyError."""
    return _library("ai_edge_litert.interpreter", "ai-edge-litert")


def onnx_library() -> Any:
    """ONNX; raises DependencyError."""
    return _library("onnx", "onnx")


def onnxruntime_library() -> Any:
    """ONNX Runtime; raises DependencyError."""
    return _library("onnxruntime", "onnxruntime")


def _library(module: str, package: str) -> Any:
    try:
        return importlib.import_module(module)
    except ImportError as problem:
        raise DependencyError(f"{package} cannot be imported ({problem}); install it with: {_INSTALL}") from None
