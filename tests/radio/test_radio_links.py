"""Loss and bursts as realised at the ego, against the parameters."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from roadsense.radio.links import burst_transitions, latencies_s
from roadsense.radio.parameters import RadioParameters, load_parameters
from roadsense.radio.profiles import PROFILE_NAMES, packaged_profile
from roadsense.radio.radio import Radio
from roadsense.state import SimulatorState

MakeState = Callable[..., SimulatorState]
MakeParameters = Callable[..., RadioParameters]

BAND_DISTANCES_M = (10.0, 30.0, 80.0, 300.0)
CARS_PER_BAND = 30
STEPS = 1500


def _realised(parameters: RadioParameters, make_state: MakeState, distances_m: tuple[float, ...], seed: int) -> np.ndarray:
    """Lost or not: bool (steps, bands, cars), from what the ego hears a step later."""
    ids = [(band, car, f"P{band}_{car:02d}") for band in range(len(distances_m)) for car in range(CARS_PER_BAND)]
    motions = {"V001": (0.0, 0.0, 0.0, 0.0, 0.0)} | {name: (distances_m[band], 0.0, 0.0, 0.0, 0.0) for band, _, name in ids}
    radio = Radio(parameters, ego_id="V001", rng=np.random.default_rng(seed))
    place = {name: (band, car) for band, car, name in ids}
    lost = np.ones((STEPS, len(distances_m), CARS_PER_BAND), dtype=bool)
    radio.step(make_state(0.0, motions))
    for step in range(STEPS):
        heard = radio.step(make_state((step + 1) * 0.1, motions))
        for source, age_s in zip(heard.source_ids, heard.age_s.tolist(), strict=True):
            if age_s < 0.15:
                lost[(step, *place[source])] = False
    return lost


def _mean_burst(lost: np.ndarray) -> float:
    """Mean length of runs of losses along the first axis, all columns together."""
    starts = lost[1:] & ~lost[:-1]
    return lost[1:].sum() / max(1, starts.sum())


@pytest.mark.parametrize("name", PROFILE_NAMES)
def test_realised_loss_and_bursts_match_the_parameters(name: str, make_state: MakeState) -> None:
    parameters, _ = load_parameters(packaged_profile(name))
    lost = _realised(parameters, make_state, BAND_DISTANCES_M, seed=11)
    for band, nominal in enumerate(parameters.packet_loss.loss_probabilities):
        assert lost[:, band].mean() == pytest.approx(nominal, rel=0.06)
        assert _mean_burst(lost[:, band]) == pytest.approx(parameters.burst_loss.mean_burst_packets, rel=0.05)


def test_long_bursts_are_long_at_the_same_loss(make_state: MakeState, make_parameters: MakeParameters) -> None:
    parameters = make_parameters(
        latency={"base_ms": 4.0}, packet_loss={"loss_probabilities": [0.2]}, burst_loss={"mean_burst_packets": 6.0}
    )
    lost = _realised(parameters, make_state, (10.0,), seed=4)
    assert lost.mean() == pytest.approx(0.2, rel=0.1)
    assert _mean_burst(lost) == pytest.approx(6.0, rel=0.1)


def test_a_new_link_starts_in_the_stationary_distribution(make_state: MakeState, make_parameters: MakeParameters) -> None:
    parameters = make_parameters(packet_loss={"loss_probabilities": [0.4]}, burst_loss={"mean_burst_packets": 20.0})
    motions = {"V001": (0.0,) * 5} | {f"P{car}": (10.0, 0.0, 0.0, 0.0, 0.0) for car in range(2000)}
    heard = Radio(parameters, ego_id="V001", rng=np.random.default_rng(8)).step(make_state(0.1, motions))
    assert 1 - len(heard) / 2000 == pytest.approx(0.4, abs=0.04)


def test_realised_loss_grows_with_distance(make_state: MakeState, make_parameters: MakeParameters) -> None:
    parameters = make_parameters(
        latency={"base_ms": 4.0},
        packet_loss={"band_edges_m": [20.0, 50.0, 100.0], "loss_probabilities": [0.05, 0.15, 0.25, 1.0]},
        burst_loss={"mean_burst_packets": 1.5},
    )
    losses = _realised(parameters, make_state, (19.9, 20.0, 50.0, 100.0), seed=2).mean(axis=(0, 2))
    assert (np.diff(losses) > 0.05).all()
    assert losses[3] == 1.0, "a loss of 1 is out of range"


def test_two_parameter_sets_meet_the_same_luck(make_state: MakeState, make_parameters: MakeParameters) -> None:
    """Common random numbers: with memoryless bursts a higher loss loses a superset."""
    mild, harsh = (
        _realised(
            make_parameters(
                latency={"base_ms": 4.0}, packet_loss={"loss_probabilities": [loss]}, burst_loss={"mean_burst_packets": 1 / (1 - loss)}
            ),
            make_state,
            (10.0,),
            seed=7,
        )
        for loss in (0.1, 0.3)
    )
    assert mild.any()
    assert (harsh | ~mild).all()


@given(loss=st.floats(0.0, 0.98), stretch=st.floats(1.0, 20.0))
def test_stationary_share_of_the_bad_state_is_the_loss(loss: float, stretch: float) -> None:
    mean_burst = max(1.0, loss / (1 - loss)) * stretch
    to_bad, stay_bad = burst_transitions(np.array([loss]), mean_burst)
    assert 0.0 <= to_bad[0] <= 1.0
    assert to_bad[0] / (to_bad[0] + 1 - stay_bad[0]) == pytest.approx(loss, abs=1e-12)
    assert 1 / (1 - stay_bad[0]) == pytest.approx(mean_burst)


@given(base_ms=st.floats(0.001, 500.0), jitter_ms=st.floats(0.0, 500.0), seed=st.integers(0, 1000))
def test_latency_is_always_positive(base_ms: float, jitter_ms: float, seed: int) -> None:
    normals = np.random.default_rng(seed).standard_normal(200)
    assert latencies_s(normals, base_ms * 1e-3, jitter_ms * 1e-3).min() > 0


def test_latency_has_the_measured_mean_and_spread() -> None:
    drawn_s = latencies_s(np.random.default_rng(1).standard_normal(100_000), 0.00384, 0.00104)
    assert drawn_s.mean() == pytest.approx(0.00384, rel=0.01)
    assert drawn_s.std() == pytest.approx(0.00104, rel=0.01)
