"""The disk fills up, the run directory vanishes: the training says so, goes on as long as that makes sense, and loses nothing."""

import csv
import os
import subprocess
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from roadsense.cli import main
from roadsense.errors import RunDirectoryError
from roadsense.model.weights import weights_sha256
from roadsense.training import checkpoint as checkpoints
from roadsense.training.algorithm import build, ppo_config
from roadsense.training.cluster import ray_cluster
from roadsense.training.env_runner import RolloutSettings
from roadsense.training.generations import Generations
from roadsense.training.plan import plan_training
from roadsense.training.run_files import prepare
from roadsense.training.settings import TrainSettings
from roadsense.training.train import TrainingRun

needs_root = [pytest.mark.root, pytest.mark.skipif(os.geteuid() != 0, reason="mounting a small file system needs root")]
SMALL = {
    "n_steps": 40, "num_envs_per_env_runner": 1, "num_env_runners": 0, "checkpoint_every": 40, "total_timesteps": 10**9, "num_epochs": 1,
    "minibatch_size": 40, "skip_eval": True, "task": {"warm_up_s": 2.0, "horizon_s": 2.0},
}  # fmt: skip


@pytest.fixture(scope="module")
def algorithm(dataset_dir, tmp_path_factory):
    """One algorithm in this process for all tests; every test has a run of its own around it."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RAY_ADDRESS", "local")
        plan = plan_training(TrainSettings(dataset_dir=dataset_dir, output_dir=tmp_path_factory.mktemp("storage") / "run", **SMALL))
        settings = plan.settings
        rollout = RolloutSettings(
            dataset_dir=dataset_dir, sumo_cfg=None, dataset_hash=plan.dataset.hash, ego_id="V001", emulator_params=None, sumo=settings.sumo,
            task=settings.task, run_seed=1, generation=0, num_workers=1,
        )  # fmt: skip
        with ray_cluster(0, None, dashboard=False):
            built = build(ppo_config(settings, rollout, 0, Generations(tmp_path_factory.mktemp("generations") / "generations.json")))
            yield built
            built.stop()


@pytest.fixture
def small_disk(tmp_path):
    """A file system of 128 MB: a training wants 100 MB to begin."""
    place = tmp_path / "disk"
    place.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=128m", "tmpfs", str(place)], check=True)
    yield place
    subprocess.run(["umount", "-l", str(place)], check=True)


class Script:
    """Stands in for the signals: does one thing before every iteration, and asks to stop after the last one."""

    def __init__(self, *actions):
        self.actions = list(actions)

    def requested(self) -> bool:
        if not self.actions:
            return True
        self.actions.pop(0)()
        return False


def nothing() -> None:
    pass


def fill(place: Path):
    def act() -> None:
        with (place / "ballast").open("wb", buffering=0) as file:
            for size in (1 << 20, 1 << 12, 1):
                try:
                    while True:
                        file.write(bytes(size))
                except OSError:
                    continue
            # The episodes of an iteration find room, and then the checkpoint finds none.
            file.truncate(file.tell() - 100_000)

    return act


def begin(algorithm, dataset_dir, root):
    plan = plan_training(TrainSettings(dataset_dir=dataset_dir, output_dir=root, **SMALL))
    prepare(plan)
    said = []
    generations = Generations(plan.layout.generations)
    generations.next()
    return plan, TrainingRun(plan, algorithm, plan.starting_state(), generations, said.append), said


def identities(root) -> list[str]:
    return [row["identity"] for part in sorted((root / "training_episodes").glob("*")) for row in pq.read_table(part).to_pylist()]


@pytest.mark.parametrize("where", [pytest.param("full", marks=needs_root)])
def test_a_full_disk_that_is_freed_in_time_leaves_no_trace(algorithm, dataset_dir, small_disk, where):
    plan, run, said = begin(algorithm, dataset_dir, small_disk / "run")
    algorithm.env_runner.pop_report()
    summary = run.run(Script(nothing, fill(small_disk), nothing, (small_disk / "ballast").unlink, nothing))
    tries = [line for line in said if "tries again" in line]
    assert len(tries) == 2, said
    assert "(1 of 5)" in tries[0] and "(2 of 5)" in tries[1]
    rows = list(csv.DictReader(plan.layout.progress.open()))
    assert [int(row["iteration"]) for row in rows] == [1, 2, 3, 4, 5]
    assert checkpoints.latest(plan.layout).state.timesteps == summary.training_timesteps == int(rows[-1]["timesteps"])
    assert not [path for path in plan.layout.checkpoints.iterdir() if path.name.startswith(".")]
    found = identities(plan.layout.root)
    assert len(set(found)) == len(found) == summary.episodes > 0


@pytest.mark.parametrize("where", [pytest.param("full", marks=needs_root)])
def test_a_disk_that_stays_full_ends_in_a_rescued_run_that_can_be_resumed(algorithm, dataset_dir, small_disk, where, monkeypatch, tmp_path):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    plan, run, _ = begin(algorithm, dataset_dir, small_disk / "run")
    algorithm.env_runner.pop_report()
    with pytest.raises(RunDirectoryError) as raised:
        run.run(Script(nothing, fill(small_disk), nothing))
    assert len(str(raised.value).splitlines()) == 1 and "No space left" in str(raised.value)
    check_rescue(algorithm, plan, str(raised.value), run)
    assert checkpoints.latest(plan.layout).state.timesteps < run._state.timesteps


def test_a_run_directory_that_vanishes_is_not_made_up_again(algorithm, dataset_dir, tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    plan, run, said = begin(algorithm, dataset_dir, tmp_path / "run")
    algorithm.env_runner.pop_report()
    with pytest.raises(RunDirectoryError, match="the run directory is gone") as raised:
        run.run(Script(nothing, lambda: plan.layout.root.rename(tmp_path / "elsewhere"), *[nothing] * 20))
    assert len([line for line in said if "tries again" in line]) == 4
    assert sum("progress cannot be written" in line for line in said) == 1
    assert not plan.layout.root.exists()
    check_rescue(algorithm, plan, str(raised.value), run)


def check_rescue(algorithm, plan, message, run):
    """The command in the message goes on with exactly the training that could not be saved."""
    root = Path(message.rpartition("--resume ")[2])
    resumed = plan_training(
        TrainSettings.load_json(root / "config.json").model_copy(update={"resume": root, "output_dir": None, "run_id": None})
    )
    assert resumed.checkpoint.state.timesteps == run._state.timesteps
    assert resumed.checkpoint.state.episodes == run._recent.episodes
    wanted = weights_sha256(algorithm.get_module().network)
    algorithm.train()
    assert weights_sha256(algorithm.get_module().network) != wanted
    checkpoints.restore(algorithm, resumed.checkpoint)
    assert weights_sha256(algorithm.get_module().network) == wanted
    found = identities(root)
    assert found and len(set(found)) == len(found)


@pytest.mark.parametrize("where", [pytest.param("read-only", marks=needs_root)])
def test_a_read_only_place_is_refused_before_anything_starts(dataset_dir, small_disk, where, capsys):
    subprocess.run(["mount", "-o", "remount,ro", str(small_disk)], check=True)
    assert main(["train", "--dataset_dir", str(dataset_dir), "--output_dir", str(small_disk / "run")]) == 2
    error = capsys.readouterr().err
    assert "read-only" in error and len(error.splitlines()) == 1


def test_the_best_checkpoint_outlives_the_newest(algorithm, dataset_dir, tmp_path):
    plan, _, _ = begin(algorithm, dataset_dir, tmp_path / "run")
    returns = [1.0, 7.0, None, 2.0, 3.0, 6.5]
    for number, value in enumerate(returns):
        state = plan.starting_state().model_copy(update={"timesteps": number, "recent_return": value})
        checkpoints.save(algorithm, state, plan.layout, keep=2)
    assert [path.name for path in sorted(plan.layout.checkpoints.iterdir())] == ["step_000000001", "step_000000004", "step_000000005"]


def test_what_a_kill_left_half_written_or_half_removed_is_never_read(algorithm, dataset_dir, tmp_path):
    plan, _, _ = begin(algorithm, dataset_dir, tmp_path / "run")
    saved = checkpoints.save(algorithm, plan.starting_state().model_copy(update={"timesteps": 5}), plan.layout, keep=2)
    for name in (".unfinished-step_000000009", ".removed-step_000000008"):
        (plan.layout.checkpoints / name).mkdir()
        (plan.layout.checkpoints / name / "roadsense.json").write_text("{}")
    (plan.layout.checkpoints / "step_000000010").mkdir()  # not ours: without a state it is none
    assert checkpoints.latest(plan.layout).path == saved.path
    checkpoints.save(algorithm, plan.starting_state().model_copy(update={"timesteps": 11}), plan.layout, keep=2)
    assert not [path for path in plan.layout.checkpoints.iterdir() if path.name.startswith(".")]
