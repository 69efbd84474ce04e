"""A node with an env runner on it is lost in the middle of an iteration, and later another one joins: real raylets on one machine."""

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import tempfile

import psutil
import pyarrow.parquet as pq
import pytest
from ray.cluster_utils import Cluster
from test_worker_faults import until
from tests_support import environment


@pytest.fixture
def cluster(monkeypatch):
    """A head and a second node, with a CPU each. All of it belongs to this test, so nobody needs a token."""
    monkeypatch.setenv("RAY_AUTH_MODE", "disabled")
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    # A cluster leaves its address where drivers look for one to join: in a place of its own, or somebody else's would join this one.
    place = tempfile.mkdtemp(prefix="rs")  # short: sockets lie below it
    monkeypatch.setenv("RAY_TMPDIR", place)
    started = Cluster()
    add_node(started, include_dashboard=False)  # the first one is the head
    yield started
    started.shutdown()
    shutil.rmtree(place, ignore_errors=True)


def env_runners_on(node) -> int:
    raylet = psutil.Process(node.all_processes["raylet"][0].process.pid)
    count = 0
    for child in raylet.children(recursive=True):
        with contextlib.suppress(psutil.Error):
            count += "ConvoyEnvRunner" in " ".join(child.cmdline())
    return count


def add_node(cluster, **options):
    """A node with one CPU; Ray gives it 30 s to start, which a busy machine may not have."""
    for _ in range(4):
        try:
            return cluster.add_node(num_cpus=1, **options)
        except Exception as problem:
            if "timed out during startup" not in str(problem):
                raise
    raise AssertionError("no node started")


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_a_lost_node_is_survived_and_a_new_one_is_used(cluster, dataset_dir, tmp_path):
    lost = add_node(cluster)
    cluster.wait_for_nodes()
    root = tmp_path / "run"
    command = [
        sys.executable, "-m", "roadsense", "train", "--dataset_dir", str(dataset_dir), "--output_dir", str(root), "--num_env_runners", "2",
        "--num_envs_per_env_runner", "1", "--n_steps", "200", "--minibatch_size", "200", "--num_epochs", "1", "--total_timesteps", "10000000",
        "--skip_eval", "--set", "task.horizon_s=5", "--set", "task.warm_up_s=2",
    ]  # fmt: skip
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=environment() | {"RAY_ADDRESS": cluster.address},
        start_new_session=True,
    )  # fmt: skip
    try:
        until(process, lambda line: "steps/s" in line and "workers 2" in line, "two workers")
        assert env_runners_on(lost) == 1
        cluster.remove_node(lost, allow_graceful=False)
        until(process, lambda line: "steps/s" in line and "workers 1" in line, "one worker that goes on alone")
        add_node(cluster)
        until(process, lambda line: "workers 2" in line and "restarts 1" in line, "a worker on the new node")
        assert env_runners_on(cluster.head_node) == 1, "the other one is on the new node"
        process.send_signal(signal.SIGTERM)
        output = process.communicate(timeout=200)[0]
        assert process.returncode == 143, output
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
    rows = [row for part in sorted((root / "training_episodes").glob("*")) for row in pq.read_table(part).to_pylist()]
    labels = [row["identity"] for row in rows]
    assert len(set(labels)) == len(labels)
    assert {label.split("/")[1] for label in labels} == {"0", "1"}, "the worker on the new node has a generation of its own"
