"""The whole benchmark: every speed beside the yardstick of its own moment, medians over repeats, ratios for others to compare.

A speed is measured between two yardsticks; when these differ by more than a tenth, the machine did something else meanwhile and the
measurement is made again, at most a few times. A machine that is never quiet gets no figures.
"""

from __future__ import annotations

import json
import math
import os
import statistics
import subprocess
import sys
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final, TypeVar

import roadsense
from roadsense.bench.column import write_column
from roadsense.bench.environment import EnvironmentSpeed, environment_speed
from roadsense.bench.learner import learner_speed
from roadsense.bench.radio import radio_step_us
from roadsense.bench.sampling import sampling_speed
from roadsense.bench.training import TrainingSpeed, training_speed
from roadsense.bench.yardstick import advancing_steps_per_s, libsumo_loop, loops
from roadsense.errors import RestlessMachineError

LARGEST_DRIFT: Final = 0.10
PEERS: Final = 5  # of the road on which everything but the growth with peers is measured
BATCH: Final = 8192
_RIVAL: Final = Path("benchmarks/sb3_training.py")

Measured = TypeVar("Measured")


@dataclass(frozen=True, slots=True, kw_only=True)
class BenchmarkPlan:
    """How long and how often. Seconds are per measurement, repeats give medians and spread."""

    seconds: float = 6.0
    yardstick_s: float = 3.0
    repeats: int = 3
    attempts: int = 5
    peers: tuple[int, ...] = (0, 5, 8, 20, 50)
    environments: tuple[int, ...] = (1, 4, 8)
    training_environments: int = 8
    iterations: int = 6
    rival_environments: tuple[int, ...] = (2, 4, 8)
    learner_rows: int = 8192


QUICK: Final = BenchmarkPlan(
    seconds=2.0, yardstick_s=1.5, repeats=1, peers=(0, 5, 20, 50), environments=(1, 8), iterations=3, rival_environments=(2, 4)
)


class Benchmark:
    """Runs a plan on the first two cores that this process may use.

    Args:
        plan: durations and sizes.
        say: told what is being measured.
    """

    def __init__(self, plan: BenchmarkPlan, say: Callable[[str], None]) -> None:
        self._plan, self._say = plan, say
        self._cores = sorted(os.sched_getaffinity(0))[:2]
        self._drifts: list[float] = []

    def run(self) -> dict[str, Any]:
        """All figures, ready for JSON.

        Raises:
            RestlessMachineError: the yardstick moved by more than a tenth around every attempt of a measurement.
        """
        with TemporaryDirectory() as scratch:
            roads = {peers: write_column(Path(scratch) / f"column_{peers}", peers) for peers in {PEERS, *self._plan.peers}}
            return self._on(roads)

    def _on(self, roads: dict[int, Path]) -> dict[str, Any]:
        plan, road, first = self._plan, roads[PEERS], self._cores[:1]
        yardstick = self._yardsticks(road)
        environment = {peers: self._environment(roads[peers], road, "traci", first) for peers in plan.peers}
        libsumo = self._environment(road, road, "libsumo", first) if yardstick["libsumo_steps_per_s"] else None
        both = self._environment(road, road, "traci", self._cores)
        sampling, two_t = self._beside(
            f"sampling with {len(self._cores)} env runners",
            road,
            self._cores,
            lambda: sampling_speed(road, plan.seconds, self._cores, plan.environments),
        )
        best = max(sampling.runner, key=lambda count: sampling.runner[count])
        single, _ = self._beside(
            "sampling with one env runner", road, self._cores, lambda: sampling_speed(road, plan.seconds, first, (best,)).runner[best]
        )
        self._say("learner, ragged and padded")
        learner = learner_speed(road, plan.learner_rows, 2 * plan.repeats + 1, self._cores[0])
        training = {count: self._training(road, count) for count in (1, len(self._cores))}
        ours = training[len(self._cores)]
        rival = self._rival(road)
        radio_us = {str(cars): radio_step_us(cars, 2 + plan.repeats) for cars in (6, 50)}
        ratios = {
            "env_vs_T": environment[PEERS]["vs_T"],
            "env_two_processes_vs_2T": both["vs_T"],
            "sampling_vs_2T": sampling.runner[best] / two_t,
            "loop_vs_2T": sampling.loop / two_t,
            "training_vs_2T": ours["vs_2T"],
            "training_one_runner_vs_2T": training[1]["vs_2T"],
            "training_vs_sb3": ours["vs_2T"] / rival["vs_2T"] if rival else None,
            "scaling_1_to_2": sampling.runner[best] / single,
            "learner_ragged_vs_padded_time": learner.ratio,
            "growth_5_to_50_peers": _growth(environment),
        }
        return {
            "ratios": ratios,
            "reset_ms": environment[PEERS]["reset_ms"],
            "yardstick": yardstick | {"largest_drift": max(self._drifts)},
            "environment": {str(peers): figures for peers, figures in environment.items()},
            "environment_libsumo": libsumo,
            "sampling_steps_per_s": {str(count): rate for count, rate in sampling.runner.items()}
            | {"plain_loop": sampling.loop, "one_runner": single},
            "learner": asdict(learner),
            "training": {str(count): figures for count, figures in training.items()},
            "stable_baselines3": rival,
            "radio_step_us": radio_us,
            "plan": asdict(plan),
        }

    def _yardsticks(self, road: Path) -> dict[str, Any]:
        self._say("yardsticks: traci's bare loop, libsumo, SUMO alone")
        seconds, core = self._plan.yardstick_s, self._cores[0]
        try:
            libsumo = libsumo_loop(road, seconds, core)
        except ImportError:
            libsumo = None
        return {
            "T_steps_per_s": loops(road, seconds, [core]),
            "2T_steps_per_s": loops(road, seconds, self._cores),
            "libsumo_steps_per_s": libsumo,
            "sumo_alone_steps_per_s": advancing_steps_per_s(road, seconds, core),
        }

    def _environment(self, config: Path, road: Path, backend: str, cores: list[int]) -> dict[str, Any]:
        plan = self._plan
        runs, ratios = [], []
        for _ in range(plan.repeats):
            speed, t = self._beside(
                f"environment, {backend}, {config.parent.name}, {len(cores)} at once",
                road,
                cores,
                lambda: environment_speed(config, backend, plan.seconds, cores),
            )
            runs.append(speed)
            ratios.append(speed.steps_per_s / t)
        return _environment_figures(runs, ratios)

    def _training(self, road: Path, env_runners: int) -> dict[str, Any]:
        plan = self._plan
        speed, two_t = self._beside(
            f"training, env runners: {env_runners}",
            road,
            self._cores,
            lambda: training_speed(
                road, env_runners=env_runners, iterations=plan.iterations, environments=plan.training_environments, batch=BATCH
            ),
        )
        return _training_figures(speed, two_t)

    def _rival(self, road: Path) -> dict[str, Any] | None:
        """Stable-Baselines3, where it is installed and the script is there: in a checkout."""
        script = Path(roadsense.__file__).resolve().parents[1] / _RIVAL
        if not script.is_file():
            self._say("no Stable-Baselines3: its script lies in the source tree only")
            return None
        plan = self._plan
        command = [sys.executable, str(script), str(road), "--iterations", str(plan.iterations)]
        command += ["--environments", ",".join(map(str, plan.rival_environments))]

        def drive() -> dict[str, float]:
            result = subprocess.run(command, capture_output=True, text=True, check=False)
            if result.returncode:
                raise RivalError(result.stderr.strip().splitlines()[-1] if result.stderr.strip() else f"exit code {result.returncode}")
            rates: dict[str, float] = json.loads(result.stdout.strip().splitlines()[-1])
            return rates

        try:
            rates, two_t = self._beside("Stable-Baselines3, SubprocVecEnv", road, self._cores, drive)
        except RivalError as failed:
            self._say(f"no Stable-Baselines3: {failed}")
            return None
        return {"steps_per_s": max(rates.values()), "by_environments": rates, "vs_2T": max(rates.values()) / two_t}

    def _beside(self, what: str, road: Path, cores: list[int], measure: Callable[[], Measured]) -> tuple[Measured, float]:
        """A measurement and the yardstick of the same cores around it."""
        before = loops(road, self._plan.yardstick_s, cores)
        drift = math.inf
        for _ in range(self._plan.attempts):
            self._say(what)
            measured = measure()
            after = loops(road, self._plan.yardstick_s, cores)
            mean = (before + after) / 2
            drift = abs(after - before) / mean
            if drift <= LARGEST_DRIFT:
                self._drifts.append(drift)
                return measured, mean
            self._say(f"again: the yardstick moved by {drift:.0%}")
            before = after
        raise RestlessMachineError(
            f"{what}: the yardstick moved by {drift:.0%} in the last of {self._plan.attempts} attempts; run it while the machine is quiet"
        )


class RivalError(Exception):
    """Stable-Baselines3 could not be measured."""


def _environment_figures(runs: list[EnvironmentSpeed], ratios: list[float]) -> dict[str, Any]:
    return {
        "steps_per_s": statistics.median(run.steps_per_s for run in runs),
        "vs_T": statistics.median(ratios),
        "vs_T_spread": [min(ratios), max(ratios)],
        "reset_ms": statistics.median(run.reset_ms for run in runs),
        "part_us": {part: statistics.median(run.part_us[part] for run in runs) for part in runs[0].part_us},
    }


def _training_figures(speed: TrainingSpeed, two_t: float) -> dict[str, Any]:
    return asdict(speed) | {"vs_2T": speed.steps_per_s / two_t}


def _growth(environment: dict[int, dict[str, Any]]) -> float | None:
    """The exponent with which the time of a step grows from 5 to 50 peers."""
    if not {5, 50} <= set(environment):
        return None
    return math.log(environment[5]["vs_T"] / environment[50]["vs_T"]) / math.log(50 / 5)
