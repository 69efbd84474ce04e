"""What is remembered of a finished episode: enough to judge it, and to play it again exactly."""

from __future__ import annotations

from dataclasses import dataclass, field

from roadsense.env.outcome import Outcome


@dataclass(frozen=True, slots=True, kw_only=True)
class EpisodeRecord:
    """One finished episode. Times are seconds after the first decision; what did not happen is None.

    Attributes:
        identity: the episode's label, see `roadsense.seeding`.
        scenario_id: the scenario that was driven.
        base: name of its base scenario.
        peer_count: cars of the convoy beside the ego.
        outcome: how the episode ended.
        steps: decisions taken.
        episode_return: sum of the rewards, not discounted.
        reward_terms: sums of the unweighted reward terms by name.
        hazard_fired: a car ahead began to brake hard.
        hazard_kind: "braking", "pile_up" or the name of a user's own hazard; drawn, whether it fired or not.
        hazard_onset_s: when it was to begin.
        hazard_rank: which car ahead, 1 = the one directly ahead.
        hazard_decel_mps2: how hard it brakes.
        hazard_heard_s: when the ego first heard a message that the hazard car had measured after the onset.
        benign_braking: a car ahead braked gently, as happens in traffic.
        distracted: the driver was inattentive at some time.
        impact_speed_mps: closing speed at contact.
        reaction_s: time from `hazard_heard_s` to the first rising edge of braking after the onset; negative when a policy that does not
            rely on the radio was faster.
        steps_outside_hazard: decisions outside the hazard window (onset to resolved + 1 s).
        false_braking_steps: those among them in which the action lay above the release threshold.
        unsafe_steps: steps after which the leader asked for more than a comfortable deceleration (the `unsafe` reward term is below 0).
        min_gap_m: smallest bumper gap to the car ahead.
        min_time_to_collision_s: smallest gap over closing speed.
        max_decel_mps2: largest deceleration achieved, whoever braked.
        peak_braking_mps2: largest deceleration achieved while the agent braked.
        rms_jerk_mps3: root mean square of the change of the achieved acceleration over the step length.
        progress_m: distance driven within the horizon; a crash adds nothing after it.
        actions: what the policy decided, one entry per step.
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
    hazard_kind: str | None
    hazard_onset_s: float | None
    hazard_rank: int | None
    hazard_decel_mps2: float | None
    hazard_heard_s: float | None
    benign_braking: bool
    distracted: bool
    impact_speed_mps: float | None
    reaction_s: float | None
    steps_outside_hazard: int
    false_braking_steps: int
    unsafe_steps: int
    min_gap_m: float | None
    min_time_to_collision_s: float | None
    max_decel_mps2: float
    peak_braking_mps2: float | None
    rms_jerk_mps3: float
    progress_m: float
    actions: tuple[float, ...]

    @property
    def collided(self) -> bool:
        """Whether the ego ran into a car ahead."""
        return self.outcome is Outcome.COLLISION

    @property
    def hazard_collision(self) -> bool:
        """Whether the ego ran into a car ahead after a hazard had fired."""
        return self.hazard_fired and self.collided
