"""The network: Deep Sets over the peers, beside the ego's own features.

Source: Zaheer et al., "Deep Sets", NeurIPS 2017 (a function of a set is a function of a pooled encoding of its elements).

Shape suffixes: B rows of the batch, S peers of all rows together, E ego features, F peer features, I inputs made of the ego, J inputs of
the peer encoder, P width of the pooled peers, V entries for the critic alone.
"""

from __future__ import annotations

import math
from typing import Final

import torch
from torch import Tensor, nn

from roadsense.errors import PolicyError
from roadsense.model.action import CONCENTRATION_LIMIT
from roadsense.model.forward import beside_ego, encoded_peers, layers_of, through_trunk
from roadsense.model.inputs import peer_inputs, squashed
from roadsense.model.settings import ACTION_PARAMETERS, ModelSettings, Sizes

# A head that starts near its bias: the untrained policy is the same everywhere, so its first actions say nothing false about the road.
_HEAD_GAIN: Final = 0.01


class DeepSets(nn.Module):
    """Actor and critic over a set of peers of any size.

    The critic has its own trunk, and by default its own encoder: with unscaled rewards its gradients are larger than the actor's by
    orders of magnitude and would decide what a common encoder learns.

    Args:
        settings: the architecture.
        acting_only: build no critic; `forward` and `value` are then refused.
        privileged_size: entries V that only the critic is given.
    """

    def __init__(self, settings: ModelSettings, *, acting_only: bool = False, privileged_size: int = 0) -> None:
        super().__init__()
        self.settings = settings
        self.peer_encoder = _layers(settings.encoder_sizes, ends_in_relu=True)
        self.actor = _layers(settings.trunk_sizes(ACTION_PARAMETERS), ends_in_relu=False)
        own_encoder = not (acting_only or settings.shared_encoder)
        self.critic_encoder = _layers(settings.encoder_sizes, ends_in_relu=True) if own_encoder else None
        self.critic = None if acting_only else _layers(settings.trunk_sizes(1, further=privileged_size), ends_in_relu=False)
        self._start_near_no_brake()
        self._withhold()

    def forward(self, ego_BE: Tensor, values_SF: Tensor, counts_B: Tensor, privileged_BV: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Action parameters (B, 3) and values (B,); raises PolicyError on an acting-only network."""
        ego_BI = squashed(ego_BE)
        inputs_SJ = self.encoder_inputs(ego_BI, values_SF, counts_B)
        pooled_BP = self._pooled(self.peer_encoder, inputs_SJ, counts_B)
        critic_BP = pooled_BP if self.critic_encoder is None else self._pooled(self.critic_encoder, inputs_SJ, counts_B)
        return self._act(ego_BI, pooled_BP), self._judge(ego_BI, critic_BP, privileged_BV)

    def action_parameters(self, ego_BE: Tensor, values_SF: Tensor, counts_B: Tensor) -> Tensor:
        """Action parameters (B, 3) alone, for `GatedBeta` and `deterministic_action`; the critic is not touched."""
        ego_BI = squashed(ego_BE)
        return self._act(ego_BI, self._pooled(self.peer_encoder, self.encoder_inputs(ego_BI, values_SF, counts_B), counts_B))

    def value(self, ego_BE: Tensor, values_SF: Tensor, counts_B: Tensor, privileged_BV: Tensor | None = None) -> Tensor:
        """Values (B,) alone; raises PolicyError on an acting-only network."""
        encoder = self.peer_encoder if self.critic_encoder is None else self.critic_encoder
        ego_BI = squashed(ego_BE)
        pooled_BP = self._pooled(encoder, self.encoder_inputs(ego_BI, values_SF, counts_B), counts_B)
        return self._judge(ego_BI, pooled_BP, privileged_BV)

    def encoder_inputs(self, ego_BI: Tensor, values_SF: Tensor, counts_B: Tensor) -> Tensor:
        """What the encoders are given of each peer, (S, J): its squashed entries, 0 where withheld; behind them the ego's if so set."""
        inputs_SJ = peer_inputs(values_SF, mirrors=self.settings.mirror_peers)
        if self.settings.withheld_inputs:
            inputs_SJ[:, self.settings.withheld_inputs] = 0.0
        return beside_ego(inputs_SJ, ego_BI, counts_B) if self.settings.ego_in_encoder else inputs_SJ

    def _pooled(self, encoder: nn.Sequential, inputs_SJ: Tensor, counts_B: Tensor) -> Tensor:
        return encoded_peers(inputs_SJ, counts_B, layers_of(encoder), self.settings.pool)

    def _act(self, ego_BI: Tensor, pooled_BP: Tensor) -> Tensor:
        return through_trunk((ego_BI, pooled_BP), layers_of(self.actor))

    def _judge(self, ego_BI: Tensor, pooled_BP: Tensor, privileged_BV: Tensor | None) -> Tensor:
        if self.critic is None:
            raise PolicyError("this network was built for acting only and has no critic; build it with acting_only=False to get values")
        told = () if privileged_BV is None else (privileged_BV,)
        return through_trunk((ego_BI, pooled_BP, *told), layers_of(self.critic)).squeeze(1)

    def _start_near_no_brake(self) -> None:
        probability = self.settings.initial_brake_probability
        gate_logit = math.log(probability / (1.0 - probability))
        weight, bias = list(self.actor.parameters())[-2:]
        with torch.no_grad():
            weight.mul_(_HEAD_GAIN)
            bias.copy_(torch.tensor([gate_logit, *_raw_concentrations(self.settings.initial_brake_amount)]))

    def _withhold(self) -> None:
        """Weigh what is withheld with 0; its inputs are 0, so it gets no gradient and stays there, in every copy and export."""
        for encoder in (self.peer_encoder, self.critic_encoder):
            if encoder is not None and self.settings.withheld_inputs:
                with torch.no_grad():
                    next(encoder.parameters())[:, self.settings.withheld_inputs] = 0.0


def _raw_concentrations(mean_amount: float) -> tuple[float, float]:
    """Raw alpha and beta of a wide Beta with this mean: the smaller concentration just above 1, where the density is widest."""
    smaller = 1.05
    odds = mean_amount / (1.0 - mean_amount)
    alpha, beta = (smaller * odds, smaller) if odds >= 1.0 else (smaller, smaller / odds)
    return _raw(alpha), _raw(beta)


def _raw(concentration: float) -> float:
    """The number that `roadsense.model.action` maps to this concentration: its formula, solved backwards."""
    above_one = concentration - 1.0
    return math.log(math.expm1(CONCENTRATION_LIMIT * above_one / (CONCENTRATION_LIMIT - above_one)))


def _layers(sizes: Sizes, *, ends_in_relu: bool) -> nn.Sequential:
    modules: list[nn.Module] = []
    for inputs, outputs in sizes:
        modules += [nn.Linear(inputs, outputs), nn.ReLU()]
    return nn.Sequential(*(modules if ends_in_relu else modules[:-1]))
