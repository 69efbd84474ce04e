"""From a path to an exported policy that can drive: `policy.h`, `policy.onnx`, `encoder.tflite`, or the whole directory."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from roadsense.errors import PolicyError
from roadsense.export.artifact import Artifact, ArtifactPolicy
from roadsense.export.layers import Network
from roadsense.export.manifest import MANIFEST_NAME, check_file, load_manifest

ARTIFACT_SUFFIXES: Final = (".h", ".onnx", ".tflite")
_IN_A_DIRECTORY: Final = "policy.h"  # what goes on the device


def is_export(path: Path) -> bool:
    """Whether a path is an exported artifact or a directory of them, by name."""
    return path.suffix in ARTIFACT_SUFFIXES or ((path / MANIFEST_NAME).is_file() and (path / "golden.json").is_file())


def load_exported(path: Path) -> ArtifactPolicy:
    """The artifact at `path` as a policy.

    Raises:
        PolicyError: no such artifact, or not the one that was exported. DependencyError: what runs it is missing.
    """
    if path.is_dir():
        exported = [name for name in (_IN_A_DIRECTORY, "policy.onnx", "encoder.tflite") if (path / name).is_file()]
        if not exported:
            raise PolicyError(f"{path}: holds no policy.h, policy.onnx or encoder.tflite; export the policy again")
        return load_exported(path / exported[0])
    if not path.is_file():
        raise PolicyError(f"{path}: no such file; give policy.h, policy.onnx or encoder.tflite of an export")
    check_file(path.parent, path.name)
    return ArtifactPolicy(load_artifact(path))


def load_artifact(path: Path, network: Network | None = None) -> Artifact:
    """The artifact itself, its hash not checked; what a TFLite file does not say is read from the manifest beside it, or from `network`."""
    if path.suffix == ".h":
        from roadsense.export.c_library import CompiledPolicy

        return CompiledPolicy(path)
    if path.suffix == ".onnx":
        from roadsense.export.onnx_file import OnnxPolicy

        return OnnxPolicy(path)
    from roadsense.export.tflite_policy import TflitePolicy, head_beside

    if network is not None:
        return TflitePolicy(path, network.pools, mirrors=network.mirrors)
    check_file(path.parent, head_beside(path).name)
    manifest = load_manifest(path.parent)
    return TflitePolicy(path, manifest.pool, mirrors=manifest.mirror_peers)
