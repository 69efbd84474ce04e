"""`roadsense export`: write every artifact, prove it equal to torch, and publish all of them or none."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal

from roadsense.artifacts.files import write_json
from roadsense.errors import DefectsFoundError, RunDirectoryError, UsageError
from roadsense.export.c_header import firmware_source, policy_header
from roadsense.export.c_library import c_compiler
from roadsense.export.calibrate import Ranges, calibrate
from roadsense.export.cases import Case, drawn_cases, expected_of, mixed_cases, recorded_cases
from roadsense.export.dependencies import flatbuffers_library, litert_interpreter, onnx_library, onnxruntime_library, tflite_schema
from roadsense.export.golden import golden_cases, golden_header, golden_json
from roadsense.export.layers import Network, network_of
from roadsense.export.load import load_artifact
from roadsense.export.manifest import MANIFEST_NAME, manifest_content
from roadsense.export.verify import FLOAT, INT8, Verification, verify

if TYPE_CHECKING:
    from roadsense.model.inference import Policy

Format = Literal["c", "tflite", "onnx"]
FORMATS: Final[tuple[Format, ...]] = ("c", "tflite", "onnx")
_SKETCH: Final = "roadsense_esp32"
_MOST_FAILURES: Final = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Export:
    """What was exported: the directory, and by artifact what the comparison with torch gave."""

    directory: Path
    verifications: dict[str, Verification]
    sizes_bytes: dict[str, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Proof:
    """The inputs of the comparison: for float artifacts drawn and recorded ones, for int8 recorded peers only."""

    exact: Sequence[Case]
    int8: Sequence[Case]


def export_policy(
    policy: Policy,
    formats: Sequence[Format],
    output_dir: Path,
    *,
    calibration: Sequence[Mapping[str, Any]],
    held_out: Sequence[Mapping[str, Any]],
    int8: bool = False,
    provenance: Mapping[str, Any] | None = None,
) -> Export:
    """Write, prove and publish.

    Everything is written to a temporary directory beside `output_dir` and moved there at the end: an artifact that is not equal to torch
    is deleted with all the others.

    Args:
        policy: what to export.
        formats: any of `FORMATS`.
        output_dir: a directory that does not exist yet, or is empty.
        calibration: recorded observations that give the ranges of the int8 model.
        held_out: further recorded observations, on which all artifacts are compared with torch.
        int8: write int8 versions of the TFLite files as well.
        provenance: JSON values that say where policy and export come from.

    Raises:
        UsageError: the directory is in use, or the flags make no sense. DefectsFoundError: an artifact differs from torch.
        DependencyError: a library or the compiler is missing. RunDirectoryError: the directory cannot be written.
    """
    check_request(formats, output_dir, int8=int8)
    network = network_of(policy)
    proof = _Proof(
        exact=[*drawn_cases(), *recorded_cases(held_out)],
        int8=[*mixed_cases(held_out), *recorded_cases(held_out)] if int8 else (),
    )
    try:
        output_dir.parent.mkdir(parents=True, exist_ok=True)
        scratch = Path(tempfile.mkdtemp(prefix=f".{output_dir.name}.", dir=output_dir.parent))
    except OSError as problem:
        raise RunDirectoryError(f"{output_dir}: cannot be written ({problem.strerror}); check permissions and free space") from None
    try:
        ranges = calibrate(network, calibration) if int8 else None
        artifacts = _write_artifacts(scratch, policy, network, formats, ranges)
        verifications = _prove(scratch, policy, network, artifacts, proof)
        _write_companions(scratch, policy, proof.exact)
        files = {str(path.relative_to(scratch)): path for path in sorted(scratch.rglob("*")) if path.is_file()}
        content = manifest_content(
            network,
            policy.weights_sha256,
            files=files,
            tflite=_tflite_notes(network, ranges) if "tflite" in formats else None,
            measured={name: verification.as_json() for name, verification in verifications.items()},
            provenance={"policy": policy.metadata, **(provenance or {})},
        )
        write_json(scratch / MANIFEST_NAME, content)
        sizes_bytes = {name: path.stat().st_size for name, path in files.items()}
        _publish(scratch, output_dir)
    except OSError as problem:
        raise RunDirectoryError(f"{output_dir}: cannot be written ({problem.strerror}); check permissions and free space") from None
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
    return Export(directory=output_dir, verifications=verifications, sizes_bytes=sizes_bytes)


def check_request(formats: Sequence[Format], output_dir: Path, *, int8: bool) -> None:
    """Refuse what `export_policy` would refuse, before anything is driven; raises UsageError or DependencyError."""
    if not formats:
        raise UsageError(f"no format is given; give some of {','.join(FORMATS)}")
    if int8 and "tflite" not in formats:
        raise UsageError(f"--int8 is for tflite, but the formats are {','.join(formats)}; add tflite or leave --int8 out")
    if output_dir.exists() and (not output_dir.is_dir() or any(output_dir.iterdir())):
        raise UsageError(f"{output_dir}: exists and is not empty; give another --output_dir")
    if "c" in formats:
        c_compiler()
    if "tflite" in formats:
        tflite_schema(), flatbuffers_library(), litert_interpreter()
    if "onnx" in formats:
        onnx_library(), onnxruntime_library()


def _write_artifacts(scratch: Path, policy: Policy, network: Network, formats: Sequence[Format], ranges: Ranges | None) -> dict[str, bool]:
    """Write the artifacts of the formats; returns the file to load of each, and whether it is exact."""
    origin = f"Exported by RoadSense; weights {policy.weights_sha256[:16]}, {_training(policy.metadata)}"
    artifacts: dict[str, bool] = {}
    if "c" in formats:
        (scratch / "policy.h").write_text(policy_header(network, policy.weights_sha256, origin), encoding="utf-8")
        artifacts["policy.h"] = True
    if "tflite" in formats:
        from roadsense.export.tflite_file import float_chain, int8_chain

        for part, layers in (("encoder", network.encoder), ("head", network.head)):
            (scratch / f"{part}.tflite").write_bytes(float_chain(layers, part))
            if ranges is not None:
                (scratch / f"{part}_int8.tflite").write_bytes(int8_chain(layers, getattr(ranges, part), part))
        artifacts["encoder.tflite"] = True
        if ranges is not None:
            artifacts["encoder_int8.tflite"] = False
    if "onnx" in formats:
        from roadsense.export.onnx_file import onnx_model

        (scratch / "policy.onnx").write_bytes(onnx_model(network, origin))
        artifacts["policy.onnx"] = True
    return artifacts


def _training(metadata: Mapping[str, Any]) -> str:
    """Which training a policy comes from, in a few words without characters that could end a comment."""
    names = (("run_id", "run {}"), ("seed", "seed {}"), ("training_timesteps", "{} steps"), ("dataset_hash", "dataset {:.12}"))
    told = [form.format(str(metadata[name])) for name, form in names if name in metadata]
    text = ", ".join(told) or "of an unknown training"
    return "".join(letter if letter.isalnum() or letter in " ,.-_" else "_" for letter in text)


def _prove(scratch: Path, policy: Policy, network: Network, artifacts: Mapping[str, bool], proof: _Proof) -> dict[str, Verification]:
    """Load every artifact from its file and compare it; raises DefectsFoundError when one differs from torch."""
    verifications = {}
    exact_answers = expected_of(policy, proof.exact)
    int8_answers = expected_of(policy, proof.int8) if proof.int8 else exact_answers
    failed = []
    for name, exact in artifacts.items():
        cases, answers = (proof.exact, exact_answers) if exact else (proof.int8, int8_answers)
        artifact = load_artifact(scratch / name, network)
        found = verify(artifact, cases, answers, tolerance=FLOAT if exact else INT8)
        verifications[name] = found
        if found.failures:
            shown = "; ".join(found.failures[:_MOST_FAILURES])
            more = len(found.failures) - _MOST_FAILURES
            failed.append(f"{name} is not equal to torch in {len(cases)} cases ({shown}{f'; and {more} more' if more > 0 else ''})")
    if failed:
        raise DefectsFoundError(f"{'; '.join(failed)}; deleted, nothing was exported")
    return verifications


def _write_companions(scratch: Path, policy: Policy, cases: Sequence[Case]) -> None:
    """Golden vectors in every export; with policy.h also what turns it into a program and into firmware."""
    chosen, answers = golden_cases(policy, cases)
    (scratch / "golden.json").write_text(golden_json(chosen, answers, policy.weights_sha256), encoding="utf-8")
    if not (scratch / "policy.h").exists():
        return
    (scratch / "golden.h").write_text(golden_header(chosen, answers), encoding="utf-8")
    for name in ("check_golden.c", "neighbours.h", "message.h"):
        (scratch / name).write_text(firmware_source(name), encoding="utf-8")
    sketch = scratch / _SKETCH
    sketch.mkdir()
    (sketch / f"{_SKETCH}.ino").write_text(firmware_source(f"{_SKETCH}.ino"), encoding="utf-8")


def _tflite_notes(network: Network, ranges: Ranges | None) -> dict[str, Any]:
    notes: dict[str, Any] = {
        "encoder": "network inputs of one peer in, encoded peer out; run once per peer and pool over the peers, beginning with 0",
        "head": "network inputs of the ego, then the pooled peers in; action parameters out",
        "operators": ["FULLY_CONNECTED"],
        "pool": list(network.pools),
    }
    if ranges is not None:
        for part, first_and_last in (("encoder", ranges.encoder), ("head", ranges.head)):
            notes[f"{part}_int8"] = {
                name: {"scale": quantization.scale, "zero_point": quantization.zero_point}
                for name, quantization in (("input", first_and_last[0]), ("output", first_and_last[-1]))
            }
    return notes


def _publish(scratch: Path, output_dir: Path) -> None:
    scratch.chmod(0o755)  # mkdtemp makes directories private; an export is an output like any other
    if output_dir.exists():
        output_dir.rmdir()
    scratch.rename(output_dir)
