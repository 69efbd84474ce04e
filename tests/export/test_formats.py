"""Every format against torch: numbers of peers, orders, and values that are no numbers."""

import numpy as np
import pytest

from roadsense.errors import ConfigError
from roadsense.export.artifact import ArtifactPolicy, physical_inputs
from roadsense.export.c_library import CompiledPolicy
from roadsense.export.cases import PEER_COUNTS, drawn_cases, expected_of, recorded_cases
from roadsense.export.load import load_artifact, load_exported
from roadsense.export.verify import FLOAT, INT8, verify
from roadsense.features import EGO_SIZE, PEER_SIZE
from roadsense.peer_set import PeerSet

POOLS = ["max", "mean", "max+mean", "beside ego", "mirrored"]
FLOAT_FILES = ["policy.h", "policy.onnx", "encoder.tflite"]
ALL_FILES = [*FLOAT_FILES, "encoder_int8.tflite"]


def examples(count, seed=0):
    rng = np.random.default_rng(seed)
    return np.float32([rng.uniform(0, 40), rng.normal(), 0.0]), (rng.normal(size=(count, PEER_SIZE)) * [60, 5, 8, 1, 3, 0.1]).astype(
        np.float32
    )


@pytest.mark.parametrize("pool", POOLS)
@pytest.mark.parametrize("name", FLOAT_FILES)
def test_float_formats_equal_torch(exports, policies, pool, name):
    cases = list(drawn_cases())
    assert {f"n={count}" for count in PEER_COUNTS} == {case.group for case in cases} >= {"n=0", "n=1", "n=2", "n=3", "n=8", "n=50", "n=200"}
    expected = expected_of(policies[pool], cases)
    found = verify(load_artifact(exports[pool] / name), cases, expected, tolerance=FLOAT)
    assert found.failures == ()
    assert 0 < found.worst_relative_error < 2e-6 and found.worst_action_error < 2e-6
    assert 0.1 < np.mean(expected.actions > 0) < 0.9  # both sides of the gate were compared


@pytest.mark.parametrize("pool", POOLS)
def test_torch_in_single_precision_is_as_near(policies, pool):
    """The policy that was trained is held to the same limits as its exports, and the scales are at least what the parameters add up to."""
    import torch

    from roadsense.export.artifact import network_entries
    from roadsense.model.packing import pack

    cases = list(drawn_cases())
    model, expected = policies[pool].to_model(), expected_of(policies[pool], cases)
    for case, parameters, scale in zip(cases, expected.parameters, expected.scales, strict=True):
        ego, peers = network_entries(case.ego, case.peers)
        with torch.no_grad():
            single = model.action_parameters(torch.from_numpy(ego)[None], *pack([PeerSet(peers)]))[0].numpy()
        assert 0 < np.abs(parameters - single).max() < FLOAT.parameters * scale
        assert np.abs(parameters).max() <= scale < 100


@pytest.mark.parametrize("name", ALL_FILES)
@pytest.mark.parametrize("count", [0, 200])
def test_no_peers_and_many(exports, name, count):
    artifact = load_artifact(exports["max"] / name)
    ego, peers = examples(count)
    decided = artifact.decide(ego, peers)
    assert np.isfinite(decided.parameters).all() and (decided.action == 0 or 0.0625 < decided.action < 1)
    assert artifact.decide(ego, peers[::-1].copy()).parameters == pytest.approx(decided.parameters, abs=1e-5)
    assert artifact.decide(ego, np.concatenate([peers, peers])).parameters == pytest.approx(decided.parameters, abs=1e-5)  # a set


@pytest.mark.parametrize("name", ALL_FILES)
@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_values_that_are_no_numbers_are_refused_by_name(exports, name, bad):
    """At the boundary that every format shares."""
    artifact = load_artifact(exports["max"] / name)
    for column in range(EGO_SIZE):
        ego, peers = examples(3)
        ego[column] = bad
        with pytest.raises(ConfigError, match="the ego's"):
            artifact.decide(*physical_inputs(ego, peers))
    for column in range(PEER_SIZE):
        ego, peers = examples(3)
        peers[1, column] = bad
        with pytest.raises(ConfigError, match="of peer 1 is"):
            artifact.decide(*physical_inputs(ego, peers))
    with pytest.raises(ConfigError):
        ArtifactPolicy(artifact)({"ego": np.full(EGO_SIZE, bad), "peers": PeerSet.empty()})


@pytest.mark.parametrize("shapes", [((4,), (2, 6)), ((3,), (6,)), ((3,), (2, 5)), ((3,), (0,))])
def test_other_shapes_are_refused(shapes):
    with pytest.raises(ConfigError, match=r"have shape|has shape"):
        physical_inputs(np.zeros(shapes[0]), np.zeros(shapes[1]))


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_policy_h_refuses_by_itself(exports, bad):
    """The device has no Python before it: the status says so, and nothing is decided."""
    compiled = CompiledPolicy(exports["max"] / "policy.h")
    parameters, action = np.full(3, 9, np.float32), np.full(1, 9, np.float32)
    for column in range(EGO_SIZE):
        ego, peers = examples(2)
        ego[column] = bad
        assert compiled.status(ego, peers, parameters, action) == 1
    for column in range(PEER_SIZE):
        ego, peers = examples(2)
        peers[1, column] = bad
        assert compiled.status(ego, peers, parameters, action) == 1
    assert (parameters == 9).all() and action[0] == 9


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_policy_onnx_answers_nan_by_itself(exports, bad):
    """A runtime drops a NaN peer from a maximum, so the graph must not let it come to that."""
    import onnxruntime

    session = onnxruntime.InferenceSession(str(exports["max"] / "policy.onnx"), providers=["CPUExecutionProvider"])
    for row, column in ((None, 1), (0, 0), (1, 5)):
        ego, peers = examples(2)
        if row is None:
            ego[column] = bad
        else:
            peers[row, column] = bad
        action, parameters = session.run(["action", "action_parameters"], {"ego": ego, "peers": peers})
        assert np.isnan(action) and np.isnan(parameters).all()


def test_int8_is_near_and_its_limit_is_kept(exports, policies):
    from export_support import observations

    cases = list(recorded_cases(observations(60, seed=5000)))
    expected = expected_of(policies["max"], cases)
    found = verify(load_artifact(exports["max"] / "encoder_int8.tflite"), cases, expected, tolerance=INT8)
    assert found.failures == () and 0.0005 < found.worst_relative_error < INT8.parameters


def test_observations_go_through_every_format(exports, policies):
    from export_support import observations

    for one in observations(30, seed=77):
        reference = policies["max"](one)
        parameters = policies["max"].action_parameters(one)
        if abs(parameters[0] + 1.0986) < 1e-4:
            continue
        for name in FLOAT_FILES:
            assert loaded(exports["max"] / name)(one) == pytest.approx(reference, abs=2e-6)


_LOADED = {}


def loaded(path):
    if path not in _LOADED:
        _LOADED[path] = load_exported(path)
    return _LOADED[path]


def test_two_policies_in_one_process_stay_apart_and_leave_no_file(exports, tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    ego, peers = examples(5)
    alone = {pool: load_artifact(exports[pool] / "policy.h") for pool in ("max", "mean")}
    answers = {pool: artifact.decide(ego, peers).parameters.tolist() for pool, artifact in alone.items()}
    assert answers["max"] != answers["mean"]
    assert {pool: artifact.decide(ego, peers).parameters.tolist() for pool, artifact in alone.items()} == answers
    assert list(tmp_path.iterdir()) == []
