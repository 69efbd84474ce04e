"""`model_final.zip`: the same policy comes back, and nothing else is believed."""

from __future__ import annotations

import io
import json
import math
import os
import pickle
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import roadsense
from roadsense.errors import ConfigError, PolicyError
from roadsense.features import EGO_SIZE, PEER_SIZE, RELEASE_THRESHOLD
from roadsense.model.action import LEAST_GATE, deterministic_action
from roadsense.model.deep_sets import DeepSets
from roadsense.model.inference import Policy
from roadsense.model.packing import pack
from roadsense.model.policy_file import load_policy, save_policy
from roadsense.model.settings import ModelSettings
from roadsense.model.weights import weights_sha256
from roadsense.peer_set import PeerSet

METADATA = {"run_id": "test", "steps": 3, "nested": {"ok": [1, 2.5, None]}}


def make_model(pool: str = "max", seed: int = 0, **settings_: object) -> DeepSets:
    """A network whose outputs are of order 1, and that brakes for about half of random observations."""
    torch.set_num_threads(1)
    torch.manual_seed(seed)
    model = DeepSets(ModelSettings(pool=pool, **settings_))
    with torch.no_grad():
        model.actor[-1].weight.mul_(100.0)
        _center_gate(model)
    return model


def _center_gate(model: DeepSets) -> None:
    """Put the gate's median over random observations where braking begins."""
    seen = [observation(seed % 9, seed) for seed in range(50)]
    egos = torch.from_numpy(np.stack([one["ego"] for one in seen]))
    logits = model.action_parameters(egos, *pack([one["peers"] for one in seen]))[:, 0]
    model.actor[-1].bias[0] += math.log(LEAST_GATE / (1 - LEAST_GATE)) - logits.median()


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    path = tmp_path / "model_final.zip"
    save_policy(path, make_model(), METADATA)
    return path


def rewrite(path: Path, change: Callable[[dict[str, bytes]], None], compression: int = zipfile.ZIP_STORED) -> None:
    with zipfile.ZipFile(path) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    change(members)
    with zipfile.ZipFile(path, "w", compression) as archive:
        for name, data in members.items():
            archive.writestr(name, data)


def edit_document(**changes: object) -> Callable[[dict[str, bytes]], None]:
    def change(members: dict[str, bytes]) -> None:
        document = json.loads(members["model.json"])
        document.update(changes)
        members["model.json"] = json.dumps(document).encode()

    return change


def npy(array: np.ndarray) -> bytes:
    stream = io.BytesIO()
    np.save(stream, array, allow_pickle=True)
    return stream.getvalue()


def observation(count: int, seed: int) -> dict[str, object]:
    rng = np.random.default_rng(seed)
    return {"ego": rng.normal(size=EGO_SIZE).astype(np.float32), "peers": PeerSet(rng.normal(size=(count, PEER_SIZE)))}


@pytest.mark.parametrize(
    ("pool", "way"), [("max", None), ("mean", None), ("max+mean", None), ("max+mean", "ego_in_encoder"), ("max", "mirror_peers")]
)
@given(count=st.one_of(st.integers(0, 8), st.just(50)), seed=st.integers(0, 2**31 - 1))
@settings(max_examples=40, deadline=None)
def test_numpy_policy_equals_the_network(
    tmp_path_factory: pytest.TempPathFactory, pool: str, way: str | None, count: int, seed: int
) -> None:
    model = make_model(pool, peer_layers=3, trunk_width=32, **({} if way is None else {way: True}))
    path = tmp_path_factory.getbasetemp() / f"{pool}_{way}.zip"
    if not path.exists():
        save_policy(path, model, {})
    policy = load_policy(path)
    seen = observation(count, seed)
    with torch.no_grad():
        parameters = model.action_parameters(torch.from_numpy(seen["ego"])[None], *pack([seen["peers"]]))
    scale = max(1.0, parameters.abs().max().item())
    np.testing.assert_allclose(policy.action_parameters(seen), parameters[0].numpy(), atol=1e-6 * scale)
    edge = abs(torch.sigmoid(parameters[0, 0]).item() - LEAST_GATE)
    if edge > 1e-5:  # on the edge of the gate either answer is right
        assert policy(seen) == pytest.approx(deterministic_action(parameters).item(), abs=1e-6 * scale)


def test_policy_round_trip(saved: Path) -> None:
    model = make_model()
    policy = load_policy(saved)
    assert policy.metadata == METADATA
    assert policy.settings == model.settings
    assert policy.weights_sha256 == weights_sha256(model) == weights_sha256(policy.to_model())
    actions = [policy(observation(count, count)) for count in range(40)]
    assert actions == [load_policy(str(saved))(observation(count, count)) for count in range(40)]
    assert actions == [pickle.loads(pickle.dumps(policy))(observation(count, count)) for count in range(40)]  # noqa: S301
    assert 0.0 in actions
    assert max(actions) > RELEASE_THRESHOLD


def test_the_same_policy_gives_the_same_bytes(tmp_path: Path, saved: Path) -> None:
    again = tmp_path / "again.zip"
    save_policy(again, make_model(), METADATA)
    assert again.read_bytes() == saved.read_bytes()
    save_policy(again, make_model(seed=1), METADATA)
    assert again.read_bytes() != saved.read_bytes()


def test_the_critic_leaves_no_trace(tmp_path: Path, saved: Path) -> None:
    model = make_model()
    acting = DeepSets(model.settings, acting_only=True)
    acting.load_state_dict(model.state_dict(), strict=False)
    path = tmp_path / "acting.zip"
    save_policy(path, acting, METADATA)
    assert path.read_bytes() == saved.read_bytes()


def test_loading_needs_neither_torch_nor_ray(saved: Path) -> None:
    script = (
        "import sys, roadsense; from roadsense.peer_set import PeerSet;"
        "roadsense.load_policy(sys.argv[1])({'ego': [0, 0, 0], 'peers': PeerSet.empty()});"
        "sys.exit(str({'ray', 'torch', 'traci', 'boto3'} & set(sys.modules)).replace('set()', '') or None)"
    )
    subprocess.run([sys.executable, "-c", script, str(saved)], check=True, timeout=60)


def test_the_package_offers_load_policy(saved: Path) -> None:
    assert roadsense.load_policy is load_policy
    assert "load_policy" in dir(roadsense)
    with pytest.raises(AttributeError, match="load_polict"):
        _ = roadsense.load_polict  # type: ignore[attr-defined]


def _swap_features(members: dict[str, bytes]) -> None:
    document = json.loads(members["model.json"])
    document["peer_features"].reverse()
    members["model.json"] = json.dumps(document).encode()


def _rescale_feature(members: dict[str, bytes]) -> None:
    document = json.loads(members["model.json"])
    document["ego_features"][0]["scale"] *= 2
    members["model.json"] = json.dumps(document).encode()


WEIGHT = "weights/actor.4.bias.npy"
NAN = np.array([np.nan, 0, 0], np.float32)
BAD_MEMBERS: dict[str, tuple[Callable[[dict[str, bytes]], object], str]] = {
    "no document": (lambda m: m.pop("model.json"), "no model.json"),
    "no weight": (lambda m: m.pop(WEIGHT), "missing 'weights/actor.4.bias.npy'"),
    "extra member": (lambda m: m.update({"evil.py": b"print()"}), "unknown 'evil.py'"),
    "path traversal": (lambda m: m.update({"../../evil.py": b"print()"}), "unknown '../../evil.py'"),
    "absolute path": (lambda m: m.update({"/etc/evil": b""}), "unknown '/etc/evil'"),
    "other shape": (lambda m: m.update({WEIGHT: npy(np.zeros(4, np.float32))}), "shape (4,)"),
    "other rank": (lambda m: m.update({WEIGHT: npy(np.zeros((3, 1), np.float32))}), "shape (3, 1)"),
    "other type": (lambda m: m.update({WEIGHT: npy(np.zeros(3, np.float64))}), "float64"),
    "big-endian": (lambda m: m.update({WEIGHT: npy(np.zeros(3, ">f4"))}), "float32 (3,)"),
    "pickled objects": (lambda m: m.update({WEIGHT: npy(np.array([print, 1, 2], object))}), "object"),
    "no npy": (lambda m: m.update({WEIGHT: b"x" * 140}), "no .npy file"),
    "empty member": (lambda m: m.update({WEIGHT: b""}), "no .npy file"),
    "short body": (lambda m: m.update({WEIGHT: m[WEIGHT][:-1]}), "11 bytes"),
    "long body": (lambda m: m.update({WEIGHT: m[WEIGHT] + b"x"}), "13 bytes"),
    "huge member": (lambda m: m.update({WEIGHT: bytes(1 << 20)}), "larger than"),
    "huge document": (lambda m: m.update({"model.json": bytes((1 << 20) + 1)}), "larger than"),
    "NaN": (lambda m: m.update({WEIGHT: npy(NAN)}), "not finite"),
    "changed weight": (lambda m: m.update({WEIGHT: npy(np.ones(3, np.float32))}), "not those it was saved with"),
    "no JSON": (lambda m: m.update({"model.json": b"{"}), "not valid JSON"),
    "JSON list": (lambda m: m.update({"model.json": b"[]"}), "expected an object"),
    "deep JSON": (lambda m: m.update({"model.json": b"[" * 200_000}), "not valid JSON"),
    "binary JSON": (lambda m: m.update({"model.json": b"\xff\xfe\x00"}), "not valid JSON"),
    "other format": (edit_document(format="keras"), "format"),
    "later version": (edit_document(format_version=4), "format_version"),
    "earlier version": (edit_document(format_version=1), "format_version"),
    "unknown key": (edit_document(run="rm -rf"), "unknown key 'run'"),
    "other architecture": (edit_document(model={"peer_width": 60}), "shape"),
    "more layers": (edit_document(model={"peer_layers": 3}), "missing"),
    "absurd architecture": (edit_document(model={"peer_width": 10**9}), "peer_width"),
    "other threshold": (edit_document(release_threshold=0.1), "threshold 0.1"),
    "swapped features": (_swap_features, "expects peer features age_s"),
    "rescaled feature": (_rescale_feature, "expects ego features speed_mps/60"),
}


@pytest.mark.parametrize("name", BAD_MEMBERS)
def test_edited_files_are_refused(saved: Path, name: str) -> None:
    change, message = BAD_MEMBERS[name]
    rewrite(saved, change)
    with pytest.raises(PolicyError) as refusal:
        load_policy(saved)
    assert message in str(refusal.value)
    assert "\n" not in str(refusal.value)


def test_compressed_members_are_refused(saved: Path) -> None:
    rewrite(saved, lambda members: members.update({"model.json": members["model.json"] + b" " * 900_000}), zipfile.ZIP_DEFLATED)
    with pytest.raises(PolicyError, match="compressed"):
        load_policy(saved)


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_members_that_come_twice_are_refused(saved: Path) -> None:
    with zipfile.ZipFile(saved, "a") as archive:
        archive.writestr(WEIGHT, archive.read(WEIGHT))
    with pytest.raises(PolicyError, match="twice"):
        load_policy(saved)


@pytest.mark.parametrize("content", [b"", b"PK", b"no zip at all" * 10, pickle.dumps({"weights": 1})])
def test_other_files_are_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "model_final.zip"
    path.write_bytes(content)
    with pytest.raises(PolicyError, match="cannot be read as a policy"):
        load_policy(path)


def test_missing_files_folders_and_giants_are_refused(tmp_path: Path) -> None:
    with pytest.raises(PolicyError, match="no such file"):
        load_policy(tmp_path / "nowhere.zip")
    with pytest.raises(PolicyError, match="cannot be read"):
        load_policy(tmp_path)
    giant = tmp_path / "giant.zip"
    giant.touch()
    os.truncate(giant, 1 << 30)
    with pytest.raises(PolicyError, match="larger than"):
        load_policy(giant)


def test_damaged_files_never_cause_anything_but_a_refusal(saved: Path) -> None:
    """Bytes changed or cut at random, mostly in the headers and the directory; the policy comes back whole or not at all."""
    whole, reference = saved.read_bytes(), load_policy(saved).weights_sha256
    accepted = 0
    for seed in range(600):
        saved.write_bytes(damaged(whole, seed))
        try:
            policy = load_policy(saved)
        except PolicyError as refusal:
            assert "\n" not in str(refusal), seed
        else:
            assert policy.weights_sha256 == reference, seed
            accepted += 1
    assert accepted < 200  # a date or a comment may change unnoticed, little else


def damaged(whole: bytes, seed: int) -> bytes:
    rng = np.random.default_rng(seed)
    data = bytearray(whole[: int(rng.integers(1, len(whole)))] if seed % 5 == 0 else whole)
    for _ in range(int(rng.integers(1, 5))):
        position = int(rng.integers(len(data))) if seed % 2 else len(data) - 1 - int(rng.integers(min(1200, len(data))))
        data[position] = int(rng.integers(256))
    return bytes(data)


def test_saving_is_all_or_nothing(tmp_path: Path, saved: Path) -> None:
    before = saved.read_bytes()
    diverged = make_model()
    with torch.no_grad():
        diverged.actor[0].weight[0, 0] = math.nan
    with pytest.raises(PolicyError, match="diverged"):
        save_policy(saved, diverged, METADATA)
    for metadata in ({"x": object()}, {"x": math.inf}, {"x": "y" * (1 << 20)}):
        with pytest.raises(PolicyError, match="metadata"):
            save_policy(saved, make_model(), metadata)
    with pytest.raises(PolicyError, match="cannot be written"):
        save_policy(tmp_path / "nowhere" / "model.zip", make_model(), METADATA)
    assert saved.read_bytes() == before
    assert [path.name for path in tmp_path.iterdir()] == [saved.name]


@pytest.mark.parametrize(
    "change",
    [
        {"ego": np.zeros(EGO_SIZE + 1, np.float32)},
        {"ego": np.full(EGO_SIZE, np.nan, np.float32)},
        {"peers": PeerSet.empty(PEER_SIZE + 1)},
        {"peers": np.zeros((2, PEER_SIZE), np.float32)},
    ],
)
def test_observations_that_do_not_fit_are_refused(saved: Path, change: dict[str, object]) -> None:
    policy: Policy = load_policy(saved)
    with pytest.raises(ConfigError, match="observation"):
        policy(observation(2, 0) | change)
