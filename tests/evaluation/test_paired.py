"""Policy against policy on the same episodes, and what cannot be compared."""

import dataclasses

import pytest

from roadsense.env.outcome import Outcome
from roadsense.errors import UsageError
from roadsense.evaluation.judgement import judge
from roadsense.evaluation.paired import paired

CRASH = {"outcome": Outcome.COLLISION, "impact_speed_mps": 9.0, "episode_return": -2.0}


@pytest.fixture
def safe(good_episode):
    """Twenty good episodes of twenty scenarios."""
    return [dataclasses.replace(good_episode, identity=f"eval:0/s{i}/0", scenario_id=f"s{i}") for i in range(20)]


def changed(records, places, **changes):
    return [dataclasses.replace(record, **changes) if place in places else record for place, record in enumerate(records)]


def test_crashes_avoided_and_caused(safe):
    a, b = changed(safe, {0, 1}, **CRASH), changed(safe, {1, 2, 3, 4, 5, 6, 7, 8, 9}, **CRASH)
    result = paired("a", a, "b", b)
    assert (result["a"], result["b"], result["episodes"], result["a_crashes"], result["b_crashes"]) == ("a", "b", 20, 2, 9)
    assert (result["crashes_avoided"], result["crashes_caused"]) == (8, 1)
    assert result["mcnemar_p"] == pytest.approx(20 / 512)  # 2 (1 + 9) / 2^9
    assert result["hazard_collision_rate_difference"] == pytest.approx(-7 / 20)
    assert result["avg_reward_difference"] == pytest.approx(7 * 6 / 20)
    for key, (low, high) in result["intervals"].items():
        assert low <= result[key] <= high
    assert result["intervals"]["hazard_collision_rate_difference"][1] < 0
    mirrored = paired("b", b, "a", a)
    assert (mirrored["crashes_avoided"], mirrored["crashes_caused"], mirrored["mcnemar_p"]) == (1, 8, result["mcnemar_p"])


def test_false_braking_counts_against_the_one_that_does_it(safe):
    result = paired("a", changed(safe, {3, 4}, false_braking_steps=100), "b", safe)
    assert result["false_braking_rate_difference"] == pytest.approx(0.05)


def test_how_hard_they_brake_is_compared_where_both_brake_for_a_hazard(safe):
    a, b = changed(safe, range(20), peak_braking_mps2=6.0), changed(safe, range(20), peak_braking_mps2=4.0)
    a = changed(a, {0}, peak_braking_mps2=5.0)
    a = changed(a, {1}, peak_braking_mps2=None)  # brakes not at all, which is not gently
    b = changed(b, {2}, peak_braking_mps2=None)
    a, b = changed(a, {3}, peak_braking_mps2=8.0, hazard_fired=False), changed(b, {3}, hazard_fired=False)
    result = paired("a", a, "b", b)
    assert result["avg_peak_braking_mps2_difference"] == pytest.approx((1.0 + 16 * 2.0) / 17)
    low, high = result["intervals"]["avg_peak_braking_mps2_difference"]
    assert 1.7 < low < 2.0 < high < 2.2
    nobody = paired("a", changed(a, range(20), peak_braking_mps2=None), "b", b)
    assert nobody["avg_peak_braking_mps2_difference"] is None and nobody["intervals"]["avg_peak_braking_mps2_difference"] is None


def test_equal_policies_do_not_differ(safe):
    result = paired("a", safe, "b", safe)
    assert (result["crashes_avoided"], result["crashes_caused"], result["mcnemar_p"]) == (0, 0, 1.0)
    assert result["avg_reward_difference"] == 0 and result["intervals"]["avg_reward_difference"] == [0.0, 0.0]
    low, high = result["intervals"]["hazard_collision_rate_difference"]
    assert low < 0 < high  # twenty episodes without a crash do not prove that there never is one


def test_the_order_of_the_episodes_does_not_matter(safe):
    a, b = changed(safe, {0, 1}, **CRASH), changed(safe, {1, 2, 3}, **CRASH)
    assert paired("a", a, "b", b[::-1]) == paired("a", a, "b", b)


def test_an_avoided_crash_that_ended_in_the_ditch_is_told_apart(safe):
    a = changed(safe, {2}, outcome=Outcome.LEFT_ROAD)
    result = paired("a", changed(a, {3}, outcome=Outcome.EGO_REAR_ENDED), "b", changed(safe, {2, 3, 4}, **CRASH))
    assert (result["crashes_avoided"], result["avoided_but_failed"]) == (3, 2)


def test_a_faulty_episode_leaves_both_sides(safe):
    result = paired("a", changed(safe, {2}, outcome=Outcome.FAULT, hazard_fired=False), "b", changed(safe, {2, 3}, **CRASH))
    assert (result["episodes"], result["b_crashes"], result["crashes_avoided"]) == (19, 1, 1)


def test_without_hazards_there_is_no_difference_of_their_rates(safe):
    result = paired("a", changed(safe, range(20), hazard_fired=False), "b", safe)
    assert result["hazard_collision_rate_difference"] is None
    assert result["intervals"]["hazard_collision_rate_difference"] is None


@pytest.mark.parametrize(
    ("other", "words"),
    [
        (lambda safe: safe[:-1], r"20 and 19, 19 in common, eval:0/s19/0 only by a"),
        (lambda safe: changed(safe, {3}, identity="eval:1/s3/0"), r"20 and 20, 19 in common"),
        (lambda safe: changed(safe, {3}, hazard_onset_s=9.0), r"eval:0/s3/0 under different settings \(hazard_onset_s was 5.0 and 9.0\)"),
        (lambda safe: [*safe, safe[0]], r"b drove eval:0/s0/0 twice"),
    ],
)
def test_episodes_that_are_not_the_same_are_refused(safe, other, words):
    with pytest.raises(UsageError, match=words):
        paired("a", safe, "b", other(safe))
    with pytest.raises(UsageError):
        judge({"a": safe, "b": other(safe)})


def test_the_first_policy_is_judged_against_every_other(safe):
    judgement = judge({"mine": changed(safe, {0}, **CRASH), "never_brake": changed(safe, {0, 1, 2, 3}, **CRASH), "third": safe})
    assert judgement.judged == "mine"
    assert [(pair["a"], pair["b"]) for pair in judgement.paired] == [("mine", "never_brake"), ("mine", "third")]
    assert [figures["critical_hazard_collision_rate"] for figures in judgement.figures.values()] == [0.25, 1.0, 0.0]
    assert not judge({"mine": safe, "third": safe}).knows_critical_hazards
