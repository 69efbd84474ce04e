"""Every figure moves when the behaviour that it measures gets worse."""

import dataclasses

import pytest

from roadsense.env.outcome import Outcome
from roadsense.env.record import EpisodeRecord
from roadsense.evaluation.metrics import summarise

GOOD = EpisodeRecord(
    identity="eval:00000000/s/0",
    scenario_id="s",
    base="highway_fast",
    peer_count=3,
    outcome=Outcome.SAFE,
    steps=400,
    episode_return=4.0,
    reward_terms={"progress": 40.0},
    hazard_fired=True,
    hazard_onset_s=5.0,
    hazard_rank=1,
    hazard_decel_mps2=8.0,
    distracted=True,
    impact_speed_mps=None,
    reaction_s=0.5,
    steps_outside_hazard=200,
    false_braking_steps=0,
    min_gap_m=5.0,
    min_time_to_collision_s=2.0,
    max_decel_mps2=6.0,
    progress_m=800.0,
    actions=(0.0,),
)


def worse(**changes) -> list[EpisodeRecord]:
    """Four good episodes, one of them changed."""
    return [dataclasses.replace(GOOD, **changes), GOOD, GOOD, GOOD]


@pytest.mark.parametrize(
    ("figure", "changes", "expected"),
    [
        ("collision_rate", {"outcome": Outcome.COLLISION, "impact_speed_mps": 9.0}, 0.25),
        ("hazard_collision_rate", {"outcome": Outcome.COLLISION, "impact_speed_mps": 9.0}, 0.25),
        ("collisions", {"outcome": Outcome.COLLISION}, 1),
        ("truncation_rate", {"outcome": Outcome.COLLISION}, 0.75),
        ("truncation_rate", {"outcome": Outcome.LEFT_ROAD}, 0.75),
        ("avg_impact_speed_mps", {"outcome": Outcome.COLLISION, "impact_speed_mps": 9.0}, 9.0),
        ("false_braking_rate", {"false_braking_steps": 200}, 0.25),
        ("avg_reaction_s", {"reaction_s": 2.5}, 1.0),
        ("reaction_rate", {"reaction_s": None}, 0.75),
        ("avg_progress_m", {"progress_m": 0.0}, 600.0),
        ("avg_reward", {"episode_return": 0.0}, 3.0),
        ("min_reward", {"episode_return": -7.0}, -7.0),
        ("avg_length", {"steps": 200}, 350),
        ("hazard_episodes", {"hazard_fired": False}, 3),
        ("faults", {"outcome": Outcome.FAULT}, 1),
        ("eval_episodes", {"outcome": Outcome.FAULT}, 3),
        ("scenarios_evaluated", {"scenario_id": "other"}, 2),
    ],
)
def test_a_figure_can_get_worse(figure, changes, expected):
    assert summarise(worse(**changes))[figure] == pytest.approx(expected)
    assert summarise([GOOD] * 4)[figure] != pytest.approx(expected)


def test_standard_deviation_and_extremes():
    figures = summarise(worse(episode_return=0.0))
    assert (figures["std_reward"], figures["max_reward"]) == pytest.approx((3.0**0.5, 4.0))


def test_nothing_measured_is_null_and_not_zero():
    figures = summarise([])
    assert figures["eval_episodes"] == 0
    assert figures["collision_rate"] is None and figures["avg_reward"] is None and figures["hazard_collision_rate"] is None


def test_outcomes_are_kept_apart():
    outcomes = summarise(worse(outcome=Outcome.EGO_REAR_ENDED))
    assert outcomes["outcomes"] == {"collision": 0, "ego_rear_ended": 1, "left_road": 0, "route_ended": 0, "safe": 3, "fault": 0}
    assert outcomes["collisions"] == 0


def test_a_faulty_episode_enters_no_other_figure():
    broken = worse(outcome=Outcome.FAULT, episode_return=-100.0, steps=3, progress_m=0.0, false_braking_steps=3)
    good = summarise([GOOD] * 3)
    assert {name: value for name, value in summarise(broken).items() if name not in ("faults", "outcomes")} == {
        name: value for name, value in good.items() if name not in ("faults", "outcomes")
    }
