"""`roadsense compare` works from tables alone; the tables it prints fit a terminal."""

import dataclasses
import io
import json

import pytest
from rich.console import Console

from roadsense.cli import main
from roadsense.env.outcome import Outcome
from roadsense.evaluation.episode_table import EpisodeTableWriter
from roadsense.evaluation.judgement import judge
from roadsense.evaluation.table import print_judgement

BASES = ("highway_fast", "highway_merge", "urban_intersection", "rural_curve", "arterial_stop_and_go")
CRASH = {"outcome": Outcome.COLLISION, "impact_speed_mps": 9.0}


@pytest.fixture
def safe(good_episode):
    """Forty good episodes over five base scenarios."""
    return [
        dataclasses.replace(good_episode, identity=f"eval:0/s{i}/0", scenario_id=f"s{i}", base=BASES[i % 5], actions=(0.5,))
        for i in range(40)
    ]


def crashing(records, count, **changes):
    return [dataclasses.replace(record, **CRASH, **changes) for record in records[:count]] + records[count:]


def table(path, policies):
    with EpisodeTableWriter(path) as writer:
        for policy, records in policies.items():
            for record in records:
                writer.add(record, phase="eval", policy=policy)
    return str(path)


def printed(judgement, width=100):
    out = io.StringIO()
    print_judgement(Console(file=out, width=width, highlight=False), judgement, "title")
    return out.getvalue()


def test_one_table(capsys, monkeypatch, tmp_path, safe):
    monkeypatch.delenv("COLUMNS", raising=False)
    path = table(tmp_path / "e.parquet", {"learned": crashing(safe, 1), "ttc_radio": safe, "never_brake": crashing(safe, 20)})
    assert main(["compare", path, "--json", str(tmp_path / "out" / "figures.json")]) == 0
    out = capsys.readouterr().out
    assert max(map(len, out.splitlines())) > 80  # a pipe takes the whole width of the tables
    assert "40 identical episodes" in out and "learned against" in out and "hazard crashes by base scenario" in out
    content = json.loads((tmp_path / "out" / "figures.json").read_text())
    assert content["policy"] == "learned" and list(content["references"]) == ["ttc_radio", "never_brake"]
    assert [(pair["b"], pair["crashes_avoided"], pair["crashes_caused"]) for pair in content["paired"]] == [
        ("ttc_radio", 0, 1),
        ("never_brake", 19, 0),
    ]
    assert content["evaluation"]["critical_hazard_collision_rate"] == 1 / 20


def test_chosen_policies_bring_never_brake_along(capsys, tmp_path, safe):
    path = table(tmp_path / "e.parquet", {"learned": crashing(safe, 1), "ttc_radio": safe, "never_brake": crashing(safe, 20)})
    assert main(["compare", path, "--policies", "ttc_radio,learned", "--json", str(tmp_path / "f.json")]) == 0
    content = json.loads((tmp_path / "f.json").read_text())
    assert (content["policy"], list(content["references"])) == ("ttc_radio", ["learned", "never_brake"])


def test_two_tables(capsys, tmp_path, safe):
    first = table(tmp_path / "1.parquet", {"learned": crashing(safe, 1)})
    second = table(tmp_path / "2.parquet", {"learned": crashing(safe, 3), "other": safe})
    assert main(["compare", first, second]) == 0
    out = capsys.readouterr().out
    assert "learned (1) against" in out and "learned (2)" in out and "evaluate never_brake" in out
    assert main(["compare", first, second, "--policies", "learned,other", "--json", str(tmp_path / "f.json")]) == 0
    assert json.loads((tmp_path / "f.json").read_text())["paired"][0]["crashes_caused"] == 1


def test_never_brake_may_lie_in_either_of_two_tables(capsys, tmp_path, safe):
    mine = table(tmp_path / "1.parquet", {"learned": crashing(safe, 1)})
    references = table(tmp_path / "2.parquet", {"ttc_radio": safe, "never_brake": crashing(safe, 20)})
    for tables in ([mine, references], [references, mine]):
        assert main(["compare", *tables, "--json", str(tmp_path / "f.json")]) == 0
        assert json.loads((tmp_path / "f.json").read_text())["evaluation"]["critical_hazards"] == 20


@pytest.mark.parametrize(
    ("args", "words"),
    [
        (["ONE"], "holds one policy, learned"),
        (["TWO", "--policies", "learned,nobody"], "no episodes of 'nobody'"),
        (["ONE", "SHORT"], "did not drive identical episodes"),
        (["ONE", "TWO", "--policies", "learned"], "name one policy of each"),
        (["ONE", "ONE", "ONE"], "3 tables given"),
        (["missing.parquet"], "no such file"),
        ([], "EPISODES"),
    ],
)
def test_what_cannot_be_compared_is_refused_in_one_line(capsys, tmp_path, safe, args, words):
    paths = {
        "ONE": table(tmp_path / "one.parquet", {"learned": safe}),
        "TWO": table(tmp_path / "two.parquet", {"learned": safe, "other": safe}),
        "SHORT": table(tmp_path / "short.parquet", {"learned": safe[:9]}),
    }
    assert main(["compare", *(paths.get(arg, arg) for arg in args)]) == 2
    error = capsys.readouterr().err
    assert words in error and len(error.strip().splitlines()) == 1, error


def test_the_widest_table_fits_a_hundred_columns(safe):
    """Rates just below 10 % with three digits and the longest names."""
    changes = {"reaction_s": 11.25, "progress_m": 1234.0, "false_braking_steps": 18, "peak_braking_mps2": 8.0, "episode_return": -12.25}
    worst = crashing([dataclasses.replace(record, **changes) for record in safe], 3)
    names = ["learned", "ttc_perfect_radio", "my_package.rules:brake", "never_brake"]
    text = printed(judge(dict.fromkeys(names, worst)))
    assert max(map(len, text.splitlines())) <= 100
    assert "ttc_perfect_radio" in text and "7.5% (2.6-20)" in text and "9.0%" in text and "-12.25" in text
    assert "\nbrake " in text  # the end of a long name, on a line of its own
    assert "…" not in text


def test_the_tables_show_what_the_figures_say(safe):
    judgement = judge({"learned": crashing(safe, 2), "never_brake": crashing(safe, 20)})
    rows = [line.split() for line in printed(judgement).splitlines() if line.startswith(("learned ", "never_brake "))]
    assert rows[0][1:5] == ["5.0%", "(1.4-17)", "10%", "(2.8-30)"]
    assert rows[1][1:3] == ["50%", "(35-65)"]
    assert rows[-1][:4] == ["never_brake", "18", "0", "7.6e-06"]
    assert rows[2][1:] == ["0.0%", "(0.0-32)", *["12%", "(2.2-47)"] * 2, *["0.0%", "(0.0-32)"] * 2]


def test_a_narrow_terminal_folds_intervals_and_cuts_no_number(safe):
    changes = {"reaction_s": 1.25, "progress_m": 1234.0, "peak_braking_mps2": 8.0, "episode_return": -12.25}
    text = printed(judge({"never_brake": crashing([dataclasses.replace(record, **changes) for record in safe], 3)}), width=80)
    row = text.splitlines().index(next(line for line in text.splitlines() if line.startswith("never_brake")))
    assert text.splitlines()[row].split() == ["never_brake", "7.5%", "100%", "0.0%", "1.25", "8.0", "9.0", "1234", "-12.25"]
    assert text.splitlines()[row + 1].split() == ["(2.6-20)", "(44-100)", "(0.0-8.8)"]


def test_a_figure_without_a_case_is_no_number(safe):
    text = printed(judge({"learned": [dataclasses.replace(record, hazard_fired=False) for record in safe]}))
    row = next(line.split() for line in text.splitlines() if line.startswith("learned "))
    assert row[1:3] == ["--", "--"]
    assert "critical crashes are unknown" in text
