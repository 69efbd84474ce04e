"""The gated Beta distribution in RLlib's dress."""

from __future__ import annotations

from typing import Any

import gymnasium as gym
import torch
from ray.rllib.core.distribution.torch.torch_distribution import TorchDeterministic, TorchDistribution
from torch import Tensor

from roadsense.model.action import deterministic_action
from roadsense.model.distribution import GatedBeta
from roadsense.model.settings import ACTION_PARAMETERS


class TorchGatedBeta(TorchDistribution):
    """`GatedBeta` over actions of shape (B, 1), the shape of the environment's action space."""

    def __init__(self, logits: Tensor) -> None:
        super().__init__(logits)

    @classmethod
    def from_logits(cls, logits: Tensor, **_kwargs: Any) -> TorchGatedBeta:
        """The distributions of action parameters (B, 3)."""
        return cls(logits)

    @staticmethod
    def required_input_dim(space: gym.Space[Any], **_kwargs: Any) -> int:  # noqa: ARG004  (RLlib's signature)
        """The number of action parameters."""
        return ACTION_PARAMETERS

    def sample(self, *, sample_shape: tuple[int, ...] | None = None) -> Tensor:
        """Actions of shape `sample_shape + (B, 1)`."""
        actions: Tensor = self._dist.sample(torch.Size(sample_shape or ()))
        return actions.unsqueeze(-1)

    def rsample(self, *, sample_shape: tuple[int, ...] | None = None) -> Tensor:
        """Refused: the gate has no gradient."""
        raise NotImplementedError("GatedBeta has no reparametrised samples: its gate is discrete")

    def logp(self, value: Tensor, **_kwargs: Any) -> Tensor:
        """Log densities (B,) of actions (B, 1)."""
        log_prob: Tensor = self._dist.log_prob(value.squeeze(-1))
        return log_prob

    def kl(self, other: TorchGatedBeta) -> Tensor:
        """Divergences (B,) from this to the other distributions."""
        divergence: Tensor = self._dist.kl(other._dist)
        return divergence

    def to_deterministic(self) -> TorchDeterministic:
        """The one deterministic rule, as a distribution."""
        return TorchDeterministic(loc=deterministic_action(self._dist.action_parameters).unsqueeze(-1))

    def _get_torch_distribution(self, logits: Tensor) -> GatedBeta:
        return GatedBeta(logits)
