"""Writes the log that a logger on board would have written in a simulated episode, whose truth is known.

The simulated radio hands a message over at the next step, so arrivals are set a few milliseconds after the step in which the last car sent
it. How often a message was relayed follows from its age: each link costs a step.
"""

from __future__ import annotations

import csv
import math
from pathlib import Path
from typing import Any, Final

import numpy as np

from roadsense.artifacts.files import atomic_path
from roadsense.config import STEP_LENGTH_S
from roadsense.env.convoy_env import ConvoyEnv
from roadsense.env.episodes import EpisodePlan
from roadsense.env.observation import Observation
from roadsense.env.record import EpisodeRecord
from roadsense.evaluation.reference import Policy
from roadsense.recording.geodesy import metres_per_degree
from roadsense.seeding import stream

COLUMNS: Final = (
    "timestamp_local_ms",
    "msg_timestamp",
    "vehicle_id",
    "lat",
    "lon",
    "speed",
    "heading",
    "accel_x",
    "accel_y",
    "accel_z",
    "hop_count",
)
_ORIGIN_DEG: Final = (48.0, 11.0)
_AIR_TIME_MS: Final = 4
_MOST_LINKS: Final = 3
_GRAVITY_MPS2: Final = 9.81


def write_recording(
    env: ConvoyEnv, policy: Policy, plan: EpisodePlan, tx: Path, rx: Path, *, clock_ahead_ms: int = 0
) -> tuple[EpisodeRecord, list[Observation]]:
    """Drive an episode and log it.

    Args:
        env: of the dataset that the plan belongs to.
        policy: who drives.
        plan: the episode.
        tx: where the sent messages are written, those relayed for others included.
        rx: where the received messages are written.
        clock_ahead_ms: by how much the clocks of all other cars are ahead of the ego's.

    Returns:
        The record of the episode, and the observation of every decision: what a replay of the log has to reproduce.

    Raises:
        SumoError: SUMO failed. RunDirectoryError: a file cannot be written.
    """
    sent: list[dict[str, Any]] = []
    received: list[dict[str, Any]] = []
    observations: list[Observation] = []
    newest_ms: dict[str, int] = {}
    policy.begin(stream(plan.identity, "policy"))
    observation, _ = env.reset(options={"identity": plan.identity.label(), "scenario_id": plan.scenario.scenario_id})
    while True:
        _log_step(env, plan.scenario.ego_id, sent, received, newest_ms, clock_ahead_ms)
        observations.append(observation)
        action = np.array([policy(observation)], dtype=np.float32)
        observation, _, terminated, truncated, info = env.step(action)
        if terminated or truncated:
            break
    for path, rows in ((tx, sent), (rx, received)):
        with atomic_path(path) as temporary, temporary.open("w", encoding="utf-8", newline="") as file:
            writer = csv.DictWriter(file, COLUMNS)
            writer.writeheader()
            writer.writerows(rows)
    record: EpisodeRecord = info["record"]
    return record, observations


def _log_step(
    env: ConvoyEnv,
    ego_id: str,
    sent: list[dict[str, Any]],
    received: list[dict[str, Any]],
    newest_ms: dict[str, int],
    clock_ahead_ms: int,
) -> None:
    own, heard = env.senses
    now_ms = round(env.state.time_s * 1e3)
    for row, source_id in enumerate(heard.source_ids):
        measured_ms = round((env.state.time_s - heard.age_s[row]) * 1e3)
        if measured_ms <= newest_ms.get(source_id, -1):
            continue
        newest_ms[source_id] = measured_ms
        values = (heard.x_m[row], heard.y_m[row], heard.speed_mps[row], heard.accel_mps2[row], heard.heading_rad[row])
        hops = max(0, round(heard.age_s[row] / STEP_LENGTH_S) - 1)
        arrived_ms = now_ms - round(STEP_LENGTH_S * 1e3) + _AIR_TIME_MS
        received.append(_row(source_id, arrived_ms, measured_ms + clock_ahead_ms, values, hops))
        if hops + 1 < _MOST_LINKS:
            sent.append(_row(source_id, now_ms, measured_ms + clock_ahead_ms, values, hops + 1))
    sent.append(_row(ego_id, now_ms, now_ms, (own.x_m, own.y_m, own.speed_mps, own.accel_mps2, own.heading_rad), 0))


def _row(source_id: str, logged_ms: int, measured_ms: int, values: tuple[float, float, float, float, float], hops: int) -> dict[str, Any]:
    x_m, y_m, speed_mps, accel_mps2, heading_rad = values
    north_m, east_m = metres_per_degree(_ORIGIN_DEG[0])
    return {
        "timestamp_local_ms": logged_ms,
        "msg_timestamp": measured_ms,
        "vehicle_id": source_id,
        "lat": f"{_ORIGIN_DEG[0] + y_m / north_m:.9f}",
        "lon": f"{_ORIGIN_DEG[1] + x_m / east_m:.9f}",
        "speed": f"{speed_mps:.4f}",
        "heading": f"{(90.0 - math.degrees(heading_rad)) % 360.0:.4f}",
        "accel_x": f"{accel_mps2:.4f}",
        "accel_y": "0",
        "accel_z": f"{_GRAVITY_MPS2}",
        "hop_count": hops,
    }
