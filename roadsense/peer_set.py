"""Any number of heard peers as one value: an immutable ragged set and its Gymnasium space.

NumPy and dm_tree must take a set for a leaf: one cell of an object array, never a nested structure to stack or to broadcast. So `PeerSet`
has no `__len__`, `__getitem__`, `__iter__` or `__array__`, and a batch of sets is a one-dimensional object array. No padding, no slots.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from copy import deepcopy
from typing import Any, Final, Self

import gymnasium as gym
import numpy as np
from gymnasium.spaces import utils as space_utils
from gymnasium.vector import utils as vector_utils
from numpy.typing import ArrayLike, NDArray

from roadsense.compiled import compiled
from roadsense.errors import ConfigError
from roadsense.features import EGO_SIZE, PEER_SIZE

PRIVILEGED: Final = "privileged"
_MAX_SAMPLED_COUNT: Final = 8
_VALUE_TYPE: Final = np.dtype(np.float32)


class PeerSet:
    """The peers heard at one instant: (n, F) numbers, n may be 0, the order of the rows means nothing.

    Copies share the value, which cannot change. Two sets are equal when their arrays are (rows in the same order).

    Args:
        values: (n, F) numbers, F > 0; copied to float32.

    Raises:
        ConfigError: the shape is not (n, F), or a value is not a finite float32.
    """

    __slots__ = ("_values",)

    def __init__(self, values: ArrayLike) -> None:
        self._values = _checked(values)
        self._values.flags.writeable = False

    @classmethod
    def taking(cls, values: NDArray[np.float32]) -> Self:
        """The set of an array that the caller gives away and never touches again: nothing is copied.

        Raises:
            ConfigError: as the constructor.
        """
        if not (_is_plain(values) and values.flags.c_contiguous):
            return cls(values)
        peers = cls.__new__(cls)
        values.flags.writeable = False
        peers._values = values
        return peers

    @classmethod
    def empty(cls, feature_count: int = PEER_SIZE) -> Self:
        """The set of no peers."""
        return cls(np.zeros((0, feature_count), _VALUE_TYPE))

    @property
    def values(self) -> NDArray[np.float32]:
        """(n, F) float32, read-only."""
        return self._values

    @property
    def count(self) -> int:
        """The number of peers n."""
        return int(self._values.shape[0])

    @property
    def feature_count(self) -> int:
        """The number of features F of each peer."""
        return int(self._values.shape[1])

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, PeerSet):
            return NotImplemented
        return np.array_equal(self._values, other._values)

    def __hash__(self) -> int:
        # Adding 0.0 turns -0.0 into 0.0: equal sets must have equal hashes.
        return hash((self._values.shape, (self._values + 0.0).tobytes()))

    def __copy__(self) -> Self:
        return self

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        # Vector environments copy their observations on every step.
        return self

    def __reduce__(self) -> tuple[Callable[[bytes, int], PeerSet], tuple[bytes, int]]:
        return _from_bytes, (self._values.tobytes(), self.feature_count)

    def __repr__(self) -> str:
        return f"PeerSet({self.count} x {self.feature_count})"


def _checked(values: ArrayLike) -> NDArray[np.float32]:
    if isinstance(values, np.ndarray) and _is_plain(values):
        return values.copy(order="C")
    try:
        with np.errstate(over="ignore"):
            array = np.array(values, dtype=_VALUE_TYPE, order="C")
    except (TypeError, ValueError) as problem:
        raise ConfigError(f"peer set: the values are not an array of numbers ({problem}); give an (n, F) array") from None
    if array.ndim != 2 or array.shape[1] == 0:
        raise ConfigError(f"peer set: the values have shape {array.shape}; give an (n, F) array with F > 0, also when n is 0")
    if not np.isfinite(array).all():
        raise ConfigError("peer set: a value is NaN, infinite or too large for float32; drop that peer before building the set")
    return array


def _is_plain(values: NDArray[Any]) -> bool:
    """Whether it is an array of a set's numbers as it stands."""
    return type(values) is np.ndarray and values.dtype == _VALUE_TYPE and values.ndim == 2 and _are_usable(values)


@compiled
def _are_usable(values: NDArray[np.float32]) -> bool:
    """Whether an (n, F) array has F > 0 and holds finite numbers only."""
    usable: bool = values.shape[1] > 0
    for row in range(values.shape[0]):
        for column in range(values.shape[1]):
            usable = usable and bool(np.isfinite(values[row, column]))
    return usable


def _from_bytes(data: bytes, feature_count: int) -> PeerSet:
    peers = PeerSet.__new__(PeerSet)
    # An array over bytes is read-only; what was checked when the set was built is not checked again on its way between processes.
    peers._values = np.frombuffer(data, _VALUE_TYPE).reshape(-1, feature_count)
    return peers


def cell_array(peer_sets: Sequence[PeerSet]) -> NDArray[np.object_]:
    """B sets as a (B,) object array, one set in each cell."""
    cells = np.empty(len(peer_sets), dtype=object)
    for row, peers in enumerate(peer_sets):
        cells[row] = peers
    return cells


def _refuse_masks(mask: Any, probability: Any) -> None:
    if mask is not None or probability is not None:
        raise ConfigError("peer set space: sample() takes neither a mask nor probabilities; call it without")


class PeerSetSpace(gym.Space[PeerSet]):
    """The space of peer sets with F features and any number of peers; shape (), dtype object.

    Args:
        feature_count: F, at least 1.
        seed: seed of the generator behind `sample`.

    Raises:
        ConfigError: F is not positive.
    """

    def __init__(self, feature_count: int, seed: int | np.random.Generator | None = None) -> None:
        if feature_count < 1:
            raise ConfigError(f"peer set space: feature_count is {feature_count}; a peer has at least one feature")
        self.feature_count = int(feature_count)
        super().__init__(shape=(), dtype=np.object_, seed=seed)

    @property
    def is_np_flattenable(self) -> bool:
        """False: a ragged set has no flat array of fixed size."""
        return False

    def sample(self, mask: Any | None = None, probability: Any | None = None) -> PeerSet:
        """A set of 0 to 8 peers with standard normal values; raises ConfigError for a mask or probabilities."""
        _refuse_masks(mask, probability)
        count = int(self.np_random.integers(_MAX_SAMPLED_COUNT + 1))
        return PeerSet(self.np_random.standard_normal((count, self.feature_count), dtype=np.float32))

    def contains(self, x: Any) -> bool:
        """Whether `x` is a `PeerSet` with this space's number of features."""
        return isinstance(x, PeerSet) and x.feature_count == self.feature_count

    def to_jsonable(self, sample_n: Sequence[PeerSet]) -> list[Any]:
        """Each set as a list of rows."""
        return [peers.values.tolist() for peers in sample_n]

    def from_jsonable(self, sample_n: list[Any]) -> list[PeerSet]:
        """The inverse of `to_jsonable`; raises ConfigError for rows that are no peer set."""
        return [PeerSet(rows) if rows else PeerSet.empty(self.feature_count) for rows in sample_n]

    def __eq__(self, other: object) -> bool:
        return isinstance(other, PeerSetSpace) and other.feature_count == self.feature_count

    def __hash__(self) -> int:
        return hash((PeerSetSpace, self.feature_count))

    def __repr__(self) -> str:
        return f"PeerSetSpace({self.feature_count})"


class PeerSetBatchSpace(gym.Space[NDArray[np.object_]]):
    """The space of (B,) object arrays with one peer set in each cell: what a vector environment of B observes."""

    def __init__(self, single: PeerSetSpace, batch_size: int, seed: int | np.random.Generator | None = None) -> None:
        self.single = single
        super().__init__(shape=(batch_size,), dtype=np.object_, seed=seed)

    @property
    def is_np_flattenable(self) -> bool:
        """False, as for the single space."""
        return False

    def sample(self, mask: Any | None = None, probability: Any | None = None) -> NDArray[np.object_]:
        """B independent sets from the single space's distribution; raises ConfigError for a mask or probabilities."""
        _refuse_masks(mask, probability)
        single = PeerSetSpace(self.single.feature_count, seed=self.np_random)
        return cell_array([single.sample() for _ in range(self._batch_size)])

    def contains(self, x: Any) -> bool:
        """Whether `x` is an object array with a peer set of the single space in each of its B cells."""
        if not isinstance(x, np.ndarray) or x.dtype != object or x.shape != self.shape:
            return False
        return all(self.single.contains(peers) for peers in x)

    @property
    def _batch_size(self) -> int:
        return 0 if self.shape is None else self.shape[0]

    def __eq__(self, other: object) -> bool:
        return isinstance(other, PeerSetBatchSpace) and other.single == self.single and other.shape == self.shape

    def __hash__(self) -> int:
        return hash((PeerSetBatchSpace, self.single, self.shape))

    def __repr__(self) -> str:
        return f"PeerSetBatchSpace({self.single}, {self._batch_size})"


def observation_space() -> gym.spaces.Dict:
    """The space of `{"ego": float32 (E,), "peers": PeerSet}` in the order of `roadsense.features`."""
    ego = gym.spaces.Box(-np.inf, np.inf, (EGO_SIZE,), np.float32)
    return gym.spaces.Dict({"ego": ego, "peers": PeerSetSpace(PEER_SIZE)})


def training_observation_space(privileged_size: int) -> gym.spaces.Dict:
    """The same with `privileged` (float32 vector) for the critic, which policies never see; see `roadsense.env.privileged`."""
    privileged = gym.spaces.Box(-np.inf, np.inf, (privileged_size,), np.float32)
    return gym.spaces.Dict({**observation_space().spaces, PRIVILEGED: privileged})


def action_space() -> gym.spaces.Box:
    """The space of actions: the fraction of full braking, float32 (1,) in [0, 1]."""
    return gym.spaces.Box(0.0, 1.0, (1,), np.float32)


def _batch_space(space: PeerSetSpace, n: int = 1) -> PeerSetBatchSpace:
    return PeerSetBatchSpace(space, n, seed=deepcopy(space.np_random))


def _batch_differing_spaces(spaces: list[PeerSetSpace]) -> PeerSetBatchSpace:
    if any(space != spaces[0] for space in spaces):
        raise ConfigError(f"peer set spaces: {spaces} have different numbers of features; make them equal")
    return _batch_space(spaces[0], len(spaces))


def _create_empty_array(space: PeerSetSpace, n: int | None = 1, fn: Callable[..., Any] = np.zeros) -> Any:
    empty = PeerSet.empty(space.feature_count)
    if n is None:
        return empty
    cells: NDArray[np.object_] = fn((n,), dtype=object)
    cells.fill(empty)
    return cells


def _concatenate(space: PeerSetSpace, items: Iterable[PeerSet], out: NDArray[np.object_]) -> NDArray[np.object_]:
    for row, peers in enumerate(items):
        if not space.contains(peers):
            # NumPy would broadcast a bare array over the cells, or take it apart, without a word.
            raise ConfigError(f"environment {row} observed {type(peers).__name__} {peers!r}, which is not in {space}; return a PeerSet")
        out[row] = peers
    return out


def _iterate(_space: PeerSetBatchSpace, items: NDArray[np.object_]) -> Iterator[PeerSet]:
    return iter(items)


def _flatten_space(space: PeerSetSpace) -> Any:
    return space


def _flatten(_space: PeerSetSpace, x: PeerSet) -> Any:
    return x


def _flatdim(space: PeerSetSpace) -> int:
    raise ValueError(f"{space} cannot be flattened to a fixed size: a set has any number of peers")


# Teach Gymnasium's vector environments and space utilities the two spaces, through their public registration. The functions that return
# what Gymnasium's own never do (a set, or a space of sets) are annotated with Any.
vector_utils.batch_space.register(PeerSetSpace, _batch_space)
vector_utils.batch_differing_spaces.register(PeerSetSpace, _batch_differing_spaces)
vector_utils.create_empty_array.register(PeerSetSpace, _create_empty_array)
vector_utils.concatenate.register(PeerSetSpace, _concatenate)
vector_utils.iterate.register(PeerSetBatchSpace, _iterate)
space_utils.flatten_space.register(PeerSetSpace, _flatten_space)
space_utils.flatten.register(PeerSetSpace, _flatten)
space_utils.unflatten.register(PeerSetSpace, _flatten)
space_utils.flatdim.register(PeerSetSpace, _flatdim)
