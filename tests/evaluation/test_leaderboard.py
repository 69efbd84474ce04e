"""The leaderboard: what is committed belongs together, and whatever does not come out again is named, with exit code 1."""

import importlib.util
import json
import sys

import pytest

from roadsense.artifacts.files import sha256_of
from roadsense.errors import DefectsFoundError, UsageError
from roadsense.model.policy_file import load_policy
from roadsense.scenario.generate import GenerateSettings, generate


@pytest.fixture(scope="module")
def leaderboard(repository):
    """benchmarks/leaderboard.py as a module."""
    spec = importlib.util.spec_from_file_location("leaderboard", repository / "benchmarks" / "leaderboard.py")
    module = importlib.util.module_from_spec(spec)
    sys.modules["leaderboard"] = module  # for pydantic, which looks its annotations up
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def learned(repository):
    """The committed policy."""
    return next((repository / "docs" / "leaderboard").glob("*.zip"))


@pytest.fixture(scope="module")
def driven(tmp_path_factory, leaderboard, learned):
    """A board of two policies on two scenarios, written by driving it."""
    folder = tmp_path_factory.mktemp("board")
    dataset = generate(GenerateSettings(output_dir=folder / "dataset", seed=11, train_count=1, eval_count=2))
    entries = {"never_brake": {"policy": "never_brake"}, "learned": {"policy": str(learned)}}
    content = {"dataset_seed": 11, "dataset_hash": dataset.hash, "rounds": 1, "entries": entries}
    (folder / "board.json").write_text(json.dumps(content))
    (folder / "page.md").write_text(f"# Board\n\n{leaderboard.BEGIN}\n{leaderboard.END}\n\nThe end.\n")
    assert leaderboard.run([*words(folder), "--update"]) == 0
    return folder


def words(folder):
    return ["--board", str(folder / "board.json"), "--page", str(folder / "page.md"), "--dataset_dir", str(folder / "dataset")]


@pytest.fixture
def board(driven, tmp_path):
    """A copy to spoil: the flags, and a function that changes the JSON."""
    for name in ("board.json", "page.md"):
        (tmp_path / name).write_text((driven / name).read_text())

    def change(edit):
        content = json.loads((tmp_path / "board.json").read_text())
        edit(content)
        (tmp_path / "board.json").write_text(json.dumps(content))

    return [*words(tmp_path)[:-1], str(driven / "dataset")], change


def test_what_is_committed_belongs_together(leaderboard, repository):
    board = leaderboard.Leaderboard.load_json(repository / "docs" / "leaderboard" / "leaderboard.json")
    page = repository / "docs" / "leaderboard.md"
    assert leaderboard.page_with(page.read_text(), leaderboard.table(board), page) == page.read_text()
    assert board.dataset_hash[:12] in page.read_text()
    files = {entry.policy: entry.sha256 for entry in board.entries.values() if entry.policy.endswith(".zip")}
    assert files and all(sha256_of(repository / name) == digest for name, digest in files.items())
    for name in files:
        assert (repository / name).stat().st_size < 100_000
        assert load_policy(repository / name).metadata["training_timesteps"] > 0
    assert all(entry.figures is not None for entry in board.entries.values())
    assert leaderboard.youden(board.entries["never_brake"].figures) == leaderboard.youden(board.entries["always_brake"].figures) == 0


def test_the_named_dataset_is_the_one_that_is_generated(leaderboard, repository, tmp_path):
    board = leaderboard.Leaderboard.load_json(repository / "docs" / "leaderboard" / "leaderboard.json")
    assert leaderboard._dataset(board, None, tmp_path).hash == board.dataset_hash


def test_it_comes_out_again(leaderboard, driven, capsys):
    assert leaderboard.run(words(driven)) == 0
    assert "every figure is the committed one" in capsys.readouterr().out
    text = (driven / "page.md").read_text()
    assert text.startswith("# Board") and text.endswith("The end.\n") and "| **learned** |" in text and "| never_brake |" in text


def test_a_figure_that_differs_is_named(leaderboard, board):
    flags, change = board
    change(lambda content: content["entries"]["never_brake"]["figures"].update(avg_progress_m=1.5))
    with pytest.raises(DefectsFoundError) as refused:
        leaderboard.run([*flags, "--only", "never_brake"])
    assert refused.value.exit_code == 1
    assert "never_brake: avg_progress_m is " in str(refused.value) and "committed is 1.5" in str(refused.value)
    assert "the table is not that of" in str(refused.value)  # the page shows what was committed before


def refuse_to_drive(*_):
    raise AssertionError("refused before anything is driven")


def test_another_dataset_is_refused_before_anything_is_driven(leaderboard, board, monkeypatch):
    monkeypatch.setattr(leaderboard, "drive", refuse_to_drive)
    flags, change = board
    change(lambda content: content.update(dataset_hash="0" * 64))
    with pytest.raises(DefectsFoundError, match=r"the dataset hash is \w{12}, the board is for 0{12}"):
        leaderboard.run(flags)


def test_another_file_and_what_is_no_board_are_refused(leaderboard, board, monkeypatch, tmp_path):
    monkeypatch.setattr(leaderboard, "drive", refuse_to_drive)
    flags, change = board
    with pytest.raises(UsageError, match="the board has no nobody"):
        leaderboard.run([*flags, "--only", "nobody"])
    with pytest.raises(UsageError, match="is no NAME=POLICY"):
        leaderboard.run([*flags, "--add", "nobody"])
    (tmp_path / "large.zip").write_bytes(bytes(100_001))
    with pytest.raises(UsageError, match="100,001 bytes"):
        leaderboard.run([*flags, "--add", f"large={tmp_path / 'large.zip'}"])
    change(lambda content: content["entries"]["learned"].update(sha256="0" * 64))
    with pytest.raises(DefectsFoundError, match="is not the file that was judged"):
        leaderboard.run(flags)
    (tmp_path / "page.md").write_text("no markers")
    with pytest.raises(UsageError, match="lacks the markers"):
        leaderboard.page_with("no markers", "", tmp_path / "page.md")
