"""Proven or not published: wrong artifacts, wrong requests, missing tools."""

import hashlib
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from export_support import observations

from roadsense.errors import DefectsFoundError, DependencyError, PolicyError, UsageError
from roadsense.export import c_header, onnx_file, tflite_file, tflite_policy
from roadsense.export.artifact import Decision
from roadsense.export.cases import Case, Expected, drawn_cases
from roadsense.export.export import export_policy
from roadsense.export.load import load_exported
from roadsense.export.manifest import load_manifest
from roadsense.export.verify import FLOAT, INT8, verify
from roadsense.features import EGO_FEATURES, PEER_FEATURES
from roadsense.model.action import LEAST_GATE_LOGIT, deterministic_action
from roadsense.model.inference import Policy


def export(policy, directory, formats, **options):
    return export_policy(policy, formats, directory, calibration=observations(600), held_out=observations(12, seed=1000), **options)


@pytest.mark.parametrize(
    ("formats", "module", "constant", "value"),
    [
        (("c",), c_header, "MAGNIFIED", 7.999),
        (("c",), c_header, "LEAST_GATE_LOGIT", -1.0),
        (("c",), c_header, "RELEASE_THRESHOLD", 0.0626),
        (("onnx",), onnx_file, "MAGNIFIED", 7.999),
        (("onnx",), onnx_file, "CONCENTRATION_LIMIT", 90.0),
        (("c", "tflite"), tflite_policy, "squashed", lambda entries: np.tanh(np.concatenate([entries, 7.999 * entries], axis=-1))),
    ],
)
def test_an_artifact_that_differs_from_torch_is_not_kept(policies, compiler, tmp_path, monkeypatch, formats, module, constant, value):
    monkeypatch.setattr(module, constant, value)
    with pytest.raises(DefectsFoundError, match="not equal to torch") as refusal:
        export(policies["max"], tmp_path / "export", formats)
    assert refusal.value.exit_code == 1 and "\n" not in str(refusal.value)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("narrow", [1.25, 4])
def test_a_wrong_scale_of_int8_is_not_kept(policies, tmp_path, monkeypatch, narrow):
    whole = tflite_file.Quantization.of_range
    monkeypatch.setattr(tflite_file.Quantization, "of_range", lambda low, high: whole(low / narrow, high / narrow))
    with pytest.raises(DefectsFoundError, match="encoder_int8"):
        export(policies["max"], tmp_path / "export", ("tflite",), int8=True)
    assert list(tmp_path.iterdir()) == []


def test_an_empty_set_that_gives_nan_is_noticed(policies, tmp_path, monkeypatch):
    """The classic: a maximum over no peers, without the row of zeros."""

    def bare(graph, encoded, network):
        return graph.node("ReduceMax", encoded, graph.integers([0]), keepdims=1)

    monkeypatch.setattr(onnx_file._Graph, "largest", bare)
    with pytest.raises(DefectsFoundError, match="n=0"):
        export(policies["max"], tmp_path / "export", ("onnx",))


class Answer:
    """An artifact with one answer to everything."""

    def __init__(self, parameters, action):
        self.decision = Decision(parameters=np.float32(parameters), action=action)

    def decide(self, ego, peers):
        return self.decision


def test_errors_that_only_many_cases_show():
    """Within the limit of any one case, but two of 100 too large; and a gate that is wrong too often."""
    cases = [Case(group="g", ego=np.zeros(3, np.float32), peers=np.zeros((0, 6), np.float32), ordered=np.zeros((0, 6), np.float32))] * 100
    reference = np.array([[LEAST_GATE_LOGIT - 0.01, 0.5, -0.5]] * 100)

    def failures(offsets, action=0.0):
        expected = Expected(parameters=reference + offsets[:, None] * [0, 1, 0], actions=np.zeros(100), scales=np.ones(100))
        return verify(Answer(reference[0], action), cases, expected, tolerance=INT8).failures

    amount = float(deterministic_action(np.float32([9.0, 0.5, -0.5])))
    offsets = np.zeros(100)
    assert failures(offsets) == ()
    offsets[:1] = 0.9 * INT8.parameters
    assert failures(offsets) == ()
    offsets[:3] = 0.9 * INT8.parameters
    (said,) = failures(offsets)
    assert "one of 100" in said
    (said,) = failures(np.zeros(100), action=amount)
    assert said == "the gate says something else in 100 cases, 2 are allowed"


@pytest.mark.parametrize(
    ("logit", "action", "fails", "ties"),
    [
        (LEAST_GATE_LOGIT + 1e-7, "amount", False, 1),
        (LEAST_GATE_LOGIT + 1e-7, 0.0, False, 1),  # on the edge either side is right
        (LEAST_GATE_LOGIT + 1e-7, 0.3, True, 1),  # but nothing in between
        (LEAST_GATE_LOGIT + 1e-3, "amount", False, 0),
        (LEAST_GATE_LOGIT + 1e-3, 0.0, True, 0),
        (LEAST_GATE_LOGIT - 1e-3, "amount", True, 0),
        (LEAST_GATE_LOGIT - 1e-3, float("nan"), True, 0),
    ],
)
def test_ties_at_the_gate(logit, action, fails, ties):
    reference = np.float32([[logit, 0.5, -0.5]])
    amount = float(deterministic_action(np.float32([9.0, 0.5, -0.5])))
    case = Case(group="g", ego=np.zeros(3, np.float32), peers=np.zeros((0, 6), np.float32), ordered=np.zeros((0, 6), np.float32))
    expected = Expected(parameters=np.float64(reference), actions=np.float64(deterministic_action(reference)), scales=np.ones(1))
    found = verify(Answer(reference[0], amount if action == "amount" else action), [case], expected, tolerance=FLOAT)
    assert bool(found.failures) == fails
    assert found.groups["g"].ties == ties or np.isnan(found.groups["g"].action_error) or action != action


def test_the_same_policy_gives_the_same_files(policies, exports, tmp_path):
    first, again = exports["max"], tmp_path / "again"
    export_policy(
        policies["max"], ("c", "tflite", "onnx"), again, calibration=observations(600), held_out=observations(30, seed=1000), int8=True
    )
    names = sorted(str(path.relative_to(first)) for path in first.rglob("*") if path.is_file())
    assert names == sorted(str(path.relative_to(again)) for path in again.rglob("*") if path.is_file())
    for name in names:
        assert (first / name).read_bytes() == (again / name).read_bytes(), name


def test_the_manifest_says_what_firmware_needs(exports, policies):
    manifest = load_manifest(exports["max+mean"])
    assert manifest.weights_sha256 == policies["max+mean"].weights_sha256
    assert [entry["name"] for entry in manifest.inputs["ego"]] == [feature.name for feature in EGO_FEATURES]
    assert [(entry["name"], entry["scale"]) for entry in manifest.inputs["peer"]] == [
        (feature.name, feature.scale) for feature in PEER_FEATURES
    ]
    assert manifest.pool == ("max", "mean")
    assert set(manifest.measured) == {"policy.h", "policy.onnx", "encoder.tflite", "encoder_int8.tflite"}
    for name, measured in manifest.measured.items():
        assert {"n=0", "n=1", "n=2", "n=3", "n=8", "n=50", "n=200", "recorded"} == set(measured["largest_errors"]), name
    for name, record in manifest.files.items():
        data = (exports["max+mean"] / name).read_bytes()
        assert (record.size_bytes, record.sha256) == (len(data), hashlib.sha256(data).hexdigest())
    golden = json.loads((exports["max+mean"] / "golden.json").read_text())
    assert {0, 1, 2, 3, 8, 50} <= {len(case["peers"]) for case in golden["cases"]}
    assert {case["action"] > 0 for case in golden["cases"]} == {True, False}


def test_no_local_path_is_in_any_file(exports):
    for path in exports["max"].rglob("*"):
        if path.is_file() and path.name != "manifest.json":
            data = path.read_bytes()
            assert b"/work" not in data and b"/home" not in data and b"/tmp" not in data and b"site-packages" not in data, path


def test_policy_onnx_takes_any_number_of_peers(exports):
    import onnx

    model = onnx.load(exports["max"] / "policy.onnx")
    shapes = {value.name: [side.dim_param or side.dim_value for side in value.type.tensor_type.shape.dim] for value in model.graph.input}
    assert shapes == {"ego": [3], "peers": ["n", 6]}
    assert not model.metadata_props and not any(node.metadata_props or node.doc_string for node in model.graph.node)


@pytest.mark.parametrize("name", ["policy.h", "policy.onnx", "encoder.tflite", "head.tflite"])
def test_a_file_that_was_changed_is_refused(exports, tmp_path, name):
    import shutil

    copy = shutil.copytree(exports["max"], tmp_path / "copy")
    data = bytearray((copy / name).read_bytes())
    data[len(data) // 2] ^= 1
    (copy / name).write_bytes(data)
    with pytest.raises(PolicyError, match="is not the file that was exported"):
        load_exported(copy / name.replace("head", "encoder"))
    with pytest.raises(PolicyError, match="manifest"):
        (copy / "manifest.json").unlink()
        load_exported(copy / name.replace("head", "encoder"))


def test_requests_that_make_no_sense(policies, tmp_path):
    with pytest.raises(UsageError, match="--int8 is for tflite"):
        export(policies["max"], tmp_path / "export", ("c",), int8=True)
    with pytest.raises(UsageError, match="no format"):
        export(policies["max"], tmp_path / "export", ())
    (tmp_path / "mine.txt").write_text("keep")
    with pytest.raises(UsageError, match="not empty"):
        export(policies["max"], tmp_path, ("c",))
    assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]


def test_without_a_compiler_nothing_is_exported(policies, tmp_path, monkeypatch):
    monkeypatch.setenv("CC", "no-such-compiler")
    with pytest.raises(DependencyError, match="apt-get install gcc") as refusal:
        export(policies["max"], tmp_path / "export", ("c",))
    assert refusal.value.exit_code == 4
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("formats", "missing"), [("tflite", "flatbuffers"), ("tflite", "ai_edge_litert"), ("onnx", "onnx"), ("onnx", "onnxruntime")]
)
def test_the_base_install_names_the_pip_command(policies, tmp_path, monkeypatch, formats, missing):
    for name in [name for name in sys.modules if name == missing or name.startswith(f"{missing}.")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, missing, None)
    with pytest.raises(DependencyError, match=r"pip install 'roadsense\[export\]'") as refusal:
        export(policies["max"], tmp_path / "export", (formats,))
    assert refusal.value.exit_code == 4 and "\n" not in str(refusal.value)
    assert list(tmp_path.iterdir()) == []


def test_c_needs_nothing_of_the_extra(policies, tmp_path, compiler):
    """In a process of its own, in which none of the libraries can be imported."""
    script = (
        "import sys\n"
        "for name in ('ai_edge_litert', 'flatbuffers', 'onnx', 'onnxscript', 'onnxruntime', 'tflite_micro'): sys.modules[name] = None\n"
        f"sys.path.insert(0, {str(Path(__file__).parent)!r})\n"
        "from pathlib import Path\n"
        "from export_support import observations, save_random_policy\n"
        "from roadsense.export.export import export_policy\n"
        "from roadsense.model.policy_file import load_policy\n"
        "folder = Path(sys.argv[1])\n"
        "save_random_policy(folder / 'p.zip')\n"
        "export_policy(load_policy(folder / 'p.zip'), ('c',), folder / 'export', calibration=[], held_out=observations(5))\n"
    )
    subprocess.run([sys.executable, "-c", script, str(tmp_path)], check=True, timeout=120)
    assert (tmp_path / "export" / "policy.h").is_file() and not (tmp_path / "export" / "policy.onnx").exists()


def test_the_drawn_cases_hold_permutations():
    by_group = {}
    for case in drawn_cases():
        by_group.setdefault(case.group, []).append(case)
    for group, cases in by_group.items():
        moved = [case for case in cases if not np.array_equal(case.peers, case.ordered)]
        assert len(moved) >= (8 if group not in ("n=0", "n=1", "n=2") else 0), group
        for case in moved:
            assert sorted(map(tuple, case.peers.tolist())) == sorted(map(tuple, case.ordered.tolist()))


def test_a_directory_of_exports_drives_with_what_goes_on_the_device(exports):
    one = observations(1, seed=4)[0]
    assert load_exported(exports["max"])(one) == load_exported(exports["max"] / "policy.h")(one)


def test_the_header_says_which_training_it_comes_from(policies, tmp_path, compiler):
    """What a run's model knows of itself: not its folder, so that the same training gives the same bytes."""
    known = {"seed": 3, "training_timesteps": 24593, "dataset_hash": "d2bb09628f5358970bc4"}
    for metadata, words in (
        (known, "seed 3, 24593 steps, dataset d2bb09628f53"),
        ({}, "of an unknown training"),
        ({"run_id": "a*/b"}, "run a__b"),
    ):
        policy = Policy(policies["max"].settings, policies["max"].weights, metadata)
        directory = tmp_path / f"export{len(metadata)}"
        export(policy, directory, ("c",))
        assert words in (directory / "policy.h").read_text().split("*/")[0]
