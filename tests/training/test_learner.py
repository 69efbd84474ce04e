"""Peers packed once per batch: the same rows, the same updates."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import tree
from ray.rllib.algorithms.ppo import PPOConfig
from ray.rllib.algorithms.ppo.torch.ppo_torch_learner import PPOTorchLearner
from ray.rllib.core.columns import Columns
from ray.rllib.env.single_agent_episode import SingleAgentEpisode

from roadsense.errors import ConfigError
from roadsense.features import EGO_SIZE, PEER_SIZE
from roadsense.model.packing import PackedPeers, pack
from roadsense.model.settings import ModelSettings
from roadsense.peer_set import PRIVILEGED, PeerSet, action_space, training_observation_space
from roadsense.training import learner as learner_file
from roadsense.training import side_by_side
from roadsense.training.fragment import DRAWN
from roadsense.training.learner import ConvoyLearner
from roadsense.training.rl_module import rl_module_spec

TOLD = 4


def peer_sets(counts, rng):
    return [PeerSet(rng.normal(size=(count, PEER_SIZE))) for count in counts]


@pytest.mark.parametrize("rows", [[0, 1, 2, 3, 4, 5], [5, 2, 2, 0], [3], [4, 4], [1]])
def test_rows_are_taken_as_if_they_were_packed_alone(rows):
    sets = peer_sets([2, 0, 3, 1, 0, 4], np.random.default_rng(1))
    values, counts = PackedPeers.of(sets).take(torch.tensor(rows))
    expected_values, expected_counts = pack([sets[row] for row in rows])
    assert torch.equal(values, expected_values) and torch.equal(counts, expected_counts)


def episodes(rng, drawn=None, kept_amount=0.5, kept_logp=-0.3):
    """Three episodes; `drawn(steps)` says in which steps actions were drawn, in the others they are `kept_amount`, of density `kept_logp`."""
    made = []
    for length in (40, 25, 35):
        observations = [
            {
                "ego": rng.normal(size=EGO_SIZE).astype(np.float32),
                "peers": PeerSet(rng.normal(size=(int(rng.integers(5)), PEER_SIZE))),
                PRIVILEGED: rng.normal(size=TOLD).astype(np.float32),
            }
            for _ in range(length + 1)
        ]
        braking = rng.random(length) < 0.3
        is_drawn = np.ones(length, dtype=np.bool_) if drawn is None else drawn(np.arange(length))
        amounts = np.where(is_drawn, 0.5 * braking, kept_amount).astype(np.float32)
        made.append(
            SingleAgentEpisode(
                observations=observations,
                actions=list(amounts[:, None]),
                rewards=rng.normal(size=length).tolist(),
                extra_model_outputs={
                    Columns.ACTION_DIST_INPUTS: [np.array([-1.0, 0.5, 0.5], np.float32)] * length,
                    Columns.ACTION_LOGP: list(np.where(is_drawn, np.float32(-0.3), np.float32(kept_logp))),
                    **({} if drawn is None else {DRAWN: list(is_drawn)}),
                },
                observation_space=training_observation_space(TOLD),
                action_space=action_space(),
                terminated=True,
                len_lookback_buffer=0,
            ).to_numpy()
        )
    return made


SETTINGS = {"lr": 1e-2, "entropy_coeff": 0.02, "grad_clip": 0.05, "grad_clip_by": "norm", "use_kl_loss": False, "vf_clip_param": 1.0}
UNLIKE = ("timer", "throughput")  # what tells of time


def built(learner_class, model=None, **training):
    torch.manual_seed(3)
    np.random.seed(4)  # noqa: NPY002 - RLlib shuffles with the global generator
    config = PPOConfig().environment(observation_space=training_observation_space(TOLD), action_space=action_space())
    config.learners(learner_class=learner_class).training(minibatch_size=32, num_epochs=3, **{**SETTINGS, **training})
    config.rl_module(rl_module_spec=rl_module_spec(model or ModelSettings(), privileged_size=TOLD))
    return config.build_learner(env=None, spaces=None)


def update(learner, seed=2, **kept):
    return learner.update(
        episodes=episodes(np.random.default_rng(seed), **kept),
        timesteps={"num_env_steps_sampled_lifetime": 100},
        num_epochs=3,
        minibatch_size=32,
        shuffle_batch_per_epoch=True,
    )


def state_of(learner):
    """Weights and the optimiser's memory, by name."""
    (optimiser,) = [optimiser for _, optimiser in learner.get_optimizers_for_module("default_policy")]
    weights = learner.module["default_policy"].unwrapped().named_parameters()
    return {name: (weight.detach().clone(), *optimiser.state[weight].values()) for name, weight in weights}


def assert_same(ours, theirs):
    assert set(ours) == set(theirs)
    for name, tensors in ours.items():
        for one, other in zip(tensors, theirs[name], strict=True):
            assert torch.equal(one, other), name


def figures(results):
    """Every number of a learner's results by its place, but for times."""
    return {
        ".".join(map(str, place)): np.asarray(leaf.peek() if hasattr(leaf, "peek") else leaf)
        for place, leaf in tree.flatten_with_path(results)
        if not any(word in str(place) for word in UNLIKE)
    }


@pytest.mark.parametrize("model", [{"pool": "max"}, {"pool": "max+mean"}, {"ego_in_encoder": True, "mirror_peers": True}])
def test_updates_are_those_of_rllibs_learner(monkeypatch, model):
    packings, sides = [], []
    real, learn = PackedPeers.of.__func__, learner_file.learn_side_by_side
    monkeypatch.setattr(learner_file.PackedPeers, "of", classmethod(lambda cls, cells: packings.append(len(cells)) or real(cls, cells)))
    monkeypatch.setattr(learner_file, "learn_side_by_side", lambda *args: sides.append(1) or learn(*args))
    ours, theirs = (built(learner, ModelSettings(**model)) for learner in (ConvoyLearner, PPOTorchLearner))
    for seed in (2, 3):
        np.random.seed(seed)  # noqa: NPY002
        found = update(ours, seed)
        np.random.seed(seed)  # noqa: NPY002
        expected = update(theirs, seed)
        assert_same(state_of(ours), state_of(theirs))
        numbers, wanted = figures(found), figures(expected)
        assert set(numbers) == set(wanted) and len(wanted) > 15
        for name, value in wanted.items():
            np.testing.assert_array_equal(numbers[name], value, err_msg=name)
    assert packings == [103, 103], "once, with a bootstrap row per episode"
    assert sides == [1, 1]


@pytest.mark.parametrize(
    ("model", "training"),
    [
        ({"shared_encoder": True}, {}),
        ({}, {"use_kl_loss": True}),
        ({}, {"grad_clip_by": "global_norm"}),
    ],
)
def test_what_cannot_be_learned_side_by_side_goes_rllibs_way(monkeypatch, model, training):
    monkeypatch.setattr(learner_file, "learn_side_by_side", lambda *_: pytest.fail("learned apart"))
    ours, theirs = (built(learner, ModelSettings(**model), **training) for learner in (ConvoyLearner, PPOTorchLearner))
    np.random.seed(5)  # noqa: NPY002
    update(ours)
    np.random.seed(5)  # noqa: NPY002
    update(theirs)
    assert_same(state_of(ours), state_of(theirs))


def learned(model, **kept):
    """Weights and moments after an update of this network."""
    learner = built(ConvoyLearner, ModelSettings(**model))
    np.random.seed(9)  # noqa: NPY002
    update(learner, **kept)
    return state_of(learner)


def actor_of(state):
    return {name: tensors for name, tensors in state.items() if "critic" not in name}


WAYS = pytest.mark.parametrize("model", [{}, {"shared_encoder": True}], ids=["side by side", "RLlib's way"])


@WAYS
def test_where_every_action_was_drawn_nothing_changes(model):
    assert_same(learned(model, drawn=lambda steps: steps >= 0), learned(model))


EVERY_SECOND = {"drawn": lambda steps: steps % 2 == 0}


@WAYS
@pytest.mark.parametrize(
    "kept", [{"kept_amount": 0.9}, {"kept_amount": 1.0 - 1e-7, "kept_logp": -300.0}], ids=["likely", "all but impossible"]
)
def test_actions_that_were_kept_are_not_learned_from(model, kept):
    """What they were is of no consequence, where their steps led to is: advantages and values are estimated over all steps.

    A kept action was drawn elsewhere, where it may have been likely; the ratio of its densities here can be more than float32 can hold.
    """
    half, everything = actor_of(learned(model, **EVERY_SECOND)), actor_of(learned(model))
    assert_same(learned(model, **EVERY_SECOND, **kept), learned(model, **EVERY_SECOND))
    assert all(not torch.equal(tensors[0], everything[name][0]) for name, tensors in half.items())


@WAYS
def test_the_policy_loss_is_that_of_drawn_actions(model):
    results = figures(update(built(ConvoyLearner, ModelSettings(**model)), drawn=lambda steps: steps < 0))
    (loss,) = [value for name, value in results.items() if name.endswith("policy_loss")]
    assert loss == 0.0


def test_the_critic_learns_from_all_steps():
    half, everything = learned({}, **EVERY_SECOND), learned({})
    for name in set(everything) - set(actor_of(everything)):
        assert torch.equal(half[name][0], everything[name][0])


def test_a_restored_optimiser_goes_on_side_by_side():
    ours, theirs = built(ConvoyLearner), built(PPOTorchLearner)
    np.random.seed(6)  # noqa: NPY002
    update(theirs)
    ours.set_state(theirs.get_state())
    for learner in (ours, theirs):
        np.random.seed(7)  # noqa: NPY002
        update(learner, seed=3)
    assert_same(state_of(ours), state_of(theirs))


def test_a_gradient_that_is_no_number_is_taken_for_none():
    ours, theirs = built(ConvoyLearner), built(PPOTorchLearner)
    for learner in (ours, theirs):
        np.random.seed(8)  # noqa: NPY002
        with torch.no_grad():
            learner.module["default_policy"].unwrapped().network.critic[0].bias[0] = torch.nan
        update(learner)
    for name, (weight, *_) in state_of(ours).items():
        torch.testing.assert_close(weight, state_of(theirs)[name][0], rtol=0, atol=0, equal_nan=True)


def test_what_fails_beside_is_told(monkeypatch):
    learner = built(ConvoyLearner)
    monkeypatch.setattr(side_by_side.CriticLearning, "_loss", lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        update(learner)


def test_row_numbers_without_a_packed_batch_are_refused():
    module = rl_module_spec(ModelSettings()).build()
    with pytest.raises(ConfigError, match="ConvoyLearner"):
        module.forward_train({Columns.OBS: {"ego": torch.zeros(2, EGO_SIZE), "peers": torch.arange(2)}})
