"""The network sees sets: no order, no padding, no neighbours in the batch."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from roadsense.errors import ConfigError, PolicyError
from roadsense.features import EGO_SIZE, PEER_SIZE, RELEASE_THRESHOLD
from roadsense.model.deep_sets import DeepSets
from roadsense.model.distribution import GatedBeta
from roadsense.model.forward import squashed_rows
from roadsense.model.inputs import squashed
from roadsense.model.packing import pack
from roadsense.model.settings import ModelSettings
from roadsense.model.weights import weights_sha256
from roadsense.peer_set import PeerSet, cell_array

BESIDE_EGO, MIRRORED = " beside ego", " mirrored"
POOLS = ["max", "mean", "max+mean", "max" + BESIDE_EGO, "max" + MIRRORED]
COUNTS = st.lists(st.one_of(st.integers(0, 4), st.just(50)), min_size=1, max_size=8)
SEEDS = st.integers(0, 2**31 - 1)


@pytest.fixture(autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)


def make_model(pool: str = "max", *, shared_encoder: bool = False) -> DeepSets:
    """A network whose outputs are of order 1, so that tolerances mean something."""
    torch.manual_seed(0)
    ways = {"ego_in_encoder": pool.endswith(BESIDE_EGO), "mirror_peers": pool.endswith(MIRRORED)}
    model = DeepSets(ModelSettings(pool=pool.split()[0], shared_encoder=shared_encoder, **ways))
    with torch.no_grad():
        model.actor[-1].weight.mul_(100.0)
    return model


def make_batch(counts: list[int], seed: int) -> tuple[Tensor, list[PeerSet]]:
    rng = np.random.default_rng(seed)
    ego = torch.from_numpy(rng.normal(size=(len(counts), EGO_SIZE)).astype(np.float32))
    return ego, [PeerSet(rng.normal(size=(count, PEER_SIZE))) for count in counts]


def twice(entries: Tensor) -> Tensor:
    return torch.cat([torch.tanh(entries), torch.tanh(8.0 * entries)], -1)


def as_seen_to_the_left(padded: Tensor) -> Tensor:
    """Signs: -1 for side and heading of a peer to the right."""
    signs = torch.ones_like(padded)
    for row, slot in (padded[..., 1] < 0).nonzero().tolist():
        signs[row, slot, 1] = signs[row, slot, 3] = -1.0
    return signs


def padded_reference(model: DeepSets, ego: Tensor, sets: list[PeerSet]) -> tuple[Tensor, Tensor]:
    """The same function with padded peers and a mask, written independently of the packed path."""
    size = max(peers.count for peers in sets) + 2
    padded = torch.zeros(len(sets), size, PEER_SIZE)
    mask = torch.zeros(len(sets), size, 1)
    for row, peers in enumerate(sets):
        padded[row, : peers.count] = torch.tensor(peers.values)
        mask[row, : peers.count] = 1.0

    def pooled(encoder: torch.nn.Module) -> Tensor:
        inputs = twice(padded * as_seen_to_the_left(padded) if model.settings.mirror_peers else padded)
        if model.settings.ego_in_encoder:
            inputs = torch.cat([inputs, twice(ego).unsqueeze(1).expand(-1, size, -1)], 2)
        hidden = encoder(inputs) * mask
        parts = {"max": hidden.amax(1), "mean": hidden.sum(1) / mask.sum(1).clamp(min=1.0)}
        return torch.cat([parts[kind] for kind in model.settings.pool.split("+")], 1)

    actor = model.actor(torch.cat([twice(ego), pooled(model.peer_encoder)], 1))
    critic = model.critic(torch.cat([twice(ego), pooled(model.critic_encoder or model.peer_encoder)], 1))
    return actor, critic[:, 0]


@given(counts=COUNTS, seed=SEEDS)
@settings(deadline=None)
def test_packing_lays_the_sets_end_to_end(counts: list[int], seed: int) -> None:
    _, sets = make_batch(counts, seed)
    for cells in (sets, cell_array(sets)):
        values, packed_counts = pack(cells)
        assert values.dtype == torch.float32
        assert packed_counts.tolist() == counts
        parts = torch.split(values, counts)
        assert all(np.array_equal(part.numpy(), peers.values) for part, peers in zip(parts, sets, strict=True))


def test_packing_refuses_what_does_not_fit() -> None:
    with pytest.raises(ConfigError):
        pack([])
    with pytest.raises(ConfigError):
        pack([PeerSet.empty(3), PeerSet.empty(4)])


@pytest.mark.parametrize(("pool", "same"), [("max" + MIRRORED, True), ("max", False)])
def test_a_mirrored_road_is_the_same_road_when_so_set(pool: str, same: bool) -> None:
    model = make_model(pool)
    ego, sets = make_batch([3, 0, 5], 1)
    mirror = np.array([1.0, -1.0, 1.0, -1.0, 1.0, 1.0])
    with torch.no_grad():
        outputs = [model(ego, *pack(seen)) for seen in (sets, [PeerSet(peers.values * mirror) for peers in sets])]
    for one, other in zip(*outputs, strict=True):
        assert torch.equal(one, other) is same
    turned = [PeerSet(peers.values * np.abs(mirror) * np.where(np.arange(6) == 3, -1.0, 1.0)) for peers in sets]
    with torch.no_grad():
        assert not torch.equal(model(ego, *pack(turned))[0], outputs[0][0]), "a peer that turns the other way is another one"


@pytest.mark.parametrize("pool", POOLS)
@given(counts=COUNTS, seed=SEEDS)
@settings(max_examples=25, deadline=None)
def test_order_of_peers_means_nothing(pool: str, counts: list[int], seed: int) -> None:
    model = make_model(pool)
    ego, sets = make_batch(counts, seed)
    rng = np.random.default_rng(seed)
    shuffled = [PeerSet(rng.permutation(peers.values)) for peers in sets]
    with torch.no_grad():
        for output, expected in zip(model(ego, *pack(shuffled)), model(ego, *pack(sets)), strict=True):
            torch.testing.assert_close(output, expected, rtol=1e-5, atol=2e-6)


@pytest.mark.parametrize("pool", POOLS)
@given(counts=COUNTS, seed=SEEDS)
@settings(max_examples=25, deadline=None)
def test_rows_do_not_see_each_other(pool: str, counts: list[int], seed: int) -> None:
    model = make_model(pool)
    ego, sets = make_batch(counts, seed)
    with torch.no_grad():
        together = model(ego, *pack(sets))
        for row, peers in enumerate(sets):
            alone = model(ego[row : row + 1], *pack([peers]))
            for output, expected in zip(together, alone, strict=True):
                torch.testing.assert_close(output[row : row + 1], expected, rtol=1e-5, atol=2e-6)


@pytest.mark.parametrize("shared_encoder", [False, True])
@pytest.mark.parametrize("pool", POOLS)
@given(counts=COUNTS, seed=SEEDS)
@settings(max_examples=15, deadline=None)
def test_outputs_and_gradients_equal_padding_with_a_mask(pool: str, shared_encoder: bool, counts: list[int], seed: int) -> None:
    model = make_model(pool, shared_encoder=shared_encoder)
    ego, sets = make_batch(counts, seed)

    def gradients(outputs: tuple[Tensor, Tensor]) -> list[Tensor]:
        loss = outputs[0].square().sum() + outputs[1].square().sum()
        return list(torch.autograd.grad(loss, list(model.parameters())))

    packed, padded = model(ego, *pack(sets)), padded_reference(model, ego, sets)
    for output, expected in zip(packed, padded, strict=True):
        torch.testing.assert_close(output, expected, rtol=1e-5, atol=2e-6)
    for gradient, expected in zip(gradients(packed), gradients(padded), strict=True):
        scale = expected.abs().max().clamp(min=1e-3)
        assert ((gradient - expected).abs().max() / scale) < 2e-5


@pytest.mark.parametrize("pool", POOLS)
def test_an_empty_set_pools_to_zero(pool: str) -> None:
    model = make_model(pool)
    ego, _ = make_batch([0, 0], 1)
    empty = [PeerSet.empty(), PeerSet.empty()]
    pooled = torch.zeros(2, model.settings.pooled_size)
    parameters, values = model(ego, *pack(empty))
    torch.testing.assert_close(parameters, model.actor(torch.cat([twice(ego), pooled], 1)), rtol=0, atol=0)
    assert torch.isfinite(values).all()
    (parameters.sum() + values.sum()).backward()
    assert all(torch.isfinite(parameter.grad).all() for parameter in model.parameters() if parameter.grad is not None)


def test_no_encoded_value_is_negative() -> None:
    """What makes 0 the neutral element of the pool, here and in an exported network."""
    model = make_model()
    for encoder in (model.peer_encoder, model.critic_encoder):
        encoded = encoder(torch.randn(200, 2 * PEER_SIZE))
        assert encoded.min() == 0.0
        assert encoded.max() > 0.0


@pytest.mark.parametrize("shared_encoder", [False, True])
def test_parts_equal_the_whole(shared_encoder: bool) -> None:
    model = make_model(shared_encoder=shared_encoder)
    ego, sets = make_batch([2, 0, 5], 4)
    packed = pack(sets)
    parameters, values = model(ego, *packed)
    torch.testing.assert_close(model.action_parameters(ego, *packed), parameters, rtol=0, atol=0)
    torch.testing.assert_close(model.value(ego, *packed), values, rtol=0, atol=0)
    assert parameters.shape == (3, 3)
    assert values.shape == (3,)


@pytest.mark.parametrize("shared_encoder", [False, True])
def test_the_critic_reaches_the_encoder_only_when_shared(shared_encoder: bool) -> None:
    model = make_model(shared_encoder=shared_encoder)
    ego, sets = make_batch([2, 0, 5], 4)
    model.value(ego, *pack(sets)).sum().backward()
    touched = any(parameter.grad is not None for parameter in model.peer_encoder.parameters())
    assert touched == shared_encoder
    assert all(parameter.grad is None for parameter in model.actor.parameters())


@pytest.mark.parametrize("shared_encoder", [False, True])
def test_acting_needs_no_critic(shared_encoder: bool) -> None:
    model = make_model(shared_encoder=shared_encoder)
    acting = DeepSets(model.settings, acting_only=True)
    assert list(acting.state_dict()) == list(model.settings.acting_shapes())
    shapes = {name: tuple(array.shape) for name, array in acting.state_dict().items()}
    assert shapes == model.settings.acting_shapes()
    acting.load_state_dict(model.state_dict(), strict=False)
    assert weights_sha256(acting) == weights_sha256(model)
    ego, sets = make_batch([2, 0, 5], 4)
    torch.testing.assert_close(acting.action_parameters(ego, *pack(sets)), model.action_parameters(ego, *pack(sets)), rtol=0, atol=0)
    with pytest.raises(PolicyError, match="no critic"):
        acting.value(ego, *pack(sets))


@pytest.mark.parametrize(("probability", "amount"), [(0.03, 0.5), (0.15, 0.8), (0.08, 0.3)])
def test_the_untrained_policy_starts_near_no_brake(probability: float, amount: float) -> None:
    torch.manual_seed(0)
    model = DeepSets(ModelSettings(initial_brake_probability=probability, initial_brake_amount=amount))
    ego, sets = make_batch([0, 1, 5, 50] * 20, 2)
    with torch.no_grad():
        parameters = model.action_parameters(ego, *pack(sets))
        actions = GatedBeta(parameters).sample(torch.Size([2000]))
    braking = actions[actions > 0]
    assert abs((actions > 0).float().mean().item() - probability) < 0.005
    above = (braking - RELEASE_THRESHOLD) / (1.0 - RELEASE_THRESHOLD)
    assert abs(above.mean().item() - amount) < 0.01
    assert braking.min() < 0.2
    assert braking.max() > 0.9


@given(st.integers(0, 70), st.integers(1, 9), SEEDS)
def test_squashed_in_one_operator_is_squashed_to_the_last_bit(rows, features, seed):
    entries_NF = np.random.default_rng(seed).normal(scale=2.0, size=(rows, features)).astype(np.float32)
    expected = squashed(torch.from_numpy(entries_NF))
    assert torch.equal(squashed_rows(entries_NF), expected)
    expected[:, (0,)] = 0.0
    assert torch.equal(squashed_rows(entries_NF, (0,)), expected)
