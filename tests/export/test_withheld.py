"""What a policy is not given it cannot weigh, in any form: torch, NumPy, the policy file, and C on a device."""

import io
import json
import zipfile

import numpy as np
import pytest
import torch
from export_support import observations, save_random_policy, seen
from pydantic import ValidationError

from roadsense.errors import ConfigError, PolicyError
from roadsense.export.export import export_policy
from roadsense.export.load import load_exported
from roadsense.features import PEER_COLUMN
from roadsense.model.deep_sets import DeepSets
from roadsense.model.packing import pack
from roadsense.model.policy_file import load_policy
from roadsense.model.settings import ModelSettings
from roadsense.peer_set import PeerSet

AGE = PEER_COLUMN["age_s"]


def older(observation):
    """The same peers, heard at other times."""
    values = observation["peers"].values.copy()
    values[:, AGE] += np.linspace(0.4, 1.3, len(values))
    return {"ego": observation["ego"], "peers": PeerSet(values)}


@pytest.fixture(scope="module")
def ageless(tmp_path_factory):
    path = tmp_path_factory.mktemp("ageless") / "model_final.zip"
    save_random_policy(path, pool="max+mean", withheld_peer_features=("age_s",))
    return path


def torch_parameters(model, observation):
    ego = torch.from_numpy(observation["ego"])[None]
    return model.action_parameters(ego, *pack([observation["peers"]])).detach().numpy()[0]


def test_the_age_changes_nothing_without_it_and_something_with_it(ageless, policies):
    without, with_age = load_policy(ageless), policies["max+mean"]
    for observation in (seen(count, seed=count) for count in range(1, 6)):
        assert np.array_equal(without.action_parameters(observation), without.action_parameters(older(observation)))
        assert not np.array_equal(with_age.action_parameters(observation), with_age.action_parameters(older(observation)))
        everything_else = {"ego": observation["ego"], "peers": PeerSet(observation["peers"].values + np.float32(0.1))}
        assert not np.array_equal(without.action_parameters(observation), without.action_parameters(everything_else))


def test_permutations_of_the_peers_change_nothing(ageless):
    policy, observation = load_policy(ageless), seen(7, seed=5)
    turned = {"ego": observation["ego"], "peers": PeerSet(observation["peers"].values[::-1])}
    assert policy.action_parameters(turned) == pytest.approx(policy.action_parameters(observation), abs=1e-5)


def test_numpy_and_torch_agree(ageless):
    policy = load_policy(ageless)
    for observation in observations(20):
        assert torch_parameters(policy.to_model(), observation) == pytest.approx(policy.action_parameters(observation), abs=1e-4)


def test_training_leaves_what_is_withheld_at_zero():
    torch.manual_seed(1)
    model = DeepSets(ModelSettings(withheld_peer_features=("age_s",)))
    optimiser = torch.optim.Adam(model.parameters(), lr=1e-2)
    for seed in range(5):
        observation = seen(4, seed)
        parameters, value = model(torch.from_numpy(observation["ego"])[None], *pack([observation["peers"]]))
        optimiser.zero_grad()
        (parameters.square().sum() + (value - 3).square().sum()).backward()
        optimiser.step()
        assert torch_parameters(model, observation).tolist() == torch_parameters(model, older(observation)).tolist()
    for encoder in (model.peer_encoder, model.critic_encoder):
        assert not encoder[0].weight[:, model.settings.withheld_inputs].any()
        assert encoder[0].weight.count_nonzero() == encoder[0].weight.numel() * 10 / 12


def test_an_exported_policy_does_not_weigh_it_either(ageless, tmp_path, compiler):
    policy = load_policy(ageless)
    export_policy(policy, ("c", "onnx"), tmp_path / "export", calibration=observations(200), held_out=observations(12, seed=1000))
    for name in ("policy.h", "policy.onnx"):
        exported = load_exported(tmp_path / "export" / name)
        for observation in observations(12, seed=50):
            assert exported(observation) == pytest.approx(policy(observation), abs=1e-4)
            assert exported(older(observation)) == exported(observation)


def test_a_file_that_weighs_what_it_says_is_withheld_is_refused(policies, ageless, tmp_path):
    path = tmp_path / "tampered.zip"
    save_random_policy(path, pool="max")
    with zipfile.ZipFile(path) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    document = json.loads(members["model.json"])
    assert "withheld_peer_features" not in document["model"]  # files of policies that are given everything stay what they were
    document["model"]["withheld_peer_features"] = ["age_s"]
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", zipfile.ZIP_STORED) as archive:
        for name, data in (members | {"model.json": json.dumps(document).encode()}).items():
            archive.writestr(name, data)
    path.write_bytes(content.getvalue())
    with pytest.raises(PolicyError, match="not to be given age_s, but weighs it"):
        load_policy(path)


def test_only_entries_that_a_peer_has_can_be_withheld():
    with pytest.raises(ConfigError, match="a peer has no 'colour'; its entries are forward_m"):
        ModelSettings.parse({"withheld_peer_features": ["colour"]}, "test")
    assert ModelSettings(withheld_peer_features=("age_s", "left_m", "age_s")).withheld_peer_features == ("left_m", "age_s")


def test_sides_cannot_be_made_one_when_the_side_is_withheld():
    """The sign of the heading would tell what is withheld."""
    with pytest.raises(ValidationError, match="mirror_peers needs left_m, which withheld_peer_features names"):
        ModelSettings(mirror_peers=True, withheld_peer_features=("left_m",))
    assert ModelSettings(mirror_peers=True, withheld_peer_features=("age_s",)).mirror_peers
