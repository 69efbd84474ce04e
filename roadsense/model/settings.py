"""The architecture of the policy network, and the shapes that follow from it."""

from __future__ import annotations

import itertools
from typing import Final, Literal, Self

from pydantic import Field, field_validator, model_validator

from roadsense.config import Settings
from roadsense.features import EGO_SIZE, PEER_COLUMN, PEER_SIZE
from roadsense.model.inputs import COPIES

ACTION_PARAMETERS: Final = 3  # gate logit, raw alpha, raw beta; see roadsense.model.distribution
_MAX_WIDTH: Final = 1024
_MAX_LAYERS: Final = 8

Sizes = tuple[tuple[int, int], ...]  # (inputs, outputs) of each linear layer


class ModelSettings(Settings):
    """Deep Sets: every peer through one encoder, pooled, beside the ego's features through a trunk."""

    peer_width: int = Field(64, ge=1, le=_MAX_WIDTH, description="neurons of each layer of the peer encoder")
    peer_layers: int = Field(2, ge=1, le=_MAX_LAYERS, description="layers of the peer encoder")
    pool: Literal["max", "mean", "max+mean"] = Field("max", description="how the encoded peers become one vector")
    trunk_width: int = Field(64, ge=1, le=_MAX_WIDTH, description="neurons of each layer of the trunk")
    trunk_layers: int = Field(2, ge=1, le=_MAX_LAYERS, description="layers of the trunk")
    ego_in_encoder: bool = Field(False, description="every peer is encoded beside the ego's own entries, not apart from them")
    mirror_peers: bool = Field(False, description="left and right are one: a peer to the right is given as its mirror image to the left")
    shared_encoder: bool = Field(False, description="the critic uses the actor's peer encoder: cheaper, but its gradients reach it")
    initial_brake_probability: float = Field(0.15, gt=0, lt=1, description="chance that the untrained policy brakes in a step")
    initial_brake_amount: float = Field(0.8, ge=0.05, le=0.95, description="mean amount when the untrained policy brakes")

    withheld_peer_features: tuple[str, ...] = Field((), description="entries of a peer that the network is not given, for ablations")

    @field_validator("withheld_peer_features")
    @classmethod
    def _check_withheld(cls, names: tuple[str, ...]) -> tuple[str, ...]:
        unknown = [name for name in names if name not in PEER_COLUMN]
        if unknown:
            raise ValueError(f"a peer has no {unknown[0]!r}; its entries are {', '.join(PEER_COLUMN)}")
        return tuple(name for name in PEER_COLUMN if name in names)

    @model_validator(mode="after")
    def _check_sides(self) -> Self:
        if self.mirror_peers and "left_m" in self.withheld_peer_features:
            raise ValueError("mirror_peers needs left_m, which withheld_peer_features names; give one of the two")
        return self

    @property
    def withheld_inputs(self) -> tuple[int, ...]:
        """The columns of the peer encoder's inputs that are always 0: every copy of each withheld entry."""
        columns = [PEER_COLUMN[name] for name in self.withheld_peer_features]
        return tuple(copy * PEER_SIZE + column for copy in range(COPIES) for column in columns)

    @property
    def pooled_size(self) -> int:
        """The width of the pooled peers."""
        return self.peer_width * len(self.pool.split("+"))

    @property
    def encoder_sizes(self) -> Sizes:
        """The linear layers of the peer encoder; what they are given of a peer comes before what they are given of the ego."""
        return _chain([COPIES * (PEER_SIZE + EGO_SIZE * self.ego_in_encoder), *[self.peer_width] * self.peer_layers])

    def trunk_sizes(self, outputs: int, *, further: int = 0) -> Sizes:
        """The linear layers of a trunk with its head; `further` inputs beside ego and peers."""
        return _chain([COPIES * EGO_SIZE + self.pooled_size + further, *[self.trunk_width] * self.trunk_layers, outputs])

    def acting_shapes(self) -> dict[str, tuple[int, ...]]:
        """The parameters that acting needs, by their name in `DeepSets`, in order; the critic is not among them."""
        shapes: dict[str, tuple[int, ...]] = {}
        for part, sizes in (("peer_encoder", self.encoder_sizes), ("actor", self.trunk_sizes(ACTION_PARAMETERS))):
            for layer, (inputs, outputs) in enumerate(sizes):
                shapes[f"{part}.{2 * layer}.weight"] = (outputs, inputs)  # every second module is an activation
                shapes[f"{part}.{2 * layer}.bias"] = (outputs,)
        return shapes


def _chain(widths: list[int]) -> Sizes:
    return tuple(itertools.pairwise(widths))
