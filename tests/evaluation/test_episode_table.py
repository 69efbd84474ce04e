"""Episodes on disk: what goes in comes out, in order."""

import dataclasses

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from roadsense.env.outcome import Outcome
from roadsense.env.record import EpisodeRecord
from roadsense.errors import RunDirectoryError
from roadsense.evaluation.episode_table import SCHEMA, EpisodeTableWriter, evaluation_records, read_episodes, records_of


def write(path, records, phase="eval", policy="learned"):
    with EpisodeTableWriter(path) as table:
        for record in records:
            table.add(record, phase=phase, policy=policy)
    return path


def test_the_table_holds_every_field_of_a_record():
    assert set(SCHEMA.names) == {field.name for field in dataclasses.fields(EpisodeRecord)} | {"phase", "policy"}


def test_round_trip_over_several_groups(tmp_path, good_episode):
    outcomes = [Outcome.COLLISION, Outcome.SAFE]
    records = [dataclasses.replace(good_episode, steps=steps, outcome=outcomes[steps % 2]) for steps in range(150)]
    write(tmp_path / "part.parquet", records, phase="train", policy="learning")
    with EpisodeTableWriter(tmp_path / "all.parquet") as table:
        table.add_table(tmp_path / "part.parquet")
        table.add(good_episode, phase="eval", policy="learned")
    assert list(records_of(read_episodes(tmp_path / "all.parquet"))) == [*records, good_episode]
    assert pq.read_table(tmp_path / "all.parquet", columns=["phase"])["phase"].to_pylist() == ["train"] * 150 + ["eval"]


def test_reward_terms_of_any_name_and_number(tmp_path, good_episode):
    terms = [{}, {"progress": 1.0, "collision": -0.5}, {"my_own_term": 2.0}]
    records = [dataclasses.replace(good_episode, reward_terms=some) for some in terms]
    assert [record.reward_terms for record in records_of(read_episodes(write(tmp_path / "t.parquet", records)))] == terms


def test_what_did_not_happen_comes_back_as_none(tmp_path, good_episode):
    nothing = dataclasses.replace(
        good_episode,
        hazard_kind=None,
        hazard_onset_s=None,
        hazard_rank=None,
        hazard_decel_mps2=None,
        hazard_heard_s=None,
        reaction_s=None,
        min_gap_m=None,
        min_time_to_collision_s=None,
        peak_braking_mps2=None,
    )
    assert list(records_of(read_episodes(write(tmp_path / "t.parquet", [nothing])))) == [nothing]


def test_evaluation_episodes_by_policy_without_their_actions(tmp_path, good_episode):
    other = dataclasses.replace(good_episode, steps=3)
    with EpisodeTableWriter(tmp_path / "t.parquet") as table:
        table.add(good_episode, phase="train", policy="learning")
        table.add(good_episode, phase="eval", policy="learned")
        table.add(other, phase="eval", policy="never_brake")
        table.add(other, phase="eval", policy="learned")
    expected = [dataclasses.replace(record, actions=()) for record in (good_episode, other)]
    assert evaluation_records(tmp_path / "t.parquet") == {"learned": expected, "never_brake": expected[1:]}


def test_a_table_without_evaluation_is_refused(tmp_path, good_episode):
    with pytest.raises(RunDirectoryError, match="holds no evaluation episode"):
        evaluation_records(write(tmp_path / "t.parquet", [good_episode], phase="train"))


def test_a_foreign_file_is_refused(tmp_path):
    (tmp_path / "x.parquet").write_text("no table")
    with pytest.raises(RunDirectoryError, match=r"x\.parquet"):
        list(read_episodes(tmp_path / "x.parquet"))
    with pytest.raises(RunDirectoryError, match="missing"):
        list(read_episodes(tmp_path / "missing.parquet"))


def test_a_table_of_another_version_is_refused_with_what_differs(tmp_path, good_episode):
    path = write(tmp_path / "t.parquet", [good_episode])
    table = pq.read_table(path).drop_columns(["unsafe_steps"]).append_column("invented", pa.array([1]))
    pq.write_table(table.set_column(table.schema.get_field_index("steps"), "steps", pa.array([400.0])), path)
    words = r"missing \['unsafe_steps'\], unknown \['invented'\], of another type \['steps'\]"
    with pytest.raises(RunDirectoryError, match=words):
        list(read_episodes(path))
    with pytest.raises(RunDirectoryError, match=words), EpisodeTableWriter(tmp_path / "all.parquet") as writer:
        writer.add_table(path)
