"""Every figure moves when the behaviour that it measures gets worse."""

import dataclasses

import pytest

from roadsense.env.outcome import Outcome
from roadsense.evaluation.figures import FIGURES, TIME_TO_COLLISION_CAP_S
from roadsense.evaluation.metrics import critical_identities, summarise

CRASH = {"outcome": Outcome.COLLISION, "impact_speed_mps": 9.0}
# Figure, what goes wrong in one of four good episodes, value then. Every one of them differs from that of four good episodes.
WORSE = [
    ("collision_rate", CRASH, 0.25),
    ("hazard_collision_rate", CRASH, 0.25),
    ("critical_hazard_collision_rate", CRASH, 0.25),
    ("collisions", CRASH, 1),
    ("hazard_collisions", CRASH, 1),
    ("critical_hazard_collisions", CRASH, 1),
    ("truncation_rate", CRASH, 0.75),
    ("truncation_rate", {"outcome": Outcome.LEFT_ROAD}, 0.75),
    ("truncation_rate", {"outcome": Outcome.EGO_REAR_ENDED}, 0.75),
    ("truncations", CRASH, 3),
    ("avg_impact_speed_mps", CRASH, 9.0),
    ("hazard_heard_rate", {"hazard_heard_s": None, "reaction_s": None}, 0.75),
    ("reaction_rate", {"reaction_s": None}, 0.75),
    ("avg_reaction_s", {"reaction_s": 2.5}, 1.0),
    ("false_braking_rate", {"false_braking_steps": 200}, 0.25),
    ("unsafe_share", {"unsafe_steps": 40}, 0.025),
    ("avg_min_gap_m", {"min_gap_m": 1.0}, 4.0),
    ("min_gap_m", {"min_gap_m": -0.5}, -0.5),
    ("avg_min_time_to_collision_s", {"min_time_to_collision_s": 0.4}, 1.6),
    ("min_time_to_collision_s", {"min_time_to_collision_s": 0.4}, 0.4),
    ("avg_peak_braking_mps2", {"peak_braking_mps2": 8.0}, 5.0),
    ("avg_rms_jerk_mps3", {"rms_jerk_mps3": 9.0}, 3.0),
    ("avg_progress_m", {"progress_m": 0.0}, 600.0),
    ("avg_reward", {"episode_return": 0.0}, 3.0),
    ("min_reward", {"episode_return": -7.0}, -7.0),
    ("avg_length", {"steps": 200}, 350),
    ("hazard_episodes", {"hazard_fired": False}, 3),
    ("faults", {"outcome": Outcome.FAULT}, 1),
    ("eval_episodes", {"outcome": Outcome.FAULT}, 3),
    ("scenarios_evaluated", {"scenario_id": "s1"}, 3),
]


@pytest.fixture
def four(good_episode):
    """Four good episodes, each of a scenario of its own."""
    return [dataclasses.replace(good_episode, identity=f"eval:0/s{i}/0", scenario_id=f"s{i}") for i in range(4)]


def worse(four, **changes):
    return [dataclasses.replace(four[0], **changes), *four[1:]]


def judged(records):
    """Their figures, when never_brake crashed in all four hazards."""
    return summarise(records, critical={f"eval:0/s{i}/0" for i in range(4)})


@pytest.mark.parametrize(("figure", "changes", "expected"), WORSE)
def test_a_figure_can_get_worse(four, figure, changes, expected):
    assert judged(worse(four, **changes))[figure] == pytest.approx(expected)
    assert judged(four)[figure] != pytest.approx(expected)


@pytest.mark.parametrize(("figure", "changes"), [(figure, changes) for figure, changes, _ in WORSE if figure in {f.key for f in FIGURES}])
def test_an_interval_moves_with_its_figure(four, figure, changes):
    now, before = judged(worse(four, **changes)), judged(four)
    if now["intervals"][figure] is not None:
        assert now["intervals"][figure][0] <= now[figure] <= now["intervals"][figure][1]
        assert now["intervals"][figure] != before["intervals"][figure]
    else:
        assert figure == "avg_impact_speed_mps"  # a single crash has a mean but no interval


def test_every_figure_has_been_seen_to_move(four):
    plain = {"outcomes", "intervals", "breakdowns", "avg_reward_terms", "std_reward", "max_reward", "critical_hazards"}  # tested below
    assert {figure for figure, _, _ in WORSE} == set(judged(four)) - plain


def test_standard_deviation_and_extremes(four):
    figures = summarise(worse(four, episode_return=0.0))
    assert (figures["std_reward"], figures["max_reward"]) == pytest.approx((3.0**0.5, 4.0))


def test_nothing_measured_is_null_and_not_zero():
    figures = summarise([])
    assert figures["eval_episodes"] == 0
    for key in ("min_reward", "std_reward", "min_gap_m", "critical_hazards", *(figure.key for figure in FIGURES)):
        assert figures[key] is None, key
    assert set(figures["intervals"].values()) == {None}


def test_what_never_happened_is_null(four):
    calm = [dataclasses.replace(record, hazard_fired=False, reaction_s=None, peak_braking_mps2=None, min_gap_m=None) for record in four]
    figures = summarise(calm, critical=frozenset())
    for key in (
        "hazard_collision_rate",
        "critical_hazard_collision_rate",
        "avg_reaction_s",
        "avg_peak_braking_mps2",
        "avg_min_gap_m",
        "avg_impact_speed_mps",
    ):
        assert figures[key] is None and figures["intervals"][key] is None, key
    assert figures["critical_hazards"] == 0


def test_outcomes_are_kept_apart(four):
    outcomes = summarise(worse(four, outcome=Outcome.EGO_REAR_ENDED))
    assert outcomes["outcomes"] == {"collision": 0, "ego_rear_ended": 1, "left_road": 0, "route_ended": 0, "safe": 3, "fault": 0}
    assert outcomes["collisions"] == 0


def test_a_faulty_episode_enters_no_other_figure(four):
    broken = worse(
        four, outcome=Outcome.FAULT, episode_return=-100.0, steps=3, progress_m=0.0, false_braking_steps=3, reward_terms={"a": 1}
    )
    good = summarise(four[1:])
    assert {name: value for name, value in summarise(broken).items() if name not in ("faults", "outcomes")} == {
        name: value for name, value in good.items() if name not in ("faults", "outcomes")
    }


def test_a_crash_before_the_hazard_is_none_of_the_hazard(four):
    figures = judged(worse(four, hazard_fired=False, **CRASH))
    assert figures["collision_rate"] == 0.25
    assert (figures["hazard_episodes"], figures["hazard_collisions"], figures["hazard_collision_rate"]) == (3, 0, 0.0)


def test_a_car_that_is_never_approached_counts_as_far_and_not_as_missing(four):
    figures = summarise(worse(four, min_time_to_collision_s=None))
    assert figures["avg_min_time_to_collision_s"] == pytest.approx((3 * 2.0 + TIME_TO_COLLISION_CAP_S) / 4)
    assert summarise(worse(four, min_time_to_collision_s=1000.0))["avg_min_time_to_collision_s"] == figures["avg_min_time_to_collision_s"]


def test_a_hazard_that_was_never_heard_is_the_radios_and_not_the_agents(four):
    figures = summarise(worse(four, hazard_heard_s=None, reaction_s=None))
    assert (figures["hazard_heard_rate"], figures["reaction_rate"]) == (0.75, 1.0)


def test_reward_terms_of_any_name_are_averaged(four):
    figures = summarise(worse(four, reward_terms={"progress": 0.0, "my_term": -2.0})[::-1])
    assert figures["avg_reward_terms"] == {"progress": 30.0, "my_term": -0.5}


def test_critical_hazards_are_those_in_which_never_brake_crashes(four):
    never_brake = [dataclasses.replace(record, **CRASH) for record in four[:2]] + four[2:]
    never_brake[1] = dataclasses.replace(never_brake[1], hazard_fired=False)  # a crash, but into no hazard
    critical = critical_identities(never_brake)
    assert critical == {four[0].identity}
    figures = summarise(worse(four, **CRASH), critical)
    assert (figures["critical_hazards"], figures["critical_hazard_collision_rate"]) == (1, 1.0)
    elsewhere = summarise([*four[:3], dataclasses.replace(four[3], **CRASH)], critical)
    assert (elsewhere["hazard_collisions"], elsewhere["critical_hazard_collision_rate"]) == (1, 0.0)


def test_without_never_brake_critical_hazards_are_unknown(four):
    figures = summarise(worse(four, **CRASH))
    assert figures["critical_hazards"] is None and figures["critical_hazard_collisions"] is None
    assert figures["critical_hazard_collision_rate"] is None and figures["intervals"]["critical_hazard_collision_rate"] is None


def test_rounds_of_one_scenario_are_no_new_scenarios(four):
    """Ten rounds that repeat each other tell no more than one, and the interval knows."""
    once = [dataclasses.replace(record, episode_return=float(place)) for place, record in enumerate(four)]
    often = [dataclasses.replace(record, identity=f"{record.identity}{r}") for record in once for r in range(10)]
    assert summarise(often)["intervals"]["avg_reward"] == pytest.approx(summarise(once)["intervals"]["avg_reward"])


def test_a_single_scenario_speaks_for_itself(four):
    rounds = [dataclasses.replace(record, scenario_id="s", episode_return=float(place)) for place, record in enumerate(four)]
    low, high = summarise(rounds)["intervals"]["avg_reward"]
    assert low < 1.5 < high


def test_breakdowns_add_up_and_say_where_it_goes_wrong(four):
    records = [
        dataclasses.replace(
            four[0], base="rural_curve", hazard_kind="pile_up", peer_count=10, hazard_rank=2, false_braking_steps=20, **CRASH
        ),
        dataclasses.replace(four[1], base="rural_curve", reaction_s=1.5, peak_braking_mps2=8.0),
        four[2],
        dataclasses.replace(four[3], hazard_fired=False, hazard_kind=None, hazard_rank=None, reaction_s=None),
    ]
    figures = judged(records)
    fast, curve = figures["breakdowns"]["base"]
    assert (fast["base"], fast["episodes"], fast["hazard_episodes"], fast["hazard_collisions"]) == ("highway_fast", 2, 1, 0)
    assert (curve["hazard_collision_rate"], curve["avg_impact_speed_mps"], curve["false_braking_rate"]) == (0.5, 9.0, 0.05)
    assert (curve["avg_reaction_s"], curve["avg_peak_braking_mps2"], curve["critical_hazard_collision_rate"]) == (1.0, 6.0, 0.5)
    assert curve["intervals"]["hazard_collision_rate"][0] < 0.5 < curve["intervals"]["hazard_collision_rate"][1]
    kinds = figures["breakdowns"]["hazard_kind"]
    assert [(group["hazard_kind"], group["hazard_collision_rate"]) for group in kinds] == [("braking", 0.0), ("pile_up", 1.0), (None, None)]
    cells = figures["breakdowns"]["peer_count_and_hazard_rank"]
    assert [(group["peer_count"], group["hazard_rank"], group["episodes"]) for group in cells] == [(3, 1, 2), (3, None, 1), (10, 2, 1)]
    for groups in figures["breakdowns"].values():
        assert sum(group["episodes"] for group in groups) == 4
        assert sum(group["hazard_collisions"] for group in groups) == figures["hazard_collisions"]
