"""`manifest.json` of an export: everything that firmware needs to know and nobody should have to guess."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final, Literal

from roadsense.artifacts.files import sha256_of
from roadsense.config import Settings
from roadsense.errors import PolicyError
from roadsense.export.layers import Network
from roadsense.features import EGO_FEATURES, PEER_FEATURES, RELEASE_THRESHOLD, Feature
from roadsense.model.action import CONCENTRATION_LIMIT, LEAST_GATE
from roadsense.model.inputs import COPIES, MAGNIFIED

MANIFEST_NAME: Final = "manifest.json"


class FileRecord(Settings):
    """One file of an export."""

    sha256: str
    size_bytes: int


class ExportManifest(Settings):
    """The manifest; what only documents is kept as plain JSON."""

    format: Literal["roadsense-export"]
    format_version: Literal[1]
    weights_sha256: str
    pool: tuple[Literal["max", "mean"], ...]
    mirror_peers: bool = False
    inputs: dict[str, Any]
    action: dict[str, Any]
    tflite: dict[str, Any] | None
    files: dict[str, FileRecord]
    measured: dict[str, Any]
    provenance: dict[str, Any]


def manifest_content(
    network: Network,
    weights_sha256: str,
    *,
    files: Mapping[str, Path],
    tflite: Mapping[str, Any] | None,
    measured: Mapping[str, Any],
    provenance: Mapping[str, Any],
) -> dict[str, Any]:
    """The content of `manifest.json`.

    Args:
        network: the exported layers.
        weights_sha256: the fingerprint of the weights, the same as in `model_final.zip`.
        files: shown name -> where each file lies now.
        tflite: ranges of the int8 model and the like, if there is one.
        measured: by artifact, what the comparison with torch gave.
        provenance: where policy and export come from.
    """
    return {
        "format": "roadsense-export",
        "format_version": 1,
        "weights_sha256": weights_sha256,
        "pool": list(network.pools),
        "mirror_peers": network.mirrors,
        "inputs": {
            "units": "physical, SI and radians (counter-clockwise); policy.h and policy.onnx take them as they are",
            "ego": [_feature(feature) for feature in EGO_FEATURES],
            "peer": [_feature(feature) for feature in PEER_FEATURES],
            "normalisation": "entry = physical / scale",
            "sides": "a peer with left_m < 0 is given with left_m and relative_heading_rad times -1" if network.mirrors else "as they are",
            "network_inputs": f"the entries, then the entries times {MAGNIFIED:g}, all through tanh: {COPIES} numbers per entry",
            "encoder": "network inputs of the peer, then those of the ego" if network.sees_ego else "network inputs of the peer",
            "refused": "NaN and infinities: a peer with one is left out and reported; an ego with one gives no decision (action 0)",
        },
        "action": {
            "parameters": ["gate logit", "raw alpha", "raw beta"],
            "softplus": "s = log(1 + exp(raw))",
            "concentration": f"c = 1 + {CONCENTRATION_LIMIT:g} s / ({CONCENTRATION_LIMIT:g} + s)",
            "amount": f"{RELEASE_THRESHOLD} + {1 - RELEASE_THRESHOLD} alpha / (alpha + beta)",
            "rule": f"the amount where sigmoid(gate logit) > {LEAST_GATE}, else 0",
            "release_threshold": RELEASE_THRESHOLD,
            "meaning": "fraction of full braking (8 m/s2); at or below the release threshold the driver has the car",
        },
        "tflite": None if tflite is None else dict(tflite),
        "files": {name: {"sha256": sha256_of(path), "size_bytes": path.stat().st_size} for name, path in sorted(files.items())},
        "measured": dict(measured),
        "provenance": dict(provenance),
    }


def load_manifest(directory: Path) -> ExportManifest:
    """The manifest of an export directory; raises PolicyError when it is missing or refused."""
    return ExportManifest.load_json(directory / MANIFEST_NAME, PolicyError)


def check_file(directory: Path, name: str) -> None:
    """Make sure that a file is the one that was exported and proven.

    Raises:
        PolicyError: the manifest does not know it, or its content has changed.
    """
    manifest = load_manifest(directory)
    record = manifest.files.get(name)
    if record is None:
        raise PolicyError(f"{directory / name}: {MANIFEST_NAME} beside it does not list it; give a file of one export, with its manifest")
    try:
        digest = sha256_of(directory / name)
    except OSError as problem:
        raise PolicyError(f"{directory / name}: cannot be read ({problem.strerror}); export the policy again") from None
    if digest != record.sha256:
        raise PolicyError(f"{directory / name}: is not the file that was exported and proven (its hash differs); export the policy again")


def _feature(feature: Feature) -> dict[str, Any]:
    return {"name": feature.name, "scale": float(feature.scale), "meaning": feature.meaning}
