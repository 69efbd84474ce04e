"""An episode in which all went well, to be changed by the tests."""

import pytest

from roadsense.env.outcome import Outcome
from roadsense.env.record import EpisodeRecord


@pytest.fixture(scope="session")
def good_episode() -> EpisodeRecord:
    """A hazard that was heard and met by braking in time."""
    return EpisodeRecord(
        identity="eval:00000000/s/0",
        scenario_id="s",
        base="highway_fast",
        peer_count=3,
        outcome=Outcome.SAFE,
        steps=400,
        episode_return=4.0,
        reward_terms={"progress": 40.0},
        hazard_fired=True,
        hazard_kind="braking",
        hazard_onset_s=5.0,
        hazard_rank=1,
        hazard_decel_mps2=8.0,
        hazard_heard_s=5.25,
        benign_braking=False,
        distracted=True,
        impact_speed_mps=None,
        reaction_s=0.5,
        steps_outside_hazard=200,
        false_braking_steps=0,
        unsafe_steps=0,
        min_gap_m=5.0,
        min_time_to_collision_s=2.0,
        max_decel_mps2=6.0,
        peak_braking_mps2=4.0,
        rms_jerk_mps3=1.0,
        progress_m=800.0,
        actions=(0.0, 0.25, 1.0),
    )
