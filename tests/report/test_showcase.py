"""What `--report` leaves in a run directory."""

import json
import shutil
import sys

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from roadsense.cli import main
from roadsense.report import showcase
from roadsense.report.showcase import telling_episode, write_showcase

OWN = "experiments.own_parts:keep_distance"  # what conftest has evaluated


def row(policy, identity, outcome, *, kind="braking", rank=1, fired=True):
    return {
        "policy": policy,
        "identity": identity,
        "outcome": outcome,
        "hazard_fired": fired,
        "hazard_kind": kind if fired else None,
        "hazard_rank": rank if fired else None,
    }


def episodes(*drawn):
    """Rows of the learned policy, of never_brake and of the radar; each drawn one is (outcome, never_brake's, the radar's, what it was)."""
    rows = [row("learned", "train:0", "safe")]
    for column, policy in enumerate(("learned", "never_brake", "ttc_leader")):
        rows += [row(policy, f"eval:{number}", one[column], **one[3]) for number, one in enumerate(drawn)]
    return rows


CRASH, SAFE = "collision", "safe"


@pytest.mark.parametrize(
    ("drawn", "expected"),
    [
        ([(SAFE, SAFE, SAFE, {}), (CRASH, CRASH, CRASH, {}), (SAFE, SAFE, SAFE, {"fired": False})], None),
        ([(SAFE, SAFE, SAFE, {}), (SAFE, CRASH, SAFE, {}), (SAFE, CRASH, SAFE, {})], 1),
        ([(SAFE, CRASH, SAFE, {}), (SAFE, CRASH, SAFE, {"rank": 3})], 1),
        ([(SAFE, CRASH, SAFE, {"rank": 3}), (SAFE, CRASH, SAFE, {"rank": 2, "kind": "pile_up"})], 1),
        ([(SAFE, CRASH, CRASH, {}), (SAFE, CRASH, SAFE, {"rank": 2, "kind": "pile_up"})], 0),
        ([], None),
    ],
)
def test_the_episode_is_one_in_which_hearing_saved_the_car(drawn, expected):
    assert telling_episode(episodes(*drawn)) == (None if expected is None else 1 + expected)  # a training episode comes first


@pytest.fixture
def run(run_like, tmp_path):
    """A copy of it, whose policy has learned what it does."""
    copy = shutil.copytree(run_like, tmp_path / "run")
    path = copy / "episodes.parquet"
    table = pq.read_table(path)
    place = table.schema.get_field_index("policy")
    names = ["learned" if name == OWN else name for name in table["policy"].to_pylist()]
    pq.write_table(table.set_column(place, table.schema.field(place), pa.array(names, table.schema.field(place).type)), path)
    metrics = json.loads((copy / "metrics.json").read_text())
    (copy / "metrics.json").write_text(json.dumps(metrics | {"policy": "learned"}))
    return copy


def test_report_and_animation_lie_in_the_run(run):
    said = []
    assert write_showcase(run, said.append) == [run / "report.html", run / "episode.gif"]
    assert "<html" in (run / "report.html").read_text()[:300]
    with Image.open(run / "episode.gif") as animation:
        assert animation.n_frames > 20
    assert said


def test_without_a_telling_episode_there_is_the_report(run, monkeypatch):
    monkeypatch.setattr(showcase, "telling_episode", lambda rows: None)
    assert write_showcase(run) == [run / "report.html"]
    assert not (run / "episode.gif").exists()


def test_what_cannot_be_shown_is_refused_before_the_training(capsys, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    assert main(["pipeline", "--report", "--skip_eval"]) == 2
    assert "--skip_eval" in capsys.readouterr().err
    monkeypatch.setitem(sys.modules, "PIL", None)
    assert main(["pipeline", "--report"]) == 4
    assert "pip install 'roadsense[report]'" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []
