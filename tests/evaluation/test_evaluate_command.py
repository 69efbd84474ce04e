"""`roadsense evaluate` with real SUMO: never_brake comes along, and the table alone says the same as the evaluation did."""

import json

from roadsense.cli import main


def evaluated(dataset_dir, directory, *flags):
    words = ["--dataset_dir", dataset_dir, "--output_dir", directory, "--eval_episodes", 2, "--num_workers", 1, *flags]
    assert main(["evaluate", "--policy", "always_brake", *map(str, words)]) == 0
    return json.loads((directory / "metrics.json").read_text())


def test_never_brake_comes_along_and_the_table_alone_says_the_same(capsys, dataset_dir, tmp_path):
    metrics = evaluated(dataset_dir, tmp_path / "with")
    assert (metrics["policy"], list(metrics["references"])) == ("always_brake", ["never_brake"])
    assert metrics["evaluation"]["critical_hazards"] == metrics["references"]["never_brake"]["hazard_collisions"]
    assert [pair["b"] for pair in metrics["paired"]] == ["never_brake"]
    assert "always_brake against" in capsys.readouterr().out
    assert main(["compare", str(tmp_path / "with" / "episodes.parquet"), "--json", str(tmp_path / "again.json")]) == 0
    again = json.loads((tmp_path / "again.json").read_text())
    assert again == {key: metrics[key] for key in again}
    assert {"policy", "evaluation", "references", "paired"} == set(again)


def test_without_references_the_critical_hazards_are_unknown(capsys, dataset_dir, tmp_path):
    metrics = evaluated(dataset_dir, tmp_path / "alone", "--no_references")
    assert metrics["references"] == {} and metrics["paired"] == []
    assert metrics["evaluation"]["critical_hazards"] is None
    assert "evaluate never_brake" in capsys.readouterr().out
