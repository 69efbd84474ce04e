"""Every number of the report is one of the run's files; runs with the same episodes stand together, others apart."""

import dataclasses
import json
import math
import re
import shutil

import pyarrow.parquet as pq
import pytest

from roadsense.env.outcome import Outcome
from roadsense.report.run import report
from roadsense.report.run.answer import answer, compared, percent, points, seconds
from roadsense.report.run.facts import UNKNOWN, cost_rows, provenance_rows
from roadsense.report.run.lists import evaluation_lists
from roadsense.report.run.report import write_report
from roadsense.report.run.source import read_source
from roadsense.report.run.worst import in_words, worst_episodes

JUDGED = "experiments.own_parts:keep_distance"


@pytest.fixture(scope="module")
def listed(evaluation_dir):
    (found,) = evaluation_lists([read_source(evaluation_dir)])
    return found


def test_judging_again_gives_the_figures_of_metrics_json(listed, evaluation_dir):
    metrics = json.loads((evaluation_dir / "metrics.json").read_text())
    again = json.loads(json.dumps(listed.figures, allow_nan=False))
    assert again[JUDGED] == metrics["evaluation"]
    assert {name: again[name] for name in metrics["references"]} == metrics["references"]
    by_other = {pair["b"]: pair for pair in json.loads(json.dumps(listed.paired[JUDGED]))}
    assert by_other == {pair["b"]: pair for pair in metrics["paired"]}


def test_the_answer_holds_the_numbers_with_their_intervals(listed):
    figures = listed.figures[JUDGED]
    said = answer(listed, JUDGED)
    crashes, braking, reaction = said.tiles
    assert crashes.value == percent(figures["critical_hazard_collision_rate"])
    low, high = figures["intervals"]["critical_hazard_collision_rate"]
    assert crashes.interval == f"({percent(low)[:-2]} to {percent(high)[:-2]})"
    assert crashes.note == f"{figures['critical_hazard_collisions']} of {figures['critical_hazards']}"
    assert braking.value == percent(figures["false_braking_rate"]) and braking.theirs == percent(
        listed.figures["ttc_radio"]["false_braking_rate"]
    )
    assert reaction.value == seconds(figures["avg_reaction_s"])
    pair = listed.pair(JUDGED, "ttc_radio")
    assert points(pair["hazard_collision_rate_difference"]) in said.verdict


def test_a_difference_is_claimed_only_where_its_interval_excludes_zero():
    pair = {"intervals": {"low": [-0.2, -0.1], "none": [-0.2, 0.1], "high": [0.1, 0.2], "unknown": None}}
    said = {key: compared(pair, key, "less", "more") for key in pair["intervals"]}
    assert said == {"low": "less", "none": None, "high": "more", "unknown": None}


@pytest.mark.parametrize(("share", "text"), [(None, "—"), (0.0, "0.0 %"), (0.0994, "9.9 %"), (0.0996, "10 %"), (1.0, "100 %")])
def test_percentages(share, text):
    assert percent(share) == text


def test_runs_on_the_same_episodes_stand_side_by_side(evaluation_dir, tmp_path):
    """The second run lacks references: they come from the first."""
    copy = shutil.copytree(evaluation_dir, tmp_path / "second")
    table = pq.read_table(copy / "episodes.parquet")
    keep = [name in (JUDGED, "never_brake") for name in table.column("policy").to_pylist()]
    pq.write_table(table.filter(keep), copy / "episodes.parquet")
    (both,) = evaluation_lists([read_source(evaluation_dir), read_source(copy)])
    assert len(both.judged) == 2 and both.references == ("ttc_radio", "never_brake", "always_brake")
    assert both.figures[both.judged[0]] == both.figures[both.judged[1]]
    assert {pair["b"] for pair in both.paired[both.judged[1]]} == {both.judged[0], *both.references}


def test_runs_on_other_episodes_stand_apart(evaluation_dir, tmp_path):
    copy = shutil.copytree(evaluation_dir, tmp_path / "first_round")
    table = pq.read_table(copy / "episodes.parquet")
    pq.write_table(table.filter([name.endswith("/0") for name in table.column("identity").to_pylist()]), copy / "episodes.parquet")
    assert len(evaluation_lists([read_source(evaluation_dir), read_source(copy)])) == 2


def test_the_worst_come_first(listed):
    worst = worst_episodes(listed, "never_brake", 50)
    impacts = [episode.record.impact_speed_mps for episode in worst if episode.record.collided]
    assert impacts == sorted(impacts, reverse=True) and len(impacts) == listed.figures["never_brake"]["collisions"] > 0
    assert [episode.record.collided for episode in worst] == sorted((episode.record.collided for episode in worst), reverse=True)
    assert len({episode.record.identity for episode in worst}) == len(worst)
    assert dict(worst[0].others)["ttc_radio"]
    assert len(worst_episodes(listed, "never_brake", 2)) == 2 and worst_episodes(listed, "never_brake", 0) == ()


def test_braking_for_nothing_has_its_place_among_the_worst(listed):
    """However many crashes there are, one place goes to the longest false braking."""
    crash = next(record for record in listed.records["never_brake"] if record.collided)
    safe = next(record for record in listed.records["never_brake"] if not record.outcome.is_terminal)
    crashes = [dataclasses.replace(crash, identity=f"crash {place}") for place in range(5)]
    braking = [dataclasses.replace(safe, identity=f"safe {steps}", false_braking_steps=steps) for steps in (6, 40, 3)]
    changed = dataclasses.replace(listed, records={"x": [*crashes, *braking]}, judged=("x",))
    worst = worst_episodes(changed, "x", 3)
    assert [episode.record.identity for episode in worst] == ["crash 0", "crash 1", "safe 40"]
    assert worst[-1].reason == "braked 4.0 s for nothing"


def test_every_outcome_has_words(listed):
    record = listed.records["never_brake"][0]
    said = {in_words(dataclasses.replace(record, outcome=outcome, min_gap_m=3.0, impact_speed_mps=None)) for outcome in Outcome}
    assert len(said) >= 5 and all(said)


def test_what_is_not_recorded_is_said_to_be_so(evaluation_dir, run_like):
    bare, whole = read_source(evaluation_dir), read_source(run_like)
    rows = {row.label: row.values for row in cost_rows([bare, whole])}
    assert rows["price"] == (UNKNOWN, UNKNOWN)
    assert rows["environment steps"] == (UNKNOWN, "12,345")
    assert rows["training time"] == (UNKNOWN, "90 s") and rows["core hours of training"][1].startswith("0.05 ")
    facts = {row.label: row.values for row in provenance_rows([bare, whole])}
    assert facts["commit"] == (UNKNOWN, "c0ffee") and facts["seed"] == (UNKNOWN, "3")
    assert facts["files unchanged since"][1] == "no: metrics.json changed or gone"


def test_a_cost_that_was_told_is_shown(run_like):
    whole = read_source(run_like)
    cost = {"hours": 1.5, "cost_usd": 0.123, "cost_usd_at_most": 0.456}
    paid = dataclasses.replace(whole, metrics=whole.metrics | {"training": whole.training | {"cost": cost}})
    rows = {row.label: row.values for row in cost_rows([paid])}
    assert rows["price"] == ("$0.12 (at most $0.46) in 1.50 hours",)


def test_evaluations_alone_are_not_asked_for_a_training(evaluation_dir):
    assert [row.label for row in cost_rows([read_source(evaluation_dir)])] == ["evaluation"]


def test_runs_stand_side_by_side(evaluation_dir, run_like, tmp_path, monkeypatch):
    """The answer is one table with the yardstick below, and references that were evaluated alone are no run of their own."""
    monkeypatch.setattr(report, "inline", lambda _drawing: "")  # what the figures look like is not asked here, and takes its time
    page, references = tmp_path / "report.html", tmp_path / "references"
    write_report([run_like, evaluation_dir], page, play=False)
    text = page.read_text()
    assert "<h1>2 runs side by side</h1>" in text and '<div class="tiles">' not in text
    side = text.split('<div class="side"')[1].split("</ul>")[0]
    assert side.count('<div role="row">') == 2 and side.count('class="yardstick"') == 1 and side.count("<li>") == 2
    listed = evaluation_lists([read_source(run_like)])[0]
    for figures in (listed.figures[JUDGED], listed.figures["ttc_radio"]):
        assert f"<b>{percent(figures['false_braking_rate'])}</b>" in side and f"<b>{seconds(figures['avg_reaction_s'])}</b>" in side
    shutil.copytree(evaluation_dir, references)
    content = json.loads((references / "metrics.json").read_text())
    (references / "metrics.json").write_text(json.dumps(content | {"policy": "never_brake"}))
    rows = pq.read_table(references / "episodes.parquet")
    pq.write_table(rows.filter([name != JUDGED for name in rows["policy"].to_pylist()]), references / "episodes.parquet")
    write_report([run_like, references], page, play=False)
    assert "<h1>run_a: what it learned</h1>" in page.read_text() and '<div class="side"' not in page.read_text()


def test_the_training_behind_an_evaluation_is_found(run_like, evaluation_dir, tmp_path):
    """The evaluation names its run; another run in that place is not taken for it."""
    copy = shutil.copytree(evaluation_dir, tmp_path / "evaluated")
    metrics = json.loads((copy / "metrics.json").read_text())
    run_id = json.loads((run_like / "config.json").read_text())["run_id"]
    metrics |= {"run_id": run_id, "config": metrics["config"] | {"run": str(run_like)}}
    (copy / "metrics.json").write_text(json.dumps(metrics))
    found = read_source(copy)
    assert found.run == run_like and len(found.progress) == 30 and found.progress[0]["hazard_collision_rate"] is None
    assert math.isclose(found.progress[-1]["episode_return"], 3.0)
    (copy / "metrics.json").write_text(json.dumps(metrics | {"run_id": "another"}))
    assert read_source(copy).run is None


def test_a_recorded_path_is_found_after_the_tree_was_moved(tmp_path):
    from roadsense.artifacts.layout import recorded_path

    (tmp_path / "moved" / "runs" / "a").mkdir(parents=True)
    (tmp_path / "moved" / "datasets" / "d").mkdir(parents=True)
    assert recorded_path("datasets/d", tmp_path / "moved" / "runs" / "a") == tmp_path / "moved" / "datasets" / "d"
    assert str(recorded_path("datasets/gone", tmp_path)) == "datasets/gone"
    assert str(recorded_path("/absolute/gone", tmp_path)) == "/absolute/gone"


def test_a_report_without_hazards_and_without_references_is_written(evaluation_dir, tmp_path):
    """Figures without a case are left out or say so; nothing is drawn from nothing."""
    from roadsense.cli import main

    copy = shutil.copytree(evaluation_dir, tmp_path / "quiet")
    table = pq.read_table(copy / "episodes.parquet")
    rows = [
        row | {"hazard_fired": False, "hazard_rank": None, "reaction_s": None}
        for row in table.to_pylist(maps_as_pydicts="strict")
        if row["policy"] == "ttc_radio" and not row["hazard_fired"]
    ]
    assert rows
    pq.write_table(type(table).from_pylist(rows, schema=table.schema), copy / "episodes.parquet")
    metrics = json.loads((copy / "metrics.json").read_text())
    (copy / "metrics.json").write_text(json.dumps(metrics | {"policy": "ttc_radio"}))
    assert main(["report", str(copy), "--output", str(tmp_path / "report.html"), "--no_replays"]) == 0
    text = (tmp_path / "report.html").read_text()
    assert "No hazard came in these episodes" in text and "No reference policy drove these episodes" in text
    assert "how ttc_radio drives" in text and "nan" not in re.sub(r"<style>.*?</style>", "", text, flags=re.DOTALL).lower().split()
