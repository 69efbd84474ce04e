"""What the three action parameters mean, and the one deterministic rule.

Column 0 is the logit of the gate (brake at all?), columns 1 and 2 are raw alpha and beta of the amount. The functions take NumPy arrays
and torch tensors alike, so that training, evaluation and export cannot drift apart; torch is loaded only where a tensor is given.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final, TypeVar

import numpy as np
from numpy.typing import NDArray

from roadsense.features import RELEASE_THRESHOLD
from roadsense.model.library import library_of

if TYPE_CHECKING:
    from torch import Tensor

# Without a limit a confident policy sharpens until one update moves its peak by many widths: the old actions' probability ratios vanish,
# their gradients with them, and training does not come back (docs/decisions/0003).
CONCENTRATION_LIMIT: Final = 100.0

# What a policy does more rarely than in every fourth step is exploration that is left over, not a decision.
LEAST_GATE: Final = 0.25
LEAST_GATE_LOGIT: Final = math.log(LEAST_GATE / (1.0 - LEAST_GATE))

ArrayT = TypeVar("ArrayT", NDArray[np.float32], NDArray[np.float64], "Tensor")


def deterministic_action(action_parameters: ArrayT) -> ArrayT:
    """The action of the policy without exploration: its mean amount where the gate opens with more than `LEAST_GATE`, else 0.

    A policy that brakes in every third step is not one that does not brake: asking whether p exceeds 1/2 crashed more often, and so did
    braking with p times the amount, which is too little where it matters (docs/decisions/0003).

    Args:
        action_parameters: (..., 3).

    Returns:
        (...) actions, 0 or in (RELEASE_THRESHOLD, 1).
    """
    library = library_of(action_parameters)
    gate = action_parameters[..., 0]
    alpha_beta = concentrations(action_parameters)
    braking = RELEASE_THRESHOLD + (1.0 - RELEASE_THRESHOLD) * alpha_beta[..., 0] / alpha_beta.sum(-1)
    action: ArrayT = library.where(gate > LEAST_GATE_LOGIT, braking, library.zeros_like(braking))
    return action


def concentrations(action_parameters: ArrayT) -> ArrayT:
    """Alpha and beta of the amount, (..., 2), in (1, 1 + CONCENTRATION_LIMIT): a bounded density with one peak of some width."""
    raw = action_parameters[..., 1:]
    library = library_of(raw)
    softplus = library.logaddexp(raw, library.zeros_like(raw))
    alpha_beta: ArrayT = 1.0 + CONCENTRATION_LIMIT * softplus / (CONCENTRATION_LIMIT + softplus)
    return alpha_beta
