"""Builders for small traffic states and parameter sets; session-scoped so that hypothesis may use them."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import pytest

from roadsense.radio.parameters import RadioParameters
from roadsense.radio.profiles import packaged_profile
from roadsense.state import SimulatorState, VehicleStates

Motion = tuple[float, float, float, float, float]  # x_m, y_m, speed_mps, accel_mps2, heading_rad


@pytest.fixture(scope="session")
def make_state() -> Callable[[float, Mapping[str, Motion]], SimulatorState]:
    def build(time_s: float, motions: Mapping[str, Motion]) -> SimulatorState:
        columns = np.array(list(motions.values()), dtype=np.float64).reshape(len(motions), 5).T.copy()
        ids = tuple(motions)
        vehicles = VehicleStates(
            ids=ids,
            lane_ids=("lane_0",) * len(ids),
            x_m=columns[0],
            y_m=columns[1],
            speed_mps=columns[2],
            accel_mps2=columns[3],
            heading_rad=columns[4],
            lane_position_m=columns[0].copy(),
            length_m=np.full(len(ids), 5.0),
            index={vehicle_id: row for row, vehicle_id in enumerate(ids)},
        )
        return SimulatorState(time_s=time_s, vehicles=vehicles)

    return build


@pytest.fixture(scope="session")
def make_parameters() -> Callable[..., RadioParameters]:
    """Noise-free and loss-free unless told otherwise: `make_parameters(latency={"base_ms": 4.0})`."""

    def build(**sections: Mapping[str, Any]) -> RadioParameters:
        content = RadioParameters.perfect().model_dump()
        for section, values in sections.items():
            content[section] = {**content[section], **values}
        return RadioParameters.parse(content, "test")

    return build


@pytest.fixture
def convoy_content() -> dict[str, Any]:
    content: dict[str, Any] = json.loads(packaged_profile("convoy").read_text(encoding="utf-8"))
    return content
