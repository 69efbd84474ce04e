"""What a dataset covers, and how `roadsense check` tells it."""

import json
from pathlib import Path

import pytest

from roadsense.cli import main
from roadsense.scenario.coverage import coverage
from roadsense.scenario.dataset import Dataset
from roadsense.scenario.generate import GenerateSettings, generate


@pytest.fixture(scope="module")
def small(tmp_path_factory, base_dir: Path) -> Dataset:
    """Four training scenarios of one base, one of evaluation."""
    directory = tmp_path_factory.mktemp("coverage") / "ds"
    return generate(GenerateSettings(base_dir=base_dir / "rural_curve", output_dir=directory, train_count=4, eval_count=1))


def test_coverage_counts_peers_and_ranks(tmp_path: Path):
    dataset = generate(GenerateSettings(output_dir=tmp_path / "ds", seed=3, train_count=110, eval_count=55))
    rows = coverage(dataset.manifest)
    assert [(row.base, row.split) for row in rows] == [
        (base, split) for base in sorted(dataset.manifest.base_scenarios) for split in ("train", "eval")
    ]
    for row in rows:
        times = 2 if row.split == "train" else 1
        assert row.peer_counts == dict.fromkeys(range(11), times) and row.missing_peer_counts == ()
        assert row.hazard_ranks[0] == 10 * times, "somebody is ahead wherever there are peers"
        assert list(row.hazard_ranks) == sorted(row.hazard_ranks, reverse=True)
        ahead = [scenario.drawn["convoy"]["peers_ahead"] for scenario in getattr(dataset, row.split) if scenario.base == row.base]
        assert sum(row.hazard_ranks) == sum(ahead) and len(row.hazard_ranks) == max(ahead)


def test_missing_counts_are_a_note_and_no_defect(small: Dataset, capsys):
    assert main(["check", str(small.directory)]) == 0
    printed = capsys.readouterr().out
    present = {len(scenario.peer_ids) for scenario in small.train}
    missing = ", ".join(str(count) for count in range(11) if count not in present)
    assert f"note: train holds no scenario of rural_curve with {missing} peers" in printed
    assert "no defects" in printed and "rural_curve train" in " ".join(printed.split())


def test_report_as_json(small: Dataset, capsys):
    assert main(["check", str(small.directory), "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert report["defects"] == [] and [row["split"] for row in report["coverage"]] == ["train", "eval"]
    train = report["coverage"][0]
    assert train["scenarios"] == 4 and sum(train["peer_counts"].values()) == 4 and len(train["missing_peer_counts"]) == 7
    extra = small.directory / "extra.txt"
    extra.write_text("x")
    assert main(["check", str(small.directory), "--json"]) == 1
    defects = json.loads(capsys.readouterr().out)["defects"]
    extra.unlink()
    assert [(defect["scenario_id"], defect["kind"]) for defect in defects] == [(None, "extra")]


def test_a_base_without_a_convoy_has_no_peer_counts(grid_base: Path, tmp_path: Path):
    dataset = generate(GenerateSettings(base_dir=grid_base, output_dir=tmp_path / "ds", train_count=2, eval_count=0))
    train, evaluation = coverage(dataset.manifest)
    assert (train.scenarios, train.peer_counts, train.hazard_ranks) == (2, {}, ()) and evaluation.scenarios == 0
