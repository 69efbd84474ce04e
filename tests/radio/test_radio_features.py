"""What the network sees comes out of the same compiled call as everything else; it must be what `step` and `observe` say one by one."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from roadsense.env.observation import observe
from roadsense.errors import UsageError
from roadsense.radio.parameters import RadioParameters
from roadsense.radio.radio import Radio
from roadsense.state import SimulatorState

MakeState = Callable[..., SimulatorState]
MakeParameters = Callable[..., RadioParameters]

NOISE = {"gps_m": 3.0, "gps_correlation_s": 5.0, "speed_mps": 0.4, "accel_mps2": 0.4, "heading_deg": 60.0}


@pytest.mark.parametrize("max_hops", [1, 3])
@pytest.mark.parametrize(("base_ms", "jitter_ms"), [(0.0, 0.0), (4.0, 1.0), (350.0, 200.0)])
def test_features_are_those_of_the_measurements(
    max_hops: int, base_ms: float, jitter_ms: float, make_state: MakeState, make_parameters: MakeParameters
) -> None:
    """With cars that come and go, some without a radio, and with several broadcasts on the air at once; to the last bit."""
    parameters = make_parameters(
        latency={"base_ms": base_ms, "jitter_ms": jitter_ms},
        packet_loss={"band_edges_m": [60.0], "loss_probabilities": [0.2, 0.6]},
        burst_loss={"mean_burst_packets": 2.0},
        relay={"max_hops": max_hops},
        sensor_noise=NOISE,
        observation={"stale_after_ms": 900.0},
    )
    fused, apart = (Radio(parameters, ego_id="V001", rng=np.random.default_rng(3)) for _ in range(2))
    counts = set()
    for step in range(1, 200):
        there = ["V001", *(f"V{car:03d}" for car in range(2, 9) if (step // 7 + car) % 4)]
        state = make_state(0.1 * step, {name: (12.0 * int(name[1:]), step % 5, 20.0, -1.0, 3.1) for name in there})
        equipped = tuple(name for name in there if name != "V004")
        ego, peers = fused.observe(state, equipped, 0.25)
        heard = apart.step(state, equipped)
        own = apart.own_measurement(state)
        expected = observe(own, heard, 0.25)
        assert ego.tobytes() == expected["ego"].tobytes() and ego.dtype == np.float32
        assert peers.tobytes() == expected["peers"].values.tobytes() and peers.shape == expected["peers"].values.shape
        own_again, heard_again = fused.senses()
        assert own_again == own and heard_again.source_ids == heard.source_ids
        assert np.array_equal(heard_again.x_m, heard.x_m) and np.array_equal(heard_again.age_s, heard.age_s)
        counts.add(len(heard))
    assert len(counts) > 2


def test_without_the_ego_there_is_nothing_to_observe(make_state: MakeState) -> None:
    radio = Radio(RadioParameters.perfect(), ego_id="V001", rng=np.random.default_rng(0))
    peer = {"V002": (50.0, 0.0, 12.0, 0.0, 0.0)}
    _, peers = radio.observe(make_state(0.1, {"V001": (0.0,) * 5, **peer}), None, 0.0)
    assert len(peers) == 1
    with pytest.raises(UsageError, match="'V001' is not on the road"):
        radio.observe(make_state(0.2, peer), None, 0.0)
