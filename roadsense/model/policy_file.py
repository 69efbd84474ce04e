"""`model_final.zip`: a policy as data, loaded without executing anything and without trusting anything.

A stored (not compressed) zip of `model.json` (format, architecture, features, threshold, fingerprint, provenance) and one
`weights/<name>.npy` for each array that acting needs. The architecture says which members there must be and how large each is, so
nothing is read that was not expected. The same policy and metadata give the same bytes.
"""

from __future__ import annotations

import io
import json
import os
import struct
import tempfile
import zipfile
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from roadsense.config import Settings
from roadsense.errors import PolicyError
from roadsense.features import EGO_FEATURES, PEER_FEATURES, RELEASE_THRESHOLD, Feature
from roadsense.model.inference import Policy
from roadsense.model.settings import ModelSettings
from roadsense.model.weights import WEIGHT_TYPE, Weights, acting_weights, weights_digest

if TYPE_CHECKING:
    from roadsense.model.deep_sets import DeepSets

_DOCUMENT_NAME: Final = "model.json"
_MAX_DOCUMENT_BYTES: Final = 1 << 20
_MAX_FILE_BYTES: Final = 1 << 28
_MAX_HEADER_BYTES: Final = 1024  # of one .npy; NumPy writes 128
_EPOCH: Final = (1980, 1, 1, 0, 0, 0)  # the earliest time a zip can hold: equal policies give equal bytes
_BROKEN: Final = (zipfile.BadZipFile, OSError, EOFError, NotImplementedError, RuntimeError, ValueError, struct.error)


class _FeatureRecord(Settings):
    name: str
    scale: float


class _Document(Settings):
    format: Literal["roadsense-policy"]
    format_version: Literal[3]
    model: ModelSettings
    ego_features: tuple[_FeatureRecord, ...]
    peer_features: tuple[_FeatureRecord, ...]
    release_threshold: float
    weights_sha256: str = Field(pattern=r"^[0-9a-f]{64}$")
    metadata: dict[str, Any]


def save_policy(path: Path, model: DeepSets, metadata: Mapping[str, Any]) -> None:
    """Write the acting part of `model` to `path`, completely or not at all.

    Args:
        path: the zip file; its folder must exist.
        model: the network, with or without critic.
        metadata: JSON values that say where the policy comes from.

    Raises:
        PolicyError: a weight is not finite, the metadata are no JSON, or the file cannot be written.
    """
    weights = acting_weights(model)
    _check_finite(path, weights)
    document = _document(path, model.settings, weights, metadata)
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", zipfile.ZIP_STORED) as archive:
        _store(archive, _DOCUMENT_NAME, document)
        for name, array in weights.items():
            member = io.BytesIO()
            np.lib.format.write_array(member, array, version=(1, 0), allow_pickle=False)
            _store(archive, _member_name(name), member.getvalue())
    _write_atomically(path, content.getvalue())


def load_policy(path: str | Path) -> Policy:
    """Read a policy that `save_policy` wrote.

    Raises:
        PolicyError: the file is missing, is no such file, was changed, or expects other features; one line says which.
    """
    path = Path(path)
    try:
        if path.stat().st_size > _MAX_FILE_BYTES:
            raise PolicyError(f"{path}: is larger than {_MAX_FILE_BYTES >> 20} MiB, so it is no policy; check the path")
        with zipfile.ZipFile(path) as archive:
            return _read(path, archive)
    except FileNotFoundError:
        raise PolicyError(f"{path}: no such file; check the path") from None
    except _BROKEN as problem:
        raise PolicyError(f"{path}: cannot be read as a policy ({problem}); copy or save it again") from None


def _read(path: Path, archive: zipfile.ZipFile) -> Policy:
    members = {info.filename: info for info in archive.infolist()}
    if _DOCUMENT_NAME not in members:
        raise PolicyError(f"{path}: has no {_DOCUMENT_NAME}, so it is no policy; give a model_final.zip")
    document = _parse_document(path, _read_member(path, archive, members[_DOCUMENT_NAME], _MAX_DOCUMENT_BYTES))
    shapes = document.model.acting_shapes()
    expected = {_DOCUMENT_NAME, *map(_member_name, shapes)}
    unexpected = sorted(set(members) - expected)
    missing = sorted(expected - set(members))
    if unexpected or missing or len(archive.infolist()) != len(members):
        detail = f"unknown {unexpected[0]!r}" if unexpected else f"missing {missing[0]!r}" if missing else "a member twice"
        raise PolicyError(f"{path}: does not hold the members its architecture asks for ({detail}); copy or save it again")
    weights = {name: _read_array(path, archive, members[_member_name(name)], shape) for name, shape in shapes.items()}
    _check_finite(path, weights)
    if weights_digest(weights) != document.weights_sha256:
        raise PolicyError(f"{path}: the weights are not those it was saved with; copy or save it again")
    _check_withheld(path, document.model, weights)
    return Policy(document.model, weights, document.metadata)


def _parse_document(path: Path, data: bytes) -> _Document:
    source = f"{path}: {_DOCUMENT_NAME}"
    try:
        content = json.loads(data)
    except (ValueError, RecursionError) as problem:
        raise PolicyError(f"{source} is not valid JSON ({problem}); copy or save it again") from None
    if not isinstance(content, dict):
        raise PolicyError(f"{source} holds a {type(content).__name__}, expected an object; copy or save it again")
    document = _Document.parse(content, source, PolicyError)
    for kind, recorded, current in (
        ("ego", document.ego_features, _feature_records(EGO_FEATURES)),
        ("peer", document.peer_features, _feature_records(PEER_FEATURES)),
    ):
        if recorded != current:
            names = ", ".join(f"{feature.name}/{feature.scale:g}" for feature in recorded)
            wanted = ", ".join(f"{feature.name}/{feature.scale:g}" for feature in current)
            raise PolicyError(f"{path}: expects {kind} features {names}; this version gives {wanted}; train the policy again")
    if document.release_threshold != RELEASE_THRESHOLD:
        raise PolicyError(f"{path}: was trained with release threshold {document.release_threshold}, here it is {RELEASE_THRESHOLD}")
    return document


def _read_array(path: Path, archive: zipfile.ZipFile, info: zipfile.ZipInfo, shape: tuple[int, ...]) -> NDArray[np.float32]:
    size = int(np.prod(shape)) * WEIGHT_TYPE.itemsize
    stream = io.BytesIO(_read_member(path, archive, info, size + _MAX_HEADER_BYTES))
    try:
        version = np.lib.format.read_magic(stream)
        header = np.lib.format.read_array_header_1_0(stream) if version == (1, 0) else None
    except ValueError as problem:
        raise PolicyError(f"{path}: {info.filename} is no .npy file ({problem}); copy or save it again") from None
    body = stream.read()
    if header != (shape, False, WEIGHT_TYPE) or len(body) != size:
        seen = "another .npy version" if header is None else f"shape {header[0]}, type {header[2]}, {len(body)} bytes"
        raise PolicyError(f"{path}: {info.filename} has {seen}; its architecture asks for float32 {shape}; copy or save it again")
    return np.frombuffer(body, WEIGHT_TYPE).reshape(shape)


def _read_member(path: Path, archive: zipfile.ZipFile, info: zipfile.ZipInfo, max_bytes: int) -> bytes:
    if info.compress_type != zipfile.ZIP_STORED or info.file_size > max_bytes or info.compress_size != info.file_size:
        raise PolicyError(f"{path}: {info.filename} is compressed or larger than {max_bytes} bytes; copy the file as it was saved")
    return archive.read(info)


def _document(path: Path, settings: ModelSettings, weights: Weights, metadata: Mapping[str, Any]) -> bytes:
    document = {
        "format": "roadsense-policy",
        "format_version": 3,
        "model": _described(settings),
        "ego_features": [record.model_dump() for record in _feature_records(EGO_FEATURES)],
        "peer_features": [record.model_dump() for record in _feature_records(PEER_FEATURES)],
        "release_threshold": RELEASE_THRESHOLD,
        "weights_sha256": weights_digest(weights),
        "metadata": dict(metadata),
    }
    try:
        data = json.dumps(document, indent=2, allow_nan=False).encode()
    except (TypeError, ValueError, RecursionError) as problem:
        raise PolicyError(f"{path}: the metadata are no JSON values ({problem}); give strings, finite numbers, lists and objects") from None
    if len(data) > _MAX_DOCUMENT_BYTES:
        raise PolicyError(f"{path}: the metadata take {len(data)} bytes, more than {_MAX_DOCUMENT_BYTES}; give less")
    return data


def _described(settings: ModelSettings) -> dict[str, Any]:
    """The architecture; what most policies do not have is left out, so that their files stay what they were before it could be had."""
    described = settings.model_dump(mode="json")
    for name in ("withheld_peer_features", "ego_in_encoder", "mirror_peers"):
        if not described[name]:
            del described[name]
    return described


def _feature_records(features: tuple[Feature, ...]) -> tuple[_FeatureRecord, ...]:
    return tuple(_FeatureRecord(name=feature.name, scale=feature.scale) for feature in features)


def _member_name(weight_name: str) -> str:
    return f"weights/{weight_name}.npy"


def _store(archive: zipfile.ZipFile, name: str, data: bytes) -> None:
    info = zipfile.ZipInfo(name, _EPOCH)
    info.create_system = 3  # Unix, whatever this machine is
    info.external_attr = 0o644 << 16
    archive.writestr(info, data)


def _check_finite(path: Path, weights: Weights) -> None:
    for name, array in weights.items():
        if not np.isfinite(array).all():
            raise PolicyError(f"{path}: the weights {name!r} are not finite, so the training diverged; use an earlier checkpoint")


def _check_withheld(path: Path, settings: ModelSettings, weights: Weights) -> None:
    """A policy that says it is not given an entry must not weigh it: inference and exports take the weights at their word."""
    first = weights["peer_encoder.0.weight"]
    if first[:, settings.withheld_inputs].any():
        names = ", ".join(settings.withheld_peer_features)
        raise PolicyError(f"{path}: is not to be given {names}, but weighs it; save it again from its training")


def _write_atomically(path: Path, data: bytes) -> None:
    temporary: Path | None = None
    try:
        with tempfile.NamedTemporaryFile(dir=path.parent, prefix=f".{path.name}.", delete=False) as file:
            temporary = Path(file.name)
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        umask = os.umask(0)
        os.umask(umask)
        temporary.chmod(0o666 & ~umask)  # temporary files are private; a policy is an output like any other
        temporary.replace(path)
    except OSError as problem:
        raise PolicyError(f"{path}: cannot be written ({problem.strerror}); check the folder, permissions and free space") from None
    finally:
        if temporary is not None:
            with suppress(FileNotFoundError):
                temporary.unlink()
