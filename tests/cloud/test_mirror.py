"""A run directory that is copied to S3 while it grows: real training, an S3 that goes away meanwhile, and going on from s3://."""

import json
import re
import shutil
import sys
import threading
import time
from pathlib import Path

import pytest
from cloud_support import BUCKET

sys.path.insert(0, str(Path(__file__).parent.parent / "integration"))

from tests_support import SMALL, environment, metrics, roadsense, start, wait_for_line

from roadsense.cloud.mirror import RunMirror, fetch_run
from roadsense.cloud.object_store import ObjectStore
from roadsense.errors import RunDirectoryError

ADDRESS = f"s3://{BUCKET}/runs/one"


def checkpoint(root, step, *, complete=True):
    folder = root / "checkpoints" / f"step_{step:09d}"
    folder.mkdir(parents=True)
    (folder / "state").write_text(str(step))
    if complete:
        (folder / "roadsense.json").write_text("{}")


def keys(prefix=""):
    return [file.key for file in ObjectStore(ADDRESS).list(prefix)]


def test_a_growing_run_is_copied_and_what_is_dropped_here_is_dropped_there(aws, tmp_path):
    checkpoint(tmp_path, 1)
    (tmp_path / "config.json").write_text("{}")
    with RunMirror(tmp_path, ADDRESS, look_every_s=0.1) as mirror:
        until(lambda: "checkpoints/step_000000001/roadsense.json" in keys())
        checkpoint(tmp_path, 2)
        for path in sorted((tmp_path / "checkpoints" / "step_000000001").iterdir()):
            path.unlink()
        until(lambda: not any("step_000000001" in key for key in keys()))
        (tmp_path / "progress.csv").write_text("a")
    assert mirror.failures == 0
    assert keys() == ["checkpoints/step_000000002/roadsense.json", "checkpoints/step_000000002/state", "config.json", "progress.csv"]


def test_the_marker_of_a_checkpoint_comes_last(aws, tmp_path, monkeypatch):
    checkpoint(tmp_path, 1)
    order = []
    monkeypatch.setattr(ObjectStore, "put", lambda self, source, key: order.append(key))
    (tmp_path / "generations.json").write_text("{}")
    (tmp_path / "progress.csv").write_text("")
    (tmp_path / "training_episodes").mkdir()
    (tmp_path / "training_episodes" / "until_1.parquet").write_text("")
    RunMirror(tmp_path, ADDRESS).copy()
    step = "checkpoints/step_000000001"
    assert order == ["generations.json", "training_episodes/until_1.parquet", f"{step}/state", f"{step}/roadsense.json", "progress.csv"]


def test_unfinished_files_are_left_alone(aws, tmp_path):
    (tmp_path / "checkpoints" / ".unfinished-step_000000003").mkdir(parents=True)
    (tmp_path / "checkpoints" / ".unfinished-step_000000003" / "state").write_text("half")
    (tmp_path / ".metrics.json.abc").write_text("half")
    RunMirror(tmp_path, ADDRESS).copy()
    assert keys() == []


def test_a_fetched_run_has_only_whole_checkpoints_and_draws_nothing_twice(aws, tmp_path):
    run = tmp_path / "run"
    checkpoint(run, 1)
    checkpoint(run, 2, complete=False)
    (run / "config.json").write_text("{}")
    (run / "generations.json").write_text('{"last": 3}')
    RunMirror(run, ADDRESS).copy()
    fetched = fetch_run(ADDRESS, tmp_path / "fetched")
    assert [path.name for path in (fetched / "checkpoints").iterdir()] == ["step_000000001"]
    assert json.loads((fetched / "generations.json").read_text())["last"] > 3
    with pytest.raises(RunDirectoryError, match="holds no run"):
        fetch_run(f"s3://{BUCKET}/runs/none", tmp_path / "none")


@pytest.mark.ci
def test_a_training_whose_s3_fails_for_a_while_loses_nothing_and_goes_on_from_there(gate, dataset_dir, tmp_path):
    """Shut for 20 s in the middle of a real training (a minute in reality; the last copy is patient for three)."""
    shut_s = 20
    moved = shutil.copytree(dataset_dir, tmp_path / "moved")
    process = start(
        "train", "--dataset_dir", moved, "--output_dir", ADDRESS, *SMALL, "--total_timesteps", 4800, "--checkpoint_every", 800,
        "--eval_episodes", 1, cwd=tmp_path,
    )  # fmt: skip
    lines = wait_for_line(process, "1,600/4,800", 200)
    gate.shut()
    closed = time.monotonic()
    threading.Timer(shut_s, gate.open).start()
    rest, _ = process.communicate(timeout=240)
    assert process.returncode == 0, "".join(lines) + rest
    assert time.monotonic() - closed >= shut_s - 1, "the end waits for the store"
    local = tmp_path / "runs" / "one"
    here = {path.relative_to(local).as_posix(): path.stat().st_size for path in local.rglob("*") if path.is_file()}
    stored = {file.key: file.size_bytes for file in ObjectStore(ADDRESS).list()}
    dataset = {f"dataset/{path.relative_to(moved).as_posix()}": path.stat().st_size for path in moved.rglob("*") if path.is_file()}
    assert stored == here | dataset
    assert any(re.match(r"tensorboard/events", key) for key in here)

    # Another machine: neither the run nor its dataset is there.
    shutil.rmtree(moved)
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    done = roadsense(
        "train",
        "--resume",
        ADDRESS,
        "--total_timesteps",
        5600,
        "--skip_eval",
        cwd=elsewhere,
        env=environment() | {"ROADSENSE_CACHE": str(tmp_path / "cache")},
    )
    assert done.returncode == 0, done.stderr
    newest = max(path.name for path in (local / "checkpoints").glob("step_*"))
    assert int(newest.removeprefix("step_")) >= 4800
    assert f"resumed from: {newest}" in done.stderr
    assert metrics(elsewhere / "runs" / "one")["training"]["training_timesteps"] >= 5600
    resumed = max(path.name for path in (elsewhere / "runs" / "one" / "checkpoints").glob("step_*"))
    assert resumed > newest
    assert any(resumed in key for key in keys("checkpoints")), "the resumed run is copied to where it came from"


def until(condition, timeout_s=30):
    end = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.1)
