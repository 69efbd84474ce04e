"""Actor and critic learn side by side, to the same last bit as by RLlib's one loss and one optimiser.

With encoders of their own the two share nothing: every weight, every term of the loss, every clipped gradient and every moment of Adam
belongs to one of them. So each goes through all minibatches by itself, in a thread of its own, and neither waits for the other. What is
the same in every minibatch (the squashed inputs) is computed once per batch, and Adam steps all weights of a network as one vector.

Shape suffixes: B rows of the batch, M rows of a minibatch, E ego features, V entries for the critic alone, W weights of a network.
"""

from __future__ import annotations

import logging
from abc import ABC, abstractmethod
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, Final

import torch
from torch import Tensor, nn
from torch.optim.adam import adam

from roadsense.model.deep_sets import DeepSets
from roadsense.model.distribution import GatedBeta
from roadsense.model.forward import Layers, encoded_peers, through_trunk
from roadsense.model.packing import PackedPeers

_logger = logging.getLogger(__name__)

# What RLlib's clipping takes for the norm of a gradient that is not finite.
_LARGEST_NORM: Final = 10e8


@dataclass(frozen=True, slots=True, kw_only=True)
class Experience:
    """A batch of B rows; `decides` is true where a row is a decision, and not the state after an episode's last one."""

    ego: Tensor  # (B, 2 E), squashed
    peers: PackedPeers  # squashed
    privileged: Tensor | None  # (B, V)
    decides: Tensor | None  # (B,), as all that follow
    action: Tensor
    action_logp: Tensor
    advantage: Tensor
    value_target: Tensor

    def mean(self, entries_M: Tensor, rows_M: Tensor) -> Tensor:
        """The mean over the decisions among these rows."""
        if self.decides is None:
            return entries_M.mean()
        counts_M = self.decides[rows_M]
        return torch.sum(entries_M[counts_M]) / torch.sum(counts_M)


@dataclass(frozen=True, slots=True, kw_only=True)
class LossSettings:
    """PPO's loss and the clipping of its gradients, with the names of `PPOConfig`; `grad_clip` None clips nothing."""

    clip_param: float
    vf_clip_param: float
    vf_loss_coeff: float
    entropy_coeff: float | Tensor
    grad_clip: float | None


class Learning(ABC):
    """One network, its part of the loss, and its part of the optimiser.

    Args:
        encoder, trunk: the network's layers, in the order of the optimiser's parameters.
        kind: how peers are pooled.
        optimiser: the Adam that holds the moments of these parameters; they are written back by `finish`.
    """

    def __init__(self, encoder: nn.Sequential, trunk: nn.Sequential, kind: str, optimiser: torch.optim.Adam) -> None:
        self._parameters = [*encoder.parameters(), *trunk.parameters()]
        self._encoder_tensors = len(list(encoder.parameters()))
        self._kind = kind
        self._group: dict[str, Any] = optimiser.param_groups[0]
        self._states = [_state(optimiser, parameter) for parameter in self._parameters]
        self._step = self._states[0]["step"].clone()
        self._weights_W = _flat(self._parameters).requires_grad_()
        self._first_W, self._second_W = (_flat([state[name] for state in self._states]) for name in ("exp_avg", "exp_avg_sq"))
        self._sizes = [parameter.numel() for parameter in self._parameters]

    def learn(self, experience: Experience, minibatches: Sequence[Tensor], settings: LossSettings) -> None:
        """A step of Adam for each minibatch (rows of the batch), in their order."""
        for rows_M in minibatches:
            encoder, trunk = self._layers()
            (gradient_W,) = torch.autograd.grad(self._loss(experience, rows_M, encoder, trunk, settings), self._weights_W)
            self._clip(gradient_W, settings.grad_clip)
            self._descend(gradient_W)

    def finish(self) -> None:
        """Write weights and moments back to where the module and the optimiser keep them."""
        flat = (self._weights_W.detach(), self._first_W, self._second_W)
        with torch.no_grad():
            for parameter, state, weight, first, second in zip(
                self._parameters, self._states, *(torch.split(one, self._sizes) for one in flat), strict=True
            ):
                parameter.copy_(weight.view_as(parameter))
                state["exp_avg"].copy_(first.view_as(parameter))
                state["exp_avg_sq"].copy_(second.view_as(parameter))
                state["step"].copy_(self._step)

    @abstractmethod
    def _loss(self, experience: Experience, rows_M: Tensor, encoder: Layers, trunk: Layers, settings: LossSettings) -> Tensor:
        """The network's own terms of PPO's loss."""

    def _layers(self) -> tuple[Layers, Layers]:
        pieces = zip(torch.split(self._weights_W, self._sizes), self._parameters, strict=True)
        tensors = [piece.view_as(parameter) for piece, parameter in pieces]
        layers = list(zip(tensors[::2], tensors[1::2], strict=True))
        return layers[: self._encoder_tensors // 2], layers[self._encoder_tensors // 2 :]

    def _clip(self, gradient_W: Tensor, limit: float | None) -> None:
        """Tensor by tensor, in place, as RLlib does; what is not finite becomes a number."""
        pieces = torch.split(gradient_W, self._sizes)
        norms = torch.stack(torch._foreach_norm(list(pieces), 2))
        for piece, norm, size in zip(pieces, norms, norms.nan_to_num(neginf=-_LARGEST_NORM, posinf=_LARGEST_NORM).tolist(), strict=True):
            if limit is not None and size > limit:
                piece.mul_(limit / norm.nan_to_num(posinf=_LARGEST_NORM))
        if not torch.isfinite(norms).all():
            _logger.warning("a gradient is not finite; what is no number in it is taken for 0, what is infinite for the largest number")
            gradient_W.nan_to_num_()

    def _descend(self, gradient_W: Tensor) -> None:
        group = self._group
        beta1, beta2 = group["betas"]
        with torch.no_grad():
            adam(
                [self._weights_W],
                [gradient_W],
                [self._first_W],
                [self._second_W],
                [],
                [self._step],
                foreach=False,
                amsgrad=False,
                beta1=beta1,
                beta2=beta2,
                lr=group["lr"],
                weight_decay=group["weight_decay"],
                eps=group["eps"],
                maximize=False,
            )


class ActorLearning(Learning):
    """The policy: PPO's clipped surrogate and the entropy bonus; `surrogate` and `entropy` are those of the last minibatch."""

    surrogate: Tensor  # (M,)
    entropy: Tensor  # (M,)

    def _loss(self, experience: Experience, rows_M: Tensor, encoder: Layers, trunk: Layers, settings: LossSettings) -> Tensor:
        pooled_MP = encoded_peers(*experience.peers.take(rows_M), encoder, self._kind)
        distribution = GatedBeta(through_trunk((experience.ego[rows_M], pooled_MP), trunk))
        ratio_M = torch.exp(distribution.log_prob(experience.action[rows_M]) - experience.action_logp[rows_M])
        entropy_M = distribution.entropy()
        advantage_M = experience.advantage[rows_M]
        clipped_M = torch.clamp(ratio_M, 1 - settings.clip_param, 1 + settings.clip_param)
        surrogate_M = torch.min(advantage_M * ratio_M, advantage_M * clipped_M)
        self.surrogate, self.entropy = surrogate_M.detach(), entropy_M.detach()
        return experience.mean(-surrogate_M - settings.entropy_coeff * entropy_M, rows_M)


class CriticLearning(Learning):
    """The value function: squared errors; `value` and `error` are those of the last minibatch."""

    value: Tensor  # (M,)
    error: Tensor  # (M,)

    def _loss(self, experience: Experience, rows_M: Tensor, encoder: Layers, trunk: Layers, settings: LossSettings) -> Tensor:
        pooled_MP = encoded_peers(*experience.peers.take(rows_M), encoder, self._kind)
        told = () if experience.privileged is None else (experience.privileged[rows_M],)
        value_M = through_trunk((experience.ego[rows_M], pooled_MP, *told), trunk).squeeze(1)
        error_M = torch.pow(value_M - experience.value_target[rows_M], 2.0)
        self.value, self.error = value_M.detach(), error_M.detach()
        return experience.mean(settings.vf_loss_coeff * torch.clamp(error_M, 0, settings.vf_clip_param), rows_M)


def learn_side_by_side(
    network: DeepSets, optimiser: torch.optim.Adam, experience: Experience, minibatches: Sequence[Tensor], settings: LossSettings
) -> tuple[ActorLearning, CriticLearning]:
    """Update a network with encoders of its own for actor and critic; what the last minibatch gave is in the results."""
    if network.critic is None or network.critic_encoder is None:
        raise ValueError("actor and critic share an encoder, so they cannot learn apart")
    kind = network.settings.pool
    actor = ActorLearning(network.peer_encoder, network.actor, kind, optimiser)
    critic = CriticLearning(network.critic_encoder, network.critic, kind, optimiser)
    with ThreadPoolExecutor(1, thread_name_prefix="critic") as beside:
        learning = beside.submit(critic.learn, experience, minibatches, settings)
        try:
            actor.learn(experience, minibatches, settings)
        finally:
            learning.exception()  # wait, whatever happened here
        learning.result()
    actor.finish()
    critic.finish()
    return actor, critic


def can_learn_apart(optimiser: torch.optim.Optimizer, network: DeepSets) -> bool:
    """Whether two networks and an optimiser are of the kind that `learn_side_by_side` updates as RLlib would."""
    if network.critic_encoder is None or network.critic is None or type(optimiser) is not torch.optim.Adam:
        return False
    group = optimiser.param_groups[0]
    plain = not (
        group["amsgrad"] or group["maximize"] or group["capturable"] or group["differentiable"] or group["fused"] or group["foreach"]
    )
    steps = {float(state["step"]) for state in optimiser.state.values()}
    return (
        plain
        and len(optimiser.param_groups) == 1
        and len(steps) <= 1
        and all(parameter.device.type == "cpu" and parameter.requires_grad for parameter in network.parameters())
    )


def _state(optimiser: torch.optim.Adam, parameter: Tensor) -> dict[str, Tensor]:
    """Adam's memory of a parameter, made as Adam makes it at the first step."""
    state: dict[str, Tensor] = optimiser.state[parameter]
    if not state:
        state["step"] = torch.tensor(0.0)
        state["exp_avg"], state["exp_avg_sq"] = torch.zeros_like(parameter), torch.zeros_like(parameter)
    return state


def _flat(tensors: Sequence[Tensor]) -> Tensor:
    return torch.cat([tensor.detach().reshape(-1) for tensor in tensors])
