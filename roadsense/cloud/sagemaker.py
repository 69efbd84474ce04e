"""`train` in the image: SageMaker's container contract around the ordinary training.

::

    /opt/ml/input/config/hyperparameters.json   flags of `roadsense pipeline`, all values are strings
    /opt/ml/input/config/resourceconfig.json    this host and all hosts; several form one Ray cluster with the first as its head
    /opt/ml/input/data/dataset/                 channel with a dataset (optional; else one is generated)
    /opt/ml/checkpoints/                        copied to S3 by SageMaker while the job runs, and back before a spot job goes on
    /opt/ml/model/                              what becomes model.tar.gz
    /opt/ml/output/failure                      one line with the reason, exit code 1

The training is a child process: this one only passes SIGTERM on (managed spot gives two minutes), prints metric lines for SageMaker's
regular expressions, and brings results where SageMaker looks for them.
"""

from __future__ import annotations

import csv
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from roadsense.artifacts.layout import RunLayout
from roadsense.cloud.mirror import skip_generations
from roadsense.config import read_json_object
from roadsense.errors import ConfigError, RoadSenseError

DATASET_CHANNEL: Final = "dataset"
_PORT: Final = 6379
_HEAD_PATIENCE_S: Final = 600.0
_LOOK_EVERY_S: Final = 2.0
_COUNT_HOSTS: Final = """
import ray, sys, time
ray.init(log_to_driver=False)
end = time.monotonic() + float(sys.argv[2])
while sum(node["Alive"] for node in ray.nodes()) < int(sys.argv[1]):
    if time.monotonic() > end:
        sys.exit(1)
    time.sleep(1)
"""
_RESULTS: Final = ("model_final.zip", "metrics.json", "config.json", "manifest.json", "provenance.json", "progress.csv", "episodes.parquet")
_FAILURE_CHARACTERS: Final = 1000  # SageMaker shows the first 1024
# Columns of progress.csv -> names in the metric lines.
METRICS: Final = {
    "timesteps": "timesteps",
    "steps_per_s": "steps_per_s",
    "episode_return": "episode_return",
    "collision_rate": "collision_rate",
    "hazard_collision_rate": "hazard_collision_rate",
    "false_braking_rate": "false_braking_rate",
}


def metric_definitions() -> list[dict[str, str]]:
    """What CreateTrainingJob is told, so that its tuner and its console find the figures of `metric_line`."""
    names = [*METRICS.values(), "eval_collision_rate", "eval_mean_return"]
    return [{"Name": f"roadsense:{name}", "Regex": rf"\broadsense_metric .*\b{name}=([-+0-9.eE]+);"} for name in names]


def metric_line(values: Mapping[str, Any]) -> str:
    """One line of figures; what is not known is left out."""
    parts = [f"{name}={float(value):.6g};" for name, value in values.items() if value not in (None, "")]
    return f"roadsense_metric {' '.join(parts)}"


def command_line(root: Path) -> list[str]:
    """The words of `roadsense` for this job: a new pipeline, or the run that an interrupted job has left in the checkpoints.

    Raises:
        ConfigError: hyperparameters that are no JSON object.
    """
    run_directory = root / "checkpoints" / "run"
    words = _hyperparameters(root)
    resumable = RunLayout(run_directory).config.is_file() and any(RunLayout(run_directory).checkpoints.glob("step_*/roadsense.json"))
    if resumable:
        skip_generations(run_directory)
        changeable = [word for word in words if word.startswith("--total_timesteps=")]
        return ["train", "--resume", str(run_directory), *changeable]
    if run_directory.exists():
        shutil.rmtree(run_directory)  # interrupted before its first checkpoint
    channel = root / "input" / "data" / DATASET_CHANNEL
    dataset = [f"--dataset_dir={channel}"] if channel.is_dir() else []
    return ["pipeline", "--recipe", f"--output_dir={run_directory}", *dataset, *words]


def run_training(root: Path) -> int:
    """What the first host does: train, then bring the results where SageMaker looks for them; returns the exit code."""
    run_directory = root / "checkpoints" / "run"
    words = command_line(root)
    scratch = root / "scratch"
    scratch.mkdir(exist_ok=True)
    print(f"roadsense {' '.join(words)}", flush=True)  # noqa: T201 - SageMaker's log
    child = subprocess.Popen([sys.executable, "-m", "roadsense", *words], cwd=scratch, stderr=subprocess.PIPE, text=True)
    signal.signal(signal.SIGTERM, lambda number, _frame: child.send_signal(number))
    last_lines: list[str] = []
    reader = threading.Thread(target=_pass_on, args=(child, last_lines), daemon=True)
    reader.start()
    shown = _rows(run_directory)
    while child.poll() is None:
        shown = _tell(run_directory, shown)
        time.sleep(_LOOK_EVERY_S)
    reader.join(timeout=10)
    _tell(run_directory, shown)
    code = child.returncode
    if code == 0:
        _deliver(run_directory, root / "model")
    elif code not in (128 + signal.SIGTERM, -signal.SIGTERM):
        raise RoadSenseError(last_lines[-1].strip() if last_lines else f"the training ended with exit code {code}")
    return code


def main(root: Path = Path("/opt/ml")) -> int:
    """Do this host's part; returns 0, 143 after SIGTERM, or 1 with the reason in /opt/ml/output/failure."""
    try:
        config = read_json_object(root / "input" / "config" / "resourceconfig.json", ConfigError)
        hosts, own = list(config.get("hosts", ["algo-1"])), str(config.get("current_host", "algo-1"))
        if len(hosts) == 1:
            os.environ["RAY_ADDRESS"] = "local"
            return run_training(root)
        return _head(root, hosts) if own == hosts[0] else _worker(hosts[0])
    except Exception as problem:  # whatever it is, SageMaker shows the reason to its user
        reason = " ".join(str(problem).split()) or type(problem).__name__
        output = root / "output"
        output.mkdir(parents=True, exist_ok=True)
        (output / "failure").write_text(reason[:_FAILURE_CHARACTERS], encoding="utf-8")
        print(f"roadsense: {reason}", file=sys.stderr, flush=True)  # noqa: T201
        return 1


def _head(root: Path, hosts: Sequence[str]) -> int:
    """Starts Ray, waits for the others, trains, stops Ray: the others end with it."""
    _ray("start", "--head", f"--port={_PORT}", f"--node-ip-address={_address(hosts[0])}", "--include-dashboard=false")
    try:
        os.environ["RAY_ADDRESS"] = f"{_address(hosts[0])}:{_PORT}"
        _wait_for_hosts(len(hosts))
        return run_training(root)
    finally:
        _ray("stop")


def _wait_for_hosts(number: int) -> None:
    """In a process of its own: this one must not have Ray's signal handlers."""
    words = [sys.executable, "-c", _COUNT_HOSTS, str(number), str(_HEAD_PATIENCE_S)]
    if subprocess.run(words, check=False, stdout=subprocess.DEVNULL).returncode != 0:
        raise RoadSenseError(f"not all {number} hosts joined Ray within {_HEAD_PATIENCE_S:.0f} s; look at the logs of the others")


def _worker(head: str) -> int:
    """Joins the head's cluster as soon as it answers, and stays until it is gone."""
    ended = threading.Event()
    signal.signal(signal.SIGTERM, lambda _number, _frame: ended.set())
    _wait_until(head, answers=True, patience_s=_HEAD_PATIENCE_S, ended=ended)
    _ray("start", f"--address={_address(head)}:{_PORT}")
    _wait_until(head, answers=False, patience_s=float("inf"), ended=ended)
    _ray("stop")
    return 128 + signal.SIGTERM if ended.is_set() else 0


def _wait_until(head: str, *, answers: bool, patience_s: float, ended: threading.Event) -> None:
    end = time.monotonic() + patience_s
    while not ended.wait(_LOOK_EVERY_S):
        try:
            socket.create_connection((_address(head), _PORT), timeout=5).close()
            there = True
        except OSError:
            there = False
        if there == answers:
            return
        if time.monotonic() > end:
            raise RoadSenseError(f"{head} did not start Ray within {patience_s:.0f} s; look at its log")


def _address(host: str) -> str:
    """A host's address; names of SageMaker's hosts may take a while to be known."""
    for _ in range(60):
        try:
            return socket.gethostbyname(host)
        except OSError:
            time.sleep(1.0)
    raise RoadSenseError(f"{host} has no address after a minute; look at the job's network settings")


def _ray(*words: str) -> None:
    ray = str(Path(sys.executable).with_name("ray"))
    done = subprocess.run([ray, *words], capture_output=True, text=True, check=False)
    if done.returncode != 0 and words[0] != "stop":
        lines = [line for line in (done.stderr or done.stdout).splitlines() if line.strip()]
        raise RoadSenseError(f"ray {words[0]} failed: {lines[-1] if lines else done.returncode}; all hosts need the same image")


def _hyperparameters(root: Path) -> list[str]:
    path = root / "input" / "config" / "hyperparameters.json"
    given = read_json_object(path, ConfigError) if path.exists() else {}
    words = []
    for name, value in given.items():
        if name.startswith(("sagemaker_", "_")):
            continue  # SageMaker's own
        # The SDK encodes values once more than the API does: "42" may come as "\"42\"".
        text = str(json.loads(value)) if isinstance(value, str) and value.startswith('"') else str(value)
        if text.lower() == "true":
            words.append(f"--{name}")
        elif text.lower() != "false":
            words.append(f"--{name}={text}")
    return words


def _pass_on(child: subprocess.Popen[str], last_lines: list[str]) -> None:
    for line in child.stderr or ():
        sys.stderr.write(line)
        sys.stderr.flush()
        if line.strip():
            last_lines[:] = [*last_lines[-19:], line]


def _rows(run_directory: Path) -> int:
    try:
        with RunLayout(run_directory).progress.open(newline="", encoding="utf-8") as file:
            return sum(1 for _ in csv.DictReader(file))
    except OSError:
        return 0


def _tell(run_directory: Path, shown: int) -> int:
    """Print a metric line for every new row of progress.csv; returns how many rows there are."""
    try:
        with RunLayout(run_directory).progress.open(newline="", encoding="utf-8") as file:
            rows = list(csv.DictReader(file))
    except OSError:
        return shown
    for row in rows[shown:]:
        print(metric_line({name: row.get(column) for column, name in METRICS.items()}), flush=True)  # noqa: T201
    return max(shown, len(rows))


def _deliver(run_directory: Path, model: Path) -> None:
    model.mkdir(parents=True, exist_ok=True)
    for name in _RESULTS:
        if (run_directory / name).exists():
            shutil.copy2(run_directory / name, model / name)
    evaluation = read_json_object(run_directory / "metrics.json").get("evaluation") or {}
    print(  # noqa: T201
        metric_line({"eval_collision_rate": evaluation.get("collision_rate"), "eval_mean_return": evaluation.get("avg_reward")}), flush=True
    )


if __name__ == "__main__":
    sys.exit(main())
