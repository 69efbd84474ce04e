"""A real training among faults: simulators killed and stopped, a worker killed in the middle of a fragment, a scenario that SUMO cannot load."""

import contextlib
import os
import shutil
import signal
import time

import psutil
import pyarrow.parquet as pq
import pytest
from tests_support import metrics, start, wait_for_line

GONE_WITHIN_S = 10.0


@pytest.fixture
def copied_dataset(dataset_dir, tmp_path):
    return shutil.copytree(dataset_dir, tmp_path / "dataset")


def processes(process, name: str) -> list[psutil.Process]:
    found = []
    for child in psutil.Process(process.pid).children(recursive=True):
        with contextlib.suppress(psutil.Error):
            if name in " ".join(child.cmdline()) or child.name() == name:
                found.append(child)
    return found


def until(process, condition, text: str, timeout_s: float = 240.0) -> str:
    """Read lines until one fulfils the condition."""
    lines = []
    deadline_s = time.monotonic() + timeout_s
    for line in process.stdout:
        lines.append(line)
        if condition(line):
            return line
        if time.monotonic() > deadline_s:
            break
    raise AssertionError(f"no line with {text} in:\n{''.join(lines)}")


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_a_training_survives_whatever_happens_to_its_workers(copied_dataset, tmp_path):
    root = tmp_path / "run"
    process = start(
        "train", "--dataset_dir", copied_dataset, "--output_dir", root, "--num_env_runners", 2, "--num_envs_per_env_runner", 2, "--n_steps", 200,
        "--minibatch_size", 200, "--num_epochs", 1, "--total_timesteps", 1_000_000, "--skip_eval", "--set", "sumo.timeout_s=2",
        "--set", "task.horizon_s=7.3", "--set", "task.warm_up_s=2",  # no episode ends with a fragment: a simulator that dies is missed at once
    )  # fmt: skip
    try:
        wait_for_line(process, "steps/s", timeout_s=200)
        simulators = [child for child in processes(process, "sumo") if child.name() == "sumo"]
        assert len(simulators) >= 4
        simulators[0].send_signal(signal.SIGKILL)
        until(process, lambda line: "  faults 1" in line, "a killed simulator")
        stopped = [child for child in processes(process, "sumo") if child.name() == "sumo"][1]
        stopped.send_signal(signal.SIGSTOP)
        until(process, lambda line: "  faults 2" in line, "a stopped simulator")
        assert psutil.wait_procs([stopped], timeout=GONE_WITHIN_S)[1] == []

        worker = processes(process, "ConvoyEnvRunner")[0]
        orphans = worker.children(recursive=True)
        began_s = time.monotonic()
        worker.send_signal(signal.SIGKILL)
        until(process, lambda line: "workers 1" in line or "restarts 1" in line, "the other worker alone")
        until(process, lambda line: "restarts 1" in line and "workers 2" in line, "both workers")
        assert time.monotonic() - began_s < 100.0
        assert psutil.wait_procs(orphans, timeout=GONE_WITHIN_S)[1] == []

        # After the workers have read the dataset: SUMO itself is what fails.
        broken = sorted((copied_dataset / "train").iterdir())[0]
        (broken / "network.net.xml").write_text("<net>")
        line = until(process, lambda line: "is left out" in line, "quarantine")
        assert broken.name in line and "3 failures in a row" in line
        until(process, lambda line: "quarantined 1" in line, "the count")
        process.send_signal(signal.SIGTERM)
        output = process.communicate(timeout=200)[0]
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
    assert process.returncode == 143, output
    assert f"left out of the training: {broken.name}" in " ".join(output.split())
    assert "Traceback" not in output
    content = metrics(root)["training"]
    assert list(content["quarantined"]) == [broken.name]
    assert content["faults"] == 5 and content["worker_restarts"] == 1 and content["workers_dropped"] == 0
    rows = [row for part in sorted((root / "training_episodes").glob("*")) for row in pq.read_table(part).to_pylist()]
    labels = [row["identity"] for row in rows]
    assert len(set(labels)) == len(labels)
    assert {label.split("/")[1] for label in labels} == {"0", "1"}


@pytest.mark.timeout(400)
def test_a_second_signal_ends_everything_at_once(dataset_dir, tmp_path):
    process = start(
        "train", "--dataset_dir", dataset_dir, "--output_dir", tmp_path / "run", "--num_env_runners", 1, "--num_envs_per_env_runner", 2,
        "--n_steps", 1_000_000, "--total_timesteps", 10_000_000, "--skip_eval",
    )  # fmt: skip
    try:
        children = second_signal(process)
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
    assert psutil.wait_procs(children, timeout=GONE_WITHIN_S)[1] == []


def second_signal(process) -> list[psutil.Process]:
    """Signal twice; everything that the driver had started."""
    deadline_s = time.monotonic() + 200
    while not [child for child in processes(process, "sumo") if child.name() == "sumo"]:
        assert process.poll() is None and time.monotonic() < deadline_s
        time.sleep(0.2)
    children = psutil.Process(process.pid).children(recursive=True)
    process.send_signal(signal.SIGTERM)
    time.sleep(0.5)
    assert process.poll() is None, "the iteration goes on for hours, and the first signal waits for its end"
    process.send_signal(signal.SIGTERM)
    process.wait(GONE_WITHIN_S)
    assert process.returncode == 128 + signal.SIGTERM
    return children
