"""The action distribution is a distribution, and its deterministic rule is one."""

from __future__ import annotations

import itertools
import json
import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from roadsense.features import RELEASE_THRESHOLD
from roadsense.model.action import CONCENTRATION_LIMIT, concentrations, deterministic_action
from roadsense.model.distribution import GatedBeta
from roadsense.peer_set import action_space

PARAMETERS = torch.tensor(
    [[-2.9, 0.0, 0.0], [0.0, 2.0, -1.0], [1.5, -4.0, 3.0], [3.0, 6.0, 6.0], [-1.0, -8.0, -8.0], [0.5, 20.0, 3.0]], dtype=torch.float64
)
SAMPLES = 200_000
raw = st.floats(-40.0, 40.0, width=32)


@pytest.fixture(autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)
    torch.manual_seed(0)


def row(index: int) -> Tensor:
    return PARAMETERS[index : index + 1]


@pytest.mark.parametrize("index", range(len(PARAMETERS)))
def test_probabilities_sum_to_one(index: int) -> None:
    """The mass at 0 and the integral of the density above the threshold."""
    grid = torch.linspace(RELEASE_THRESHOLD + 1e-9, 1.0, 400_001, dtype=torch.float64)
    distribution = GatedBeta(row(index))
    mass = distribution.log_prob(torch.zeros(1, dtype=torch.float64)).exp()
    integral = torch.trapezoid(distribution.log_prob(grid).exp(), grid)
    assert abs((mass + integral).item() - 1.0) < 1e-5
    assert abs(mass.item() - torch.sigmoid(-row(index)[0, 0]).item()) < 1e-12


@pytest.mark.parametrize("index", range(len(PARAMETERS)))
def test_samples_follow_the_density(index: int) -> None:
    distribution = GatedBeta(row(index))
    samples = distribution.sample(torch.Size([SAMPLES]))[:, 0]
    edges = torch.linspace(RELEASE_THRESHOLD, 1.0, 21, dtype=torch.float64)
    expected = [torch.sigmoid(-row(index)[0, 0]).item()]
    observed = [(samples == 0).double().mean().item()]
    for low, high in itertools.pairwise(edges):
        grid = torch.linspace(low.item() + 1e-12, high.item(), 4001, dtype=torch.float64)
        expected.append(torch.trapezoid(distribution.log_prob(grid).exp(), grid).item())
        observed.append(((samples > low) & (samples <= high)).double().mean().item())
    for share, probability in zip(observed, expected, strict=True):
        assert abs(share - probability) < 5.0 * math.sqrt(probability * (1.0 - probability) / SAMPLES) + 1e-4


@pytest.mark.parametrize("index", range(len(PARAMETERS)))
def test_entropy_is_the_mean_surprise(index: int) -> None:
    distribution = GatedBeta(row(index))
    surprise = -distribution.log_prob(distribution.sample(torch.Size([SAMPLES])))
    assert abs(surprise.mean() - distribution.entropy()).item() < 5.0 * surprise.std().item() / math.sqrt(SAMPLES)


@pytest.mark.parametrize("index", range(len(PARAMETERS)))
def test_kl_is_the_mean_log_ratio(index: int) -> None:
    distribution, other = GatedBeta(row(index)), GatedBeta(row(index) + torch.tensor([0.7, -0.5, 0.9]))
    samples = distribution.sample(torch.Size([SAMPLES]))
    ratio = distribution.log_prob(samples) - other.log_prob(samples)
    assert abs(ratio.mean() - distribution.kl(other)).item() < 5.0 * ratio.std().item() / math.sqrt(SAMPLES)
    assert distribution.kl(other).item() > 0.0
    assert abs(distribution.kl(distribution).item()) < 1e-12


@given(gate=raw, raw_alpha=raw, raw_beta=raw, seed=st.integers(0, 2**31 - 1))
@settings(max_examples=150, deadline=None)
def test_float32_actions_survive_every_round_trip(gate: float, raw_alpha: float, raw_beta: float, seed: int) -> None:
    """Whatever an action goes through between sampling and learning, its log density is the same number, and finite."""
    torch.manual_seed(seed)
    distribution = GatedBeta(torch.tensor([[gate, raw_alpha, raw_beta]]))
    actions = distribution.sample(torch.Size([50]))
    log_prob = distribution.log_prob(actions)
    travelled = np.array(json.loads(json.dumps(actions.numpy().astype(np.float64).tolist())), dtype=np.float32)
    assert torch.equal(distribution.log_prob(torch.from_numpy(travelled)), log_prob)
    assert torch.isfinite(log_prob).all()
    for action in actions.flatten().tolist():
        assert action == 0.0 or RELEASE_THRESHOLD < action < 1.0
        assert np.array([action], np.float32) in action_space()


@given(gate=raw, raw_alpha=raw, raw_beta=raw)
@settings(deadline=None)
def test_extreme_parameters_and_actions_stay_finite(gate: float, raw_alpha: float, raw_beta: float) -> None:
    parameters = torch.tensor([[gate, raw_alpha, raw_beta]], requires_grad=True)
    distribution, other = GatedBeta(parameters), GatedBeta(torch.tensor([[0.0, 0.0, 0.0]]))
    edge = float(np.nextafter(np.float32(RELEASE_THRESHOLD), np.float32(1.0)))
    actions = torch.tensor([0.0, RELEASE_THRESHOLD, edge, 0.5, float(np.nextafter(np.float32(1.0), np.float32(0.0))), 1.0])
    numbers = torch.cat([distribution.log_prob(actions), distribution.entropy(), distribution.kl(other), other.kl(distribution)])
    assert torch.isfinite(numbers).all()
    (gradient,) = torch.autograd.grad(numbers.sum(), parameters)
    assert torch.isfinite(gradient).all()


def test_samples_follow_the_seed() -> None:
    parameters = torch.tensor([[0.0, 0.0, 0.0]]).expand(1000, 3)
    torch.manual_seed(4)
    first = GatedBeta(parameters).sample()
    torch.manual_seed(4)
    assert torch.equal(GatedBeta(parameters).sample(), first)


@pytest.mark.parametrize(
    ("gate", "expected"),
    [(-9.0, 0.0), (-1.0987, 0.0), (-1.0985, 0.53125), (0.0, 0.53125), (30.0, 0.53125)],
)
def test_deterministic_rule(gate: float, expected: float) -> None:
    """Equal alpha and beta: the middle of what lies above the threshold, from a gate of a quarter on."""
    action = deterministic_action(torch.tensor([[gate, 1.3, 1.3]]))
    assert action.shape == (1,)
    assert action.item() == pytest.approx(expected, abs=1e-4)


def test_deterministic_braking_is_the_mean_of_sampled_braking() -> None:
    parameters = torch.tensor([[2.0, 3.0, -1.0]])
    samples = GatedBeta(parameters).sample(torch.Size([SAMPLES]))
    braking = samples[samples > 0]
    error = 5.0 * braking.std().item() / math.sqrt(braking.numel())
    assert abs(braking.mean().item() - deterministic_action(parameters).item()) < error


def test_the_least_braking_is_braking() -> None:
    """A wide open gate with the smallest amount stays above the release threshold, in float32 too."""
    assert deterministic_action(torch.tensor([[-0.5, -90.0, 90.0]])).item() > RELEASE_THRESHOLD


@given(st.lists(st.tuples(raw, raw, raw), min_size=1, max_size=6))
@settings(deadline=None)
def test_the_rule_is_the_same_in_numpy_and_torch(rows: list[tuple[float, float, float]]) -> None:
    parameters = np.array(rows, dtype=np.float32)
    np.testing.assert_allclose(deterministic_action(parameters), deterministic_action(torch.from_numpy(parameters)).numpy(), atol=2e-7)
    np.testing.assert_allclose(deterministic_action(parameters[0]), deterministic_action(parameters)[0], atol=2e-7)
    assert concentrations(parameters).dtype == np.float32
    assert (concentrations(parameters) >= 1.0).all()


def test_the_amount_never_gets_sharper_than_its_limit() -> None:
    raw_values = np.float32([-1e4, -40.0, 0.0, 3.0, 40.0, 1e4])
    alpha_beta = concentrations(np.stack([np.zeros(6, np.float32), raw_values, raw_values], axis=1))
    assert (np.diff(alpha_beta[1:], axis=0) > 0.0).all(), "strictly increasing"
    assert alpha_beta.min() >= 1.0
    assert alpha_beta.max() < 1.0 + CONCENTRATION_LIMIT
    assert alpha_beta[2, 0] == pytest.approx(1.0 + math.log(2.0), rel=0.01), "close to 1 + softplus where it is small"
