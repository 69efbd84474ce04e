"""An episode in numbers: what is true after each step and what it earned, one row per step, written by one compiled call.

A step of an episode asks some thirty numbers of the truth (gaps, closing speeds, reward terms, how hard the ego corners). Each is a line of
arithmetic; as Python objects and calls they would cost more than the simulator does.

Shape suffixes: N vehicles, R rows (row 0 is the moment of the first decision, row k the moment after step k), C columns.
"""

from __future__ import annotations

from typing import Final

import numpy as np

from roadsense.compiled import compiled
from roadsense.config import STEP_LENGTH_S
from roadsense.env.cornering import lateral_accel_mps2
from roadsense.env.reward import step_terms
from roadsense.env.situation import closing_speed_mps, find_leader
from roadsense.radio.angles import wrapped
from roadsense.state import FloatArray

# The columns. What is true at the moment of the row:
SPEED_MPS, LIMIT_MPS, ACCEL_MPS2, LEADER, GAP_M, LEADER_SPEED_MPS, CLOSING_MPS, HEADING_RAD = range(8)
# How the ego got there: by how much it turned, when the step was decided, and what was decided then.
TURN_RAD, DECIDED_S, ACTION = 8, 9, 10
# What the step earned: the unweighted built-in terms in the order of `reward.TERM_NAMES`, and the weighted sum with the user's own.
FIRST_TERM, REWARD = 11, 16
# 1.0, or 0.0 where the ego was not on the road after the step: then all above but the decision and the reward is 0.
ON_ROAD = 17
COLUMNS: Final = 18


@compiled
def settle(
    ledger_RC: FloatArray,
    row: int,
    ego: int,
    starts_m_N: FloatArray,
    lane_position_m_N: FloatArray,
    length_m_N: FloatArray,
    speed_mps_N: FloatArray,
    heading_rad_N: FloatArray,
    limit_mps: float,
    decided_s: float,
    action: float,
    ran_into: bool,
    weights_5: FloatArray,
) -> tuple[float, float, float, float]:
    """Write the row of a step after which the ego is on the road.

    `row` is the number of the step, from 1, and the row before is written. `ego` is the ego's place among the vehicles; `starts_m_N`
    says where their lanes begin on the ego's route (`situation.RouteAhead`). The step began with the decision `action` at `decided_s`.
    `ran_into` says that SUMO reports the ego to have run into another vehicle. `weights_5` are those of the built-in reward terms.

    Returns:
        the weighted sum of the built-in terms, the gap in m, the ego's speed in m/s and its lateral acceleration in m/s2.
    """
    look(ledger_RC, row, ego, starts_m_N, lane_position_m_N, length_m_N, speed_mps_N, heading_rad_N, limit_mps)
    now, before = ledger_RC[row], ledger_RC[row - 1]
    now[ACCEL_MPS2] = (now[SPEED_MPS] - before[SPEED_MPS]) / STEP_LENGTH_S
    now[TURN_RAD] = wrapped(now[HEADING_RAD] - before[HEADING_RAD])
    now[DECIDED_S], now[ACTION] = decided_s, action
    terms = step_terms(
        now[SPEED_MPS],
        limit_mps,
        now[ACCEL_MPS2],
        before[ACCEL_MPS2],
        now[GAP_M],
        now[CLOSING_MPS],
        action,
        ran_into or now[GAP_M] < 0.0,
    )
    reward = 0.0
    for place in range(len(terms)):
        now[FIRST_TERM + place] = terms[place]
        reward += weights_5[place] * terms[place]
    now[REWARD] = reward
    return reward, now[GAP_M], now[SPEED_MPS], lateral_accel_mps2(ledger_RC[: row + 1, TURN_RAD], now[SPEED_MPS])


@compiled
def look(
    ledger_RC: FloatArray,
    row: int,
    ego: int,
    starts_m_N: FloatArray,
    lane_position_m_N: FloatArray,
    length_m_N: FloatArray,
    speed_mps_N: FloatArray,
    heading_rad_N: FloatArray,
    limit_mps: float,
) -> None:
    """Write what is true at the moment of a row, but for the acceleration of the step before it; arguments as for `settle`."""
    now = ledger_RC[row]
    leader, now[GAP_M] = find_leader(starts_m_N, lane_position_m_N, length_m_N, ego)
    now[LEADER] = leader
    now[LEADER_SPEED_MPS] = speed_mps_N[leader] if leader >= 0 else 0.0
    now[SPEED_MPS], now[LIMIT_MPS], now[HEADING_RAD] = speed_mps_N[ego], limit_mps, heading_rad_N[ego]
    now[CLOSING_MPS] = closing_speed_mps(now[SPEED_MPS], now[LEADER_SPEED_MPS]) if leader >= 0 else 0.0
    now[ON_ROAD] = 1.0


def new_ledger(steps: int) -> FloatArray:
    """Rows for the first decision and this many steps: array (steps + 1, C) of zeros."""
    return np.zeros((steps + 1, COLUMNS))
