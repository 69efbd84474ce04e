"""The environment alone: steps/s, time of a reset, and where a step's microseconds go."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from roadsense.bench.processes import in_processes
from roadsense.env.convoy_env import ConvoyEnv
from roadsense.env.task import ConvoyEpisode
from roadsense.radio.radio import Radio
from roadsense.sumo.session import SumoSession

# Nothing brakes: episodes of full length, so that resets weigh the same everywhere.
CALM: dict[str, Any] = {"hazard": {"probability": 0.0}, "benign": {"probability": 0.0}}
_ACTION = np.zeros(1, dtype=np.float32)
_PARTS: tuple[tuple[str, Any, str], ...] = (
    ("session", SumoSession, "begin_step"),
    ("session", SumoSession, "finish_step"),
    ("radio and observation", Radio, "observe"),
    ("reward", ConvoyEpisode, "before_step"),
    ("reward", ConvoyEpisode, "after_step"),
    ("reward", ConvoyEpisode, "hear"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class EnvironmentSpeed:
    """Steps/s with resets inside, the median time of a reset, and microseconds per step by part."""

    steps_per_s: float
    reset_ms: float
    part_us: dict[str, float]


def environment_speed(config: Path, backend: str, seconds: float, cores: list[int]) -> EnvironmentSpeed:
    """One process per entry of `cores` at once; steps/s are their sum, the rest their medians."""
    speeds = in_processes(_drive, [(config, backend, seconds)] * len(cores), cores)
    return EnvironmentSpeed(
        steps_per_s=sum(speed.steps_per_s for speed in speeds),
        reset_ms=statistics.median(speed.reset_ms for speed in speeds),
        part_us={name: statistics.median(speed.part_us[name] for speed in speeds) for name in speeds[0].part_us},
    )


def _drive(config: Path, backend: str, seconds: float) -> EnvironmentSpeed:
    env = ConvoyEnv(sumo_cfg=config, sumo={"backend": backend}, task=CALM)
    try:
        _episode(env)  # warm-up: starts SUMO, imports, caches
        rate, resets_s = _timed(env, seconds)
        with _watched() as spent_s:
            _, _ = _timed(env, seconds / 3)
            steps = spent_s.pop("steps")
        part_us = {name: 1e6 * value / steps for name, value in spent_s.items()}
        part_us["rest"] = max(0.0, part_us.pop("whole") - sum(part_us.values()))
    finally:
        env.close()
    return EnvironmentSpeed(steps_per_s=rate, reset_ms=1e3 * statistics.median(resets_s), part_us=part_us)


def _timed(env: ConvoyEnv, seconds: float) -> tuple[float, list[float]]:
    """Steps/s of whole episodes with their resets, and the time of each reset."""
    steps, resets_s, began_s = 0, [], time.perf_counter()
    while time.perf_counter() - began_s < seconds:
        reset_s, episode_steps = _episode(env)
        resets_s.append(reset_s)
        steps += episode_steps
    return steps / (time.perf_counter() - began_s), resets_s


def _episode(env: ConvoyEnv) -> tuple[float, int]:
    began_s = time.perf_counter()
    env.reset()
    reset_s = time.perf_counter() - began_s
    steps, done = 0, False
    while not done:
        *_, terminated, truncated, _ = env.step(_ACTION)
        done = terminated or truncated
        steps += 1
    return reset_s, steps


@contextmanager
def _watched() -> Iterator[dict[str, float]]:
    """Add up the time within the parts of `ConvoyEnv.step`; resets call some of them too, so only time within a step counts."""
    spent_s = dict.fromkeys([name for name, _, _ in _PARTS], 0.0) | {"whole": 0.0, "steps": 0.0}
    in_step = False
    originals = [(owner, name, getattr(owner, name)) for _, owner, name in _PARTS] + [(ConvoyEnv, "step", ConvoyEnv.step)]

    def watched(part: str, function: Callable[..., Any]) -> Callable[..., Any]:
        def call(*arguments: Any, **keywords: Any) -> Any:
            if not in_step:
                return function(*arguments, **keywords)
            began_s = time.perf_counter()
            try:
                return function(*arguments, **keywords)
            finally:
                spent_s[part] += time.perf_counter() - began_s

        return call

    def step(env: ConvoyEnv, action: Any) -> Any:
        nonlocal in_step
        in_step = True
        began_s = time.perf_counter()
        try:
            return originals[-1][2](env, action)
        finally:
            spent_s["whole"] += time.perf_counter() - began_s
            spent_s["steps"] += 1
            in_step = False

    try:
        for (part, owner, name), (_, _, function) in zip(_PARTS, originals, strict=False):
            setattr(owner, name, watched(part, function))
        setattr(ConvoyEnv, "step", step)  # noqa: B010 - as the parts above
        yield spent_s
    finally:
        for owner, name, function in originals:
            setattr(owner, name, function)
