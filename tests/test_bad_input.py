"""Whatever a file or a flag holds: it is taken, or refused in one line with exit code 2, and nothing is written."""

import copy
import io
import json
import shutil
import tracemalloc
import zipfile

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from roadsense.cli import main
from roadsense.errors import PolicyError
from roadsense.model.deep_sets import DeepSets
from roadsense.model.policy_file import load_policy, save_policy
from roadsense.model.settings import ModelSettings
from roadsense.radio.profiles import packaged_profile
from roadsense.training.settings import TrainSettings

FUZZ = settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture], derandomize=True)
HOSTILE = st.sampled_from(
    [
        None, True, -1, 0, 2**31, 2**63, 10**400, 1e308, 1e-308, float("nan"), float("inf"), "", " ", "\0", "\ud800", "../../../etc/passwd",
        "a" * 5000, "ä/ö ü", "-1", [], {}, [[]], {"": None}, ["x"] * 1000, "nan", "1e999",
    ]
)  # fmt: skip


@st.composite
def damaged(draw, document):
    """A document with one to three of its values, anywhere, replaced, removed or joined by another."""
    document = copy.deepcopy(document)
    for _ in range(draw(st.integers(1, 3))):
        place = document
        while True:
            keys = list(place) if isinstance(place, dict) else list(range(len(place)))
            if not keys:
                break
            key = draw(st.sampled_from(keys))
            if isinstance(place[key], dict | list) and place[key] and draw(st.booleans()):
                place = place[key]
                continue
            action = draw(st.sampled_from(["replace", "remove", "add"]))
            if action == "replace":
                place[key] = draw(HOSTILE)
            elif action == "remove":
                del place[key]
            elif isinstance(place, dict):
                place["unheard_of"] = draw(HOSTILE)
            else:
                place.append(draw(HOSTILE))
            break
    return document


def damaged_bytes(content: bytes):
    """Cut off, overwritten somewhere, or something else altogether."""
    return st.one_of(
        st.integers(0, len(content) - 1).map(lambda end: content[:end]),
        st.tuples(st.integers(0, len(content) - 1), st.binary(min_size=1, max_size=8)).map(
            lambda change: content[: change[0]] + change[1] + content[change[0] + len(change[1]) :]
        ),
        st.binary(max_size=200),
        st.sampled_from([b"[" * 100_000, b'{"a": ' + b"9" * 5000 + b"}", b"\xff\xfe", b"null", b'"x"', b"{}"]),
    )


def outcome(capsys, *args) -> int:
    """Run a command; a refusal is one line, and never a traceback or an internal error."""
    code = main([str(arg) for arg in args])
    captured = capsys.readouterr()
    assert code in (0, 2), captured.err
    if code == 2:
        assert captured.err.startswith("roadsense: ") and len(captured.err.strip().splitlines()) == 1, captured.err
        assert "Traceback" not in captured.err and "internal error" not in captured.err
    return code


@pytest.fixture(scope="module")
def dataset_copy(dataset_dir, tmp_path_factory):
    return shutil.copytree(dataset_dir, tmp_path_factory.mktemp("fuzz") / "dataset")


@pytest.fixture(autouse=True)
def nothing_is_written(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    yield
    assert list(tmp_path.iterdir()) == []


@FUZZ
@given(data=st.data())
def test_any_manifest(data, capsys, dataset_dir, dataset_copy):
    original = (dataset_dir / "manifest.json").read_bytes()
    content = data.draw(
        st.one_of(damaged(json.loads(original)).map(lambda document: json.dumps(document).encode()), damaged_bytes(original))
    )
    (dataset_copy / "manifest.json").write_bytes(content)
    outcome(capsys, "pipeline", "--dry_run", "--dataset_dir", dataset_copy, "--skip_eval")


@FUZZ
@given(data=st.data())
def test_any_emulator_file(data, capsys, dataset_dir, tmp_path_factory):
    original = packaged_profile("convoy").read_bytes()
    content = data.draw(
        st.one_of(damaged(json.loads(original)).map(lambda document: json.dumps(document).encode()), damaged_bytes(original))
    )
    path = tmp_path_factory.mktemp("emulator", numbered=True) / "parameters.json"
    path.write_bytes(content)
    outcome(capsys, "pipeline", "--dry_run", "--dataset_dir", dataset_dir, "--emulator_params", path)
    shutil.rmtree(path.parent)


@FUZZ
@given(data=st.data())
def test_any_run_configuration(data, capsys, dataset_dir, tmp_path_factory):
    original = TrainSettings(dataset_dir=dataset_dir, run_id="r").model_dump_json().encode()
    content = data.draw(
        st.one_of(damaged(json.loads(original)).map(lambda document: json.dumps(document).encode()), damaged_bytes(original))
    )
    run = tmp_path_factory.mktemp("run", numbered=True)
    (run / "config.json").write_bytes(content)
    assert outcome(capsys, "train", "--resume", run) == 2  # there is no checkpoint, at the latest
    assert outcome(capsys, "evaluate", "--run", run) == 2
    shutil.rmtree(run)


VALUES = st.sampled_from(
    ["-1", "0", "nan", "inf", "-inf", "1e999", "9" * 400, "", " ", "x", "ä ö", "a" * 5000, "[", "{}", "0x10", "1_0", "true", "../..", "/"]
)
FLAGS = st.sampled_from(
    [f"--{name}" for name in TrainSettings.model_fields if not isinstance(TrainSettings.model_fields[name].default, bool)]
)
SETTINGS = st.sampled_from(
    ["sumo.timeout_s", "sumo.first_port", "task.horizon_s", "task.hazard", "model.pool", "task", "model.", ".", "task.reward.progress"]
)


@FUZZ
@given(
    given_flags=st.lists(
        st.one_of(
            st.tuples(FLAGS, VALUES),
            st.tuples(st.just("--set"), st.tuples(SETTINGS, VALUES).map("=".join)),
            st.tuples(st.just("--set"), VALUES),
        ),
        min_size=1,
        max_size=3,
    )
)
def test_any_flag(given_flags, capsys):
    words = [word for pair in given_flags for word in pair]
    # What is left alone by all else is refused in the end.
    assert outcome(capsys, "train", *words, "--emulator_params", "nowhere/at all.json") == 2


@pytest.mark.parametrize("name", ["with space", "ünïcödé", "a" * 200, "-dash", "per%cent", "quote'\"", "new\nline"])
def test_paths_of_every_kind_are_taken(capsys, dataset_dir, tmp_path_factory, name):
    place = tmp_path_factory.mktemp("paths") / name
    shutil.copytree(dataset_dir, place)
    assert outcome(capsys, "pipeline", "--dry_run", "--dataset_dir", place) == 0


@pytest.mark.parametrize(
    ("args", "word"),
    [
        (["train", "--dataset_dir", "a" * 5000], "aaa"),
        (["train", "--dataset_dir", ""], "manifest"),
        (["train", "--emulator_params", "/"], "/"),
        (["train", "--resume", "a" * 5000], "aaa"),
        (["soak", "--dataset_dir", "nowhere"], "nowhere"),
        (["soak", "--minutes", "-1", "--dataset_dir", "x"], "minutes"),
        (["soak", "--fault_every", "nan", "--dataset_dir", "x"], "fault_every"),
        (["soak"], "dataset_dir"),
        (["replay", "--run", "a" * 5000], "aaa"),
        (["compare", "a" * 5000], "aaa"),
        (["check", "a" * 5000], "aaa"),
        (["generate", "--train_count", "10" * 30], "train_count"),
    ],
)
def test_hopeless_arguments(capsys, args, word):
    code = main(args)
    captured = capsys.readouterr()
    assert code in (1, 2) and word in captured.err + captured.out and "internal error" not in captured.err
    assert len(captured.err.strip().splitlines()) == 1, captured.err


def test_a_dataset_without_training_scenarios(capsys, dataset_dir, tmp_path_factory):
    from roadsense.scenario.manifest import Manifest

    copied = shutil.copytree(dataset_dir, tmp_path_factory.mktemp("empty") / "dataset")
    manifest = Manifest.load_json(copied / "manifest.json").model_copy(update={"train_scenarios": ()})
    (copied / "manifest.json").write_bytes(manifest.model_copy(update={"dataset_id": manifest.expected_id()}).to_bytes())
    assert outcome(capsys, "train", "--dataset_dir", copied) == 2


@pytest.mark.parametrize("text", ["\0", "a\0b", "\ud800"])
@pytest.mark.parametrize("key", ["dataset_dir", "ego_id", "emulator_params"])
def test_texts_that_no_file_system_takes(text, key, capsys, dataset_dir, tmp_path_factory):
    run = tmp_path_factory.mktemp("run", numbered=True)
    content = TrainSettings(dataset_dir=dataset_dir, run_id="r").model_dump(mode="json") | {key: text}
    (run / "config.json").write_text(json.dumps(content))
    assert main(["train", "--resume", str(run)]) == 2
    assert "holds a character that no file system takes" in capsys.readouterr().err


class Payload:
    """Executes code when it is unpickled."""

    def __reduce__(self):
        return (exec, ("import pathlib; pathlib.Path('executed').touch()",))


def members(path) -> dict[str, bytes]:
    with zipfile.ZipFile(path) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def write(path, content: dict[str, bytes], compression=zipfile.ZIP_STORED) -> None:
    with zipfile.ZipFile(path, "w", compression) as archive:
        for name, data in content.items():
            archive.writestr(name, data)


def npy(array) -> bytes:
    stream = io.BytesIO()
    np.save(stream, array, allow_pickle=True)
    return stream.getvalue()


@pytest.mark.parametrize("attack", ["bomb", "traversal", "pickled array", "pickle", "nan", "truncated", "shape"])
def test_a_model_file_is_data_and_nothing_else(attack, tmp_path, tmp_path_factory, capsys, dataset_dir):
    path = tmp_path_factory.mktemp("model") / "model_final.zip"
    save_policy(path, DeepSets(ModelSettings()), {})
    content = members(path)
    weights = sorted(name for name in content if name.endswith(".npy"))[0]
    if attack == "bomb":
        write(path, content | {weights: bytes(1 << 28)}, zipfile.ZIP_DEFLATED)
        assert path.stat().st_size < 1 << 20
    elif attack == "traversal":
        write(path, content | {"../../../executed": b"x", "/executed": b"x"})
    elif attack == "pickled array":
        write(path, content | {weights: npy(np.array([Payload()], dtype=object))})
    elif attack == "pickle":
        import pickle

        path.write_bytes(pickle.dumps(Payload()))
    elif attack == "nan":
        write(path, content | {weights: npy(np.full_like(np.load(io.BytesIO(content[weights])), np.nan))})
    elif attack == "truncated":
        path.write_bytes(path.read_bytes()[:-100])
    else:
        write(path, content | {weights: npy(np.zeros((3, 3), np.float32))})
    tracemalloc.start()
    with pytest.raises(PolicyError):
        load_policy(path)
    peak_bytes = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak_bytes < 1 << 24, "a bomb is refused before it is unpacked"
    assert outcome(capsys, "evaluate", "--policy", path, "--dataset_dir", dataset_dir, "--output_dir", tmp_path / "out") == 2
    assert not (tmp_path / "executed").exists() and not list(path.parent.parent.glob("**/executed"))
