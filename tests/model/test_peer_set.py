"""The ragged set: a value that NumPy, Gymnasium and pickle leave in one piece."""

from __future__ import annotations

import copy
import pickle

import gymnasium as gym
import numpy as np
import pytest
import tree
from gymnasium.utils.env_checker import check_env, data_equivalence
from gymnasium.vector import AsyncVectorEnv, SyncVectorEnv
from gymnasium.vector.utils import batch_differing_spaces, batch_space, concatenate, create_empty_array, iterate
from hypothesis import given, settings
from hypothesis import strategies as st

from roadsense.errors import ConfigError
from roadsense.features import PEER_SIZE
from roadsense.peer_set import PeerSet, PeerSetBatchSpace, PeerSetSpace, action_space, cell_array, observation_space


def make_set(count: int, seed: int = 0) -> PeerSet:
    return PeerSet(np.random.default_rng(seed).normal(size=(count, PEER_SIZE)))


class Crowd(gym.Env):
    """Every observation tells which environment and step it belongs to, in each of its peers."""

    metadata = {"render_modes": []}  # noqa: RUF012

    def __init__(self, name: float = 0.0, counts: tuple[int, ...] = (3, 0, 1, 5, 1, 2)) -> None:
        self.observation_space = observation_space()
        self.action_space = action_space()
        self.name, self.counts, self.steps = name, counts, 0

    def observe(self) -> dict[str, object]:
        peers = np.full((self.counts[self.steps % len(self.counts)], PEER_SIZE), self.name, np.float32)
        peers[:, 1] = self.steps
        peers[:, 2] = np.arange(len(peers))
        return {"ego": np.full(3, self.name, np.float32), "peers": PeerSet(peers)}

    def reset(self, *, seed: int | None = None, options: dict | None = None) -> tuple[dict, dict]:
        super().reset(seed=seed)
        self.steps = 0
        return self.observe(), {}

    def step(self, action: np.ndarray) -> tuple[dict, float, bool, bool, dict]:
        self.steps += 1
        return self.observe(), 0.0, False, self.steps >= 9, {}


@pytest.mark.parametrize("count", [0, 1, 7])
def test_peer_set_survives_copies_and_pickle(count: int) -> None:
    peers = make_set(count)
    assert copy.deepcopy(peers) is peers
    assert copy.copy(peers) is peers
    restored = pickle.loads(pickle.dumps(peers))  # noqa: S301
    assert restored == peers
    assert hash(restored) == hash(peers)
    assert restored.values.dtype == np.float32
    assert restored.values.shape == (count, PEER_SIZE)
    assert (peers.count, peers.feature_count) == (count, PEER_SIZE)


def test_peer_set_cannot_change() -> None:
    source = np.ones((2, PEER_SIZE), np.float32)
    peers = PeerSet(source)
    source[:] = 7.0
    assert peers.values.max() == 1.0
    for holder in (peers, pickle.loads(pickle.dumps(peers))):  # noqa: S301
        with pytest.raises(ValueError, match="read-only"):
            holder.values[0, 0] = 2.0
    with pytest.raises(AttributeError):
        peers.values = source  # type: ignore[misc]


def test_pickled_sets_are_compact() -> None:
    peers = make_set(100)
    assert len(pickle.dumps(peers)) < peers.values.nbytes + 150


def test_peer_sets_are_equal_by_value_and_row_order() -> None:
    assert make_set(3) == make_set(3)
    assert make_set(3) != make_set(3, seed=1)
    assert make_set(0) != make_set(1)
    assert PeerSet.empty(3) != PeerSet.empty(4)
    assert make_set(1) != make_set(1).values.tolist()
    assert hash(PeerSet([[0.0]])) == hash(PeerSet([[-0.0]]))


@pytest.mark.parametrize("count", [0, 1, 4])
def test_numpy_and_dm_tree_take_a_set_for_a_leaf(count: int) -> None:
    peers = make_set(count)
    cells = np.array([peers, peers])
    assert cells.dtype == object
    assert cells.shape == (2,)
    assert tree.flatten({"peers": peers}) == [peers]
    assert not any(hasattr(peers, name) for name in ("__len__", "__getitem__", "__iter__", "__array__"))


@pytest.mark.parametrize(
    "values",
    [
        np.zeros(6),
        np.zeros((2, 3, 6)),
        np.zeros((2, 0)),
        [],
        [[1.0], [1.0, 2.0]],
        [["a"]],
        [[np.nan]],
        [[np.inf]],
        [[1e300]],
        None,
    ],
)
def test_bad_values_are_refused_in_one_line(values: object) -> None:
    with pytest.raises(ConfigError) as refusal:
        PeerSet(values)
    assert "\n" not in str(refusal.value)


@given(counts=st.lists(st.integers(0, 6), min_size=1, max_size=5), seed=st.integers(0, 2**32 - 1))
@settings(deadline=None)
def test_gymnasium_batches_round_trip(counts: list[int], seed: int) -> None:
    space = PeerSetSpace(PEER_SIZE)
    sets = [make_set(count, seed + row) for row, count in enumerate(counts)]
    batched = batch_space(space, len(sets))
    cells = concatenate(space, sets, create_empty_array(space, len(sets)))
    assert cells in batched
    assert list(iterate(batched, cells)) == sets
    assert data_equivalence(cells, cell_array(sets), exact=True)
    assert space.from_jsonable(space.to_jsonable(sets)) == sets


def test_space_samples_are_its_own_and_follow_the_seed() -> None:
    space, twin = PeerSetSpace(PEER_SIZE, seed=3), PeerSetSpace(PEER_SIZE, seed=3)
    samples = [space.sample() for _ in range(40)]
    assert samples == [twin.sample() for _ in range(40)]
    assert all(sample in space for sample in samples)
    assert {sample.count for sample in samples} == set(range(9))
    batch = batch_space(space, 4)
    assert batch.sample() in batch
    batch.seed(5)
    first = batch.sample()
    batch.seed(5)
    assert data_equivalence(first, batch.sample(), exact=True)
    with pytest.raises(ConfigError):
        space.sample(mask=np.ones(3))


def test_spaces_know_what_is_not_theirs() -> None:
    space = PeerSetSpace(PEER_SIZE)
    assert PeerSet.empty(PEER_SIZE + 1) not in space
    assert np.zeros((2, PEER_SIZE)) not in space
    assert space == PeerSetSpace(PEER_SIZE) != PeerSetSpace(PEER_SIZE + 1)
    batch = PeerSetBatchSpace(space, 2)
    assert cell_array([make_set(1)]) not in batch
    assert cell_array([make_set(1), PeerSet.empty(2)]) not in batch
    assert [make_set(1), make_set(2)] not in batch
    assert batch_differing_spaces([space, space]) == batch
    with pytest.raises(ConfigError):
        batch_differing_spaces([space, PeerSetSpace(2)])
    with pytest.raises(ConfigError):
        PeerSetSpace(0)


def test_flattening_keeps_the_set_whole() -> None:
    space = observation_space()
    sample = space.sample()
    flat = gym.spaces.flatten(space, sample)
    assert flat["peers"] is sample["peers"]
    assert gym.spaces.unflatten(space, flat)["peers"] is sample["peers"]
    assert not space.is_np_flattenable
    with pytest.raises(ValueError, match="flattened"):
        gym.spaces.flatdim(space)


@pytest.mark.filterwarnings("ignore::UserWarning")
def test_check_env_accepts_a_ragged_environment() -> None:
    check_env(Crowd(), skip_render_check=True)


@pytest.mark.parametrize("vectorise", [SyncVectorEnv, lambda factories: AsyncVectorEnv(factories, shared_memory=False)])
def test_vector_environments_keep_each_ones_peers(vectorise: object) -> None:
    """Sets of size 1 and equal sizes among them: those are the ones that other carriers mix up or repeat without an error."""
    patterns = [(3, 0, 1, 5), (1, 1, 1, 1), (0, 2, 1, 1)]
    envs = vectorise([lambda name=name, counts=counts: Crowd(name, counts) for name, counts in enumerate(patterns)])
    try:
        observations, _ = envs.reset(seed=1)
        kept = []
        for step in range(25):
            assert observations["peers"].dtype == object
            for name, (peers, counts) in enumerate(zip(observations["peers"], patterns, strict=True)):
                in_episode = step % 10  # autoreset takes one step after the last
                expected = np.full((counts[in_episode % len(counts)], PEER_SIZE), name, np.float32)
                expected[:, 1], expected[:, 2] = in_episode, np.arange(len(expected))
                np.testing.assert_array_equal(peers.values, expected)
            kept.append((observations["peers"], list(observations["peers"])))
            observations, *_ = envs.step(np.zeros((3, 1), np.float32))
        assert all(list(cells) == values for cells, values in kept), "an observation handed out earlier was overwritten"
    finally:
        envs.close()


def test_a_bare_array_among_the_peers_is_refused() -> None:
    class Careless(Crowd):
        def observe(self) -> dict[str, object]:
            observation = super().observe()
            observation["peers"] = observation["peers"].values
            return observation

    envs = SyncVectorEnv([Careless])
    with pytest.raises(ConfigError, match="return a PeerSet"):
        envs.reset()


def test_an_array_that_is_given_away_is_not_copied():
    values = np.ones((2, 3), np.float32)
    peers = PeerSet.taking(values)
    assert peers == PeerSet(np.ones((2, 3))) and np.shares_memory(peers.values, values)
    with pytest.raises(ValueError, match="read-only"):
        values[0, 0] = 2.0
    turned = np.ones((3, 2), np.float32).T
    assert not np.shares_memory(PeerSet.taking(turned).values, turned) and PeerSet.taking(turned).values.flags.c_contiguous
    with pytest.raises(ConfigError, match="NaN"):
        PeerSet.taking(np.array([[np.nan]], np.float32))
