"""The main job as a recipe: it joins a running Ray cluster unchanged, and its workers find package and dataset."""

import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest
from tests_support import SMALL, environment

from roadsense.training.cluster import running_cluster


@pytest.fixture
def ray_head():
    """A real head started by `ray start`, as `ray up` would, with its files in a place of its own (short: sockets lie below it)."""
    ray = str(Path(sys.executable).with_name("ray"))
    place = Path(tempfile.mkdtemp(prefix="rs"))
    env = {key: value for key, value in environment().items() if key != "RAY_ADDRESS"} | {"RAY_TMPDIR": str(place)}
    command = [ray, "start", "--head", "--port=0", "--num-cpus=2", "--include-dashboard=false", "--temp-dir", str(place / "ray"), "--block"]
    head = subprocess.Popen(command, env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, start_new_session=True)
    for line in head.stdout:
        if "Ray runtime started" in line:
            break
    yield env
    head.terminate()
    head.communicate(timeout=60)
    shutil.rmtree(place)


def test_without_a_cluster_there_is_nothing_to_join(monkeypatch, tmp_path):
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    monkeypatch.setenv("RAY_TMPDIR", str(tmp_path))
    assert running_cluster() is None
    (tmp_path / "ray").mkdir()
    (tmp_path / "ray" / "ray_current_cluster").write_text("127.0.0.1:1")  # left behind by a head that died
    assert running_cluster() is None
    monkeypatch.setenv("RAY_ADDRESS", "10.0.0.1:6379")
    assert running_cluster() == "10.0.0.1:6379"
    monkeypatch.setenv("RAY_ADDRESS", "local")
    assert running_cluster() is None


def test_the_recipe_joins_a_running_cluster(ray_head, repository, tmp_path):
    """Run from another folder and without the package on the path of the workers' working directory, as after `ray submit`."""
    script = tmp_path / "ppo_convoy.py"
    script.write_text((repository / "experiments" / "ppo_convoy.py").read_text())
    command = [
        sys.executable, str(script), *map(str, SMALL), "--total_timesteps", "800", "--train_count", "6", "--eval_count", "2", "--eval_episodes", "1",
        "--output_dir", str(tmp_path / "run"), "--skip_check",
    ]  # fmt: skip
    done = subprocess.run(command, env=ray_head | {"PYTHONPATH": ""}, cwd=tmp_path, capture_output=True, text=True, timeout=200)
    assert done.returncode == 0, done.stderr
    assert "joined the Ray cluster at" in done.stderr
    assert (tmp_path / "run" / "model_final.zip").exists()
    assert list((tmp_path / "scenarios" / "datasets").iterdir())


SHIPPED = """
import sys
from pathlib import Path
import ray
from roadsense.scenario.dataset import Dataset
from roadsense.training.cluster import ray_cluster

@ray.remote
def on_a_node(dataset_dir, expected_hash):
    import roadsense
    from roadsense.training.dataset_transport import open_training_dataset
    dataset = open_training_dataset(dataset_dir, None, "V001", expected_hash)
    dataset.train[0].options()
    return roadsense.__file__, str(dataset.directory), len(dataset.train)

dataset_dir = Path(sys.argv[1])
expected = Dataset.load(dataset_dir).hash
with ray_cluster(2, dataset_dir, dashboard=False) as cluster:
    assert cluster.address is not None
    ray.get(ray.remote(lambda: None).remote())  # the job's files are on the node from here on
    dataset_dir.rename(dataset_dir.with_name("gone"))
    for part in ray.get(on_a_node.remote(dataset_dir, expected)):
        print(part)
"""


def test_a_node_without_the_dataset_gets_package_and_dataset_from_the_driver(ray_head, dataset_dir, tmp_path):
    """The path of the dataset is gone before a worker looks for it, as on another machine."""
    copy = shutil.copytree(dataset_dir, tmp_path / "dataset")
    done = subprocess.run([sys.executable, "-c", SHIPPED, str(copy)], env=ray_head, capture_output=True, text=True, timeout=200)
    assert done.returncode == 0, done.stderr
    package, found, scenarios = done.stdout.split()[-3:]
    assert "runtime_resources" in package and "runtime_resources" in found
    assert scenarios == "12"
