"""From a saved policy to the road: `roadsense export`, then the same episodes through every artifact, with real SUMO."""

import json

import pytest
from export_support import save_random_policy

from roadsense.cli import main
from roadsense.evaluation.episode_table import read_episodes

FLOAT_FILES = ["policy.h", "policy.onnx", "encoder.tflite"]


@pytest.fixture(scope="module")
def exported(dataset_dir, tmp_path_factory, compiler):
    folder = tmp_path_factory.mktemp("loop")
    save_random_policy(folder / "model_final.zip")
    words = ["--format", "c,tflite,onnx", "--int8", "--dataset_dir", str(dataset_dir), "--episodes", "3", "--output_dir", str(folder / "E")]
    assert main(["export", str(folder / "model_final.zip"), *words]) == 0
    return folder


def test_every_artifact_drives_as_the_policy_does(exported, dataset_dir, tmp_path, capsys):
    names = [str(exported / "E" / name) for name in (*FLOAT_FILES, "encoder_int8.tflite")]
    words = [
        "--dataset_dir",
        str(dataset_dir),
        "--output_dir",
        str(tmp_path),
        "--eval_episodes",
        "2",
        "--num_workers",
        "2",
        "--no_references",
    ]
    policy = str(exported / "model_final.zip")
    assert main(["evaluate", "--policy", policy, "--compare", ",".join(names), *words]) == 0
    episodes = {}
    for row in read_episodes(tmp_path / "episodes.parquet"):
        episodes.setdefault(row["policy"], []).append(row)
    reference = episodes[policy]
    assert any(max(row["actions"]) > 0.0625 for row in reference) and any(0.0 in row["actions"] for row in reference)
    for name in names[:3]:
        for row, other in zip(reference, episodes[name], strict=True):
            for key in ("identity", "outcome", "steps", "hazard_fired", "false_braking_steps"):
                assert row[key] == other[key], (name, key)
            assert other["actions"] == pytest.approx(row["actions"], abs=1e-4)
            assert other["progress_m"] == pytest.approx(row["progress_m"], abs=0.01)
    assert len(episodes[names[3]]) == 2


def test_the_export_says_where_it_comes_from(exported, dataset_dir):
    manifest = json.loads((exported / "E" / "manifest.json").read_text())
    dataset = json.loads((dataset_dir / "manifest.json").read_text())
    assert manifest["provenance"]["policy"] == {"run_id": "test"}
    assert manifest["provenance"]["git_commit"] and len(manifest["provenance"]["dataset_hash"]) == 64
    assert dataset
    assert manifest["measured"]["policy.h"]["largest_errors"]["recorded"]["cases"] > 50


@pytest.mark.parametrize(
    ("args", "words"),
    [
        (["export"], ["RUN"]),
        (["export", "nowhere"], ["nowhere"]),
        (["export", "POLICY"], ["--dataset_dir"]),
        (["export", "POLICY", "--dataset_dir", "DATASET", "--format", "c,keras"], ["keras", "onnx"]),
        (["export", "POLICY", "--dataset_dir", "DATASET", "--format", ","], ["no format"]),
        (["export", "POLICY", "--dataset_dir", "DATASET", "--int8"], ["--int8", "tflite"]),
        (["export", "POLICY", "--dataset_dir", "nowhere"], ["nowhere", "manifest.json"]),
        (["export", "POLICY", "--dataset_dir", "DATASET", "--output_dir", "USED"], ["not empty"]),
        (["export", "POLICY", "--dataset_dir", "DATASET", "--episodes", "1"], ["episodes"]),
        (["evaluate", "--policy", "nowhere.onnx", "--dataset_dir", "DATASET"], ["nowhere.onnx", "no such file"]),
        (["evaluate", "--policy", "USED/policy.h", "--dataset_dir", "DATASET"], ["manifest.json"]),
    ],
)
def test_bad_requests_are_one_line(exported, dataset_dir, tmp_path, monkeypatch, capsys, args, words):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(
        "roadsense.cli.export.recorded_observations", lambda *_, **__: pytest.fail("episodes were driven before the refusal")
    )
    used = tmp_path / "used"
    used.mkdir()
    (used / "policy.h").write_text("int x;")
    places = {"POLICY": str(exported / "model_final.zip"), "DATASET": str(dataset_dir), "USED": str(used)}
    assert main([places.get(arg, arg.replace("USED", str(used))) for arg in args]) == 2
    error = capsys.readouterr().err
    assert error.startswith("roadsense: ") and len(error.strip().splitlines()) == 1, error
    for word in words:
        assert word in error
    assert [path.name for path in tmp_path.iterdir()] == ["used"] and [path.name for path in used.iterdir()] == ["policy.h"]
