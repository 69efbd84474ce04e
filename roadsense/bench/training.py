"""A whole training, learner included: steps/s, where an iteration's time goes, and the memory of everything that takes part."""

from __future__ import annotations

import csv
import statistics
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import psutil

from roadsense.bench.environment import CALM
from roadsense.env.settings import TaskSettings
from roadsense.experiment import run_experiment
from roadsense.training.settings import TrainSettings

_WARM_UP_ITERATIONS = 2  # workers and simulators start in the first, episodes of all ages come with the second
_SAMPLE_EVERY_S = 0.5


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainingSpeed:
    """Medians over the iterations after the warm-up. Shares are of an iteration; `rest` is what is none of the three."""

    env_runners: int
    steps_per_s: float
    slowest_steps_per_s: float
    fastest_steps_per_s: float
    shares: dict[str, float]
    peak_mb: dict[str, float]  # driver, env runners together, simulators together, everything


def training_speed(config: Path, *, env_runners: int, iterations: int, environments: int, batch: int) -> TrainingSpeed:
    """Train on the measuring road; runs in this process, with env runners in Ray's."""
    per_runner = batch // env_runners
    with TemporaryDirectory() as scratch, _peaks() as peak_mb:
        settings = TrainSettings(
            sumo_cfg=config,
            output_dir=Path(scratch) / "run",
            total_timesteps=batch * (iterations + _WARM_UP_ITERATIONS),
            num_env_runners=env_runners,
            num_envs_per_env_runner=environments,
            n_steps=per_runner,
            minibatch_size=1024,
            num_epochs=6,
            checkpoint_every=10**9,
            skip_eval=True,
            training_horizon_s=None,
            task=TaskSettings.parse(CALM, "the benchmark's task"),
        )
        result = run_experiment(settings, quiet=True)
        with result.layout.progress.open() as file:
            rows = list(csv.DictReader(file))[_WARM_UP_ITERATIONS:]
    rates = [float(row["steps_per_s"]) for row in rows]
    seconds = [batch / rate for rate in rates]
    shares = {
        name: statistics.median(float(row[f"{name}_s"]) / whole_s for row, whole_s in zip(rows, seconds, strict=True))
        for name in ("sampling", "learning", "synchronising")
    }
    return TrainingSpeed(
        env_runners=env_runners,
        steps_per_s=statistics.median(rates),
        slowest_steps_per_s=min(rates),
        fastest_steps_per_s=max(rates),
        shares=shares | {"rest": max(0.0, 1.0 - sum(shares.values()))},
        peak_mb=dict(peak_mb),
    )


@contextmanager
def _peaks() -> Iterator[dict[str, float]]:
    """The largest memory seen (proportional set size, so shared pages count once) of this process and its descendants, by kind."""
    peak_mb = {"driver": 0.0, "env_runners": 0.0, "simulators": 0.0, "all": 0.0}
    ended = threading.Event()

    def watch() -> None:
        while not ended.wait(_SAMPLE_EVERY_S):
            for kind, value in _memory_mb().items():
                peak_mb[kind] = max(peak_mb[kind], value)

    watcher = threading.Thread(target=watch, daemon=True)
    watcher.start()
    try:
        yield peak_mb
    finally:
        ended.set()
        watcher.join()


def _memory_mb() -> dict[str, float]:
    me = psutil.Process()
    found: dict[str, float] = {"driver": _pss_mb(me), "env_runners": 0.0, "simulators": 0.0, "all": 0.0}
    for process in me.children(recursive=True):
        size_mb = _pss_mb(process)
        found["all"] += size_mb
        name = _name(process)
        if name.startswith("ray::"):
            found["env_runners"] += size_mb
        elif name == "sumo":
            found["simulators"] += size_mb
    found["all"] += found["driver"]
    return found


def _pss_mb(process: psutil.Process) -> float:
    try:
        info: Any = process.memory_full_info()
    except (psutil.NoSuchProcess, psutil.AccessDenied):
        return 0.0
    return float(info.pss) / 2**20


def _name(process: psutil.Process) -> str:
    try:
        return str(process.name())
    except psutil.NoSuchProcess:
        return ""
