"""How an episode can end. The outcomes are kept apart: leaving the road is never a success, being hit from behind is not a collision."""

from __future__ import annotations

from enum import StrEnum

from roadsense.state import SimulatorState


class Outcome(StrEnum):
    """What became of an episode."""

    COLLISION = "collision"  # the ego ran into a car ahead
    EGO_REAR_ENDED = "ego_rear_ended"  # a car behind ran into the ego
    LEFT_ROAD = "left_road"  # the ego cornered too hard, or vanished
    ROUTE_ENDED = "route_ended"  # the ego arrived before the horizon
    SAFE = "safe"  # the horizon was reached
    FAULT = "fault"  # the simulator failed; the episode counts for nothing

    @property
    def is_terminal(self) -> bool:
        """Whether the episode ended by what happened in it, not by its time limit or the end of the road."""
        return self in (Outcome.COLLISION, Outcome.EGO_REAR_ENDED, Outcome.LEFT_ROAD)


def ego_contact(state: SimulatorState, ego_id: str) -> Outcome | None:
    """What SUMO's collision reports of this step mean for the ego: it ran into somebody, somebody into it, or (None) neither."""
    if not state.collisions:
        return None
    if any(collision.collider_id == ego_id for collision in state.collisions):
        return Outcome.COLLISION
    if any(collision.victim_id == ego_id for collision in state.collisions):
        return Outcome.EGO_REAR_ENDED
    return None


def judge(*, gap_m: float, contact: Outcome | None, corners_too_hard: bool, horizon_reached: bool) -> Outcome | None:
    """The outcome after a step with the ego on the road, or None while the episode goes on.

    A collision is a bumper gap below 0 along the route, or SUMO's report with the ego as the collider (`ego_contact`), whichever comes
    first. `corners_too_hard` says that a car at this speed would have left the bend.
    """
    if gap_m < 0.0:
        return Outcome.COLLISION
    if contact is not None:
        return contact
    if corners_too_hard:
        return Outcome.LEFT_ROAD
    return Outcome.SAFE if horizon_reached else None


def judge_vanished(state: SimulatorState, ego_id: str) -> Outcome:
    """The outcome after a step with the ego no longer on the road."""
    contact = ego_contact(state, ego_id)
    if contact is not None:
        return contact
    return Outcome.ROUTE_ENDED if ego_id in state.arrived_ids else Outcome.LEFT_ROAD
