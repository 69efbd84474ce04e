"""What is remembered of a finished episode: enough to judge it, and to play it again exactly."""

from __future__ import annotations

from dataclasses import dataclass, field

from roadsense.env.outcome import Outcome


@dataclass(frozen=True, slots=True, kw_only=True)
class EpisodeRecord:
    """One finished episode. Times are seconds after the first decision; what did not happen is None.

    `steps_outside_hazard` counts decisions outside the hazard window (onset to resolved + 1 s), `false_braking_steps` those among them in
    which the action lay above the release threshold.
    """

    identity: str
    scenario_id: str
    base: str
    peer_count: int
    outcome: Outcome
    steps: int
    episode_return: float
    reward_terms: dict[str, float] = field(default_factory=dict)
    hazard_fired: bool
    hazard_onset_s: float | None
    hazard_rank: int | None
    hazard_decel_mps2: float | None
    distracted: bool
    impact_speed_mps: float | None
    reaction_s: float | None
    steps_outside_hazard: int
    false_braking_steps: int
    min_gap_m: float | None
    min_time_to_collision_s: float | None
    max_decel_mps2: float
    progress_m: float
    actions: tuple[float, ...]

    @property
    def collided(self) -> bool:
        """Whether the ego ran into a car ahead."""
        return self.outcome is Outcome.COLLISION
