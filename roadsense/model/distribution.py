"""The distribution of the brake action: a gate, and an amount behind it.

An action is 0 exactly with probability 1 - p (the driver has the car), otherwise `threshold + (1 - threshold) * y` with y from a Beta
distribution. Densities are with respect to the sum of a unit mass at 0 and the Lebesgue measure. Why: docs/decisions/0003.

Shape suffix: B rows.
"""

from __future__ import annotations

import math
from functools import cached_property
from typing import Final

import torch
from torch import Tensor
from torch.distributions import Dirichlet
from torch.nn.functional import logsigmoid

from roadsense.features import RELEASE_THRESHOLD
from roadsense.model.action import concentrations

_SPAN: Final = 1.0 - RELEASE_THRESHOLD
_LOG_SPAN: Final = math.log(_SPAN)
# Amounts stay this far from 0 and 1: their logarithms are finite, and a float32 action cannot round onto the threshold or onto 1.
_MARGIN: Final = 1e-6
_NO_SHAPE: Final = torch.Size()


class GatedBeta:
    """Distributions of B actions in {0} or (RELEASE_THRESHOLD, 1).

    Args:
        action_parameters: (B, 3), see `roadsense.model.action`.
    """

    def __init__(self, action_parameters: Tensor) -> None:
        self.action_parameters = action_parameters
        self._gate_logit = action_parameters[..., 0]

    @cached_property
    def _alpha_beta(self) -> Tensor:
        # While nothing brakes, which is most of the time, nobody asks for it.
        return concentrations(self.action_parameters)

    def sample(self, sample_shape: torch.Size = _NO_SHAPE) -> Tensor:
        """Actions of shape `sample_shape + (B,)`, drawn from torch's global generator; no gradient."""
        if not torch.is_grad_enabled():
            return self._sample(sample_shape)
        with torch.no_grad():
            return self._sample(sample_shape)

    def _sample(self, sample_shape: torch.Size) -> Tensor:
        gate = torch.sigmoid(self._gate_logit)
        # Torch takes a shape twice as long to understand as a tensor of that shape.
        draw = torch.rand(sample_shape + gate.shape, device=gate.device) if sample_shape else torch.rand_like(gate)
        brakes = draw < gate
        if not brakes.any():
            return torch.zeros_like(brakes, dtype=gate.dtype)  # the usual case by far, and amounts cost more than gates
        # A Dirichlet distribution of two is the Beta distribution, without the detour that torch's Beta takes.
        amount = Dirichlet(self._alpha_beta, validate_args=False).sample(sample_shape)[..., 0]
        action = RELEASE_THRESHOLD + _SPAN * amount.clamp(_MARGIN, 1.0 - _MARGIN)
        return action * brakes

    def log_prob(self, action_B: Tensor) -> Tensor:
        """Log density of actions (B,); at or below the threshold it is the log probability of not braking."""
        brakes = action_B > RELEASE_THRESHOLD
        log_gate = logsigmoid(torch.where(brakes, self._gate_logit, -self._gate_logit))
        amount = ((action_B - RELEASE_THRESHOLD) / _SPAN).clamp(_MARGIN, 1.0 - _MARGIN)
        log_powers = (self._alpha_beta - 1.0) * torch.log(torch.stack([amount, 1.0 - amount], dim=-1))
        log_density = log_powers.sum(-1) - _log_beta_function(self._alpha_beta) - _LOG_SPAN
        return log_gate + log_density * brakes

    def entropy(self) -> Tensor:
        """Entropy (B,) of gate and amount, in nats."""
        p = torch.sigmoid(self._gate_logit)
        gate = -p * logsigmoid(self._gate_logit) - (1.0 - p) * logsigmoid(-self._gate_logit)
        excess = self._alpha_beta - 1.0
        total = self._alpha_beta.sum(-1)
        inner = excess.sum(-1) * torch.digamma(total) - (excess * torch.digamma(self._alpha_beta)).sum(-1)
        return gate + p * (_log_beta_function(self._alpha_beta) + inner + _LOG_SPAN)

    def kl(self, other: GatedBeta) -> Tensor:
        """Kullback-Leibler divergence (B,) from `self` to `other`, in nats."""
        p = torch.sigmoid(self._gate_logit)
        on = logsigmoid(self._gate_logit) - logsigmoid(other._gate_logit)
        off = logsigmoid(-self._gate_logit) - logsigmoid(-other._gate_logit)
        delta = self._alpha_beta - other._alpha_beta
        inner = (delta * torch.digamma(self._alpha_beta)).sum(-1) - delta.sum(-1) * torch.digamma(self._alpha_beta.sum(-1))
        amount = _log_beta_function(other._alpha_beta) - _log_beta_function(self._alpha_beta) + inner
        return p * (on + amount) + (1.0 - p) * off


def _log_beta_function(alpha_beta: Tensor) -> Tensor:
    return torch.lgamma(alpha_beta).sum(-1) - torch.lgamma(alpha_beta.sum(-1))
