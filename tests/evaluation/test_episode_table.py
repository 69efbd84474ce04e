"""Episodes on disk: what goes in comes out, in order."""

import dataclasses
import importlib.util
import sys
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from roadsense.env.outcome import Outcome
from roadsense.errors import RunDirectoryError
from roadsense.evaluation.episode_table import EpisodeTableWriter, read_episodes, records_of


def _good():
    specification = importlib.util.spec_from_file_location("metrics_examples", Path(__file__).with_name("test_metrics.py"))
    module = importlib.util.module_from_spec(specification)
    sys.modules[specification.name] = module
    specification.loader.exec_module(module)
    return dataclasses.replace(module.GOOD, actions=(0.0, 0.25, 1.0), reward_terms=dict.fromkeys(module.GOOD.reward_terms, 0.5) | TERMS)


TERMS = {"progress": 1.0, "collision": 0.0, "unsafe": -0.5, "braking": 0.0, "jerk": 0.0}


def test_round_trip_over_several_groups(tmp_path):
    good = _good()
    records = [dataclasses.replace(good, steps=steps, outcome=Outcome.COLLISION if steps % 2 else Outcome.SAFE) for steps in range(150)]
    with EpisodeTableWriter(tmp_path / "part.parquet") as table:
        for record in records:
            table.add(record, phase="train", policy="learning")
    with EpisodeTableWriter(tmp_path / "all.parquet") as table:
        table.add_table(tmp_path / "part.parquet")
        table.add(good, phase="eval", policy="learned")
    assert list(records_of(read_episodes(tmp_path / "all.parquet"))) == [*records, good]
    assert pq.read_table(tmp_path / "all.parquet", columns=["phase"])["phase"].to_pylist() == ["train"] * 150 + ["eval"]


def test_a_foreign_file_is_refused(tmp_path):
    (tmp_path / "x.parquet").write_text("no table")
    with pytest.raises(RunDirectoryError, match=r"x\.parquet"):
        list(read_episodes(tmp_path / "x.parquet"))
    with pytest.raises(RunDirectoryError, match="missing"):
        list(read_episodes(tmp_path / "missing.parquet"))
