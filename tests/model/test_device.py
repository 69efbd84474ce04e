"""No part of the learner's path makes a tensor on a device of its own choice.

There is no GPU here. Torch's meta device computes shapes alone, and refuses to combine its tensors with the processor's as a GPU would:
a constant made on the processor would be found. What a GPU computes, and how fast, this cannot show.
"""

import numpy as np
import pytest
import torch
from ray.rllib.core.columns import Columns

from roadsense.features import EGO_SIZE, PEER_SIZE
from roadsense.model.action import deterministic_action
from roadsense.model.deep_sets import DeepSets
from roadsense.model.distribution import GatedBeta
from roadsense.model.packing import PackedPeers
from roadsense.model.settings import ModelSettings
from roadsense.peer_set import PeerSet, cell_array
from roadsense.training.learner import PackPeers

ROWS, PEERS = 4, 6


@pytest.fixture(params=["max", "mean", "max+mean"])
def network(request):
    return DeepSets(ModelSettings(pool=request.param), privileged_size=2).to("meta")


def inputs(ego="meta", values="meta", told="meta"):
    counts = torch.zeros(ROWS, dtype=torch.int64, device="meta")
    return (
        torch.zeros(ROWS, EGO_SIZE, device=ego),
        torch.zeros(PEERS, PEER_SIZE, device=values),
        counts,
        torch.zeros(ROWS, 2, device=told),
    )


def test_loss_and_gradients_stay_on_the_device(network):
    parameters, value = network(*inputs())
    policy, older = GatedBeta(parameters), GatedBeta(parameters.detach())
    actions = torch.zeros(ROWS, device="meta")
    loss = policy.log_prob(actions).mean() + policy.entropy().mean() + policy.kl(older).mean() + value.mean()
    loss.backward()
    assert loss.device.type == "meta" and deterministic_action(parameters).device.type == "meta"
    assert {weight.grad.device.type for weight in network.parameters()} == {"meta"}


@pytest.mark.parametrize("stray", ["ego", "values", "told"])
def test_a_tensor_of_the_processor_is_refused(network, stray):
    """That the test above can fail."""
    with pytest.raises(RuntimeError, match="device"):
        network(*inputs(**{stray: "cpu"}))


def test_packed_peers_go_where_the_batch_is():
    """RLlib has moved the egos by then, and leaves the peer sets, which are objects, alone."""

    class Module:
        packed = None

        def unwrapped(self):
            return self

    module = Module()
    sets = [PeerSet(np.zeros((count, PEER_SIZE))) for count in (0, 2, 1)]
    batch = {"default_policy": {Columns.OBS: {"ego": torch.zeros(3, EGO_SIZE, device="meta"), "peers": cell_array(sets)}}}
    packed = PackPeers()(rl_module={"default_policy": module}, batch=batch)["default_policy"][Columns.OBS]["peers"]
    assert packed.device.type == "meta"
    assert isinstance(module.packed, PackedPeers)
    assert {tensor.device.type for tensor in (module.packed.values, module.packed.starts, module.packed.counts)} == {"meta"}
