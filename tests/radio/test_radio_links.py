"""Loss, bursts and latency of every link, and as realised at the ego, against the parameters."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from roadsense.radio.draws import CarKeys
from roadsense.radio.links import Links, burst_transitions, latencies_s
from roadsense.radio.parameters import RadioParameters, Relay, load_parameters
from roadsense.radio.profiles import PROFILE_NAMES, packaged_profile
from roadsense.radio.radio import Radio
from roadsense.state import SimulatorState

MakeState = Callable[..., SimulatorState]
MakeParameters = Callable[..., RadioParameters]

BAND_DISTANCES_M = (10.0, 30.0, 80.0, 290.0)
CARS_PER_BAND = 30
STEPS = 1500
ROW_X_M = np.array([0.0, 8.0, 16.0, 45.0, 55.0, 62.0, 130.0, 139.0, 190.0, 240.0, 280.0, 299.0])  # links in the four bands in range


def _links(parameters: RadioParameters, ids: tuple[str, ...], seed: int = 3) -> Links:
    links = Links(parameters)
    _, sending, receiving = CarKeys(seed).of(ids)
    links.rearrange(sending, receiving, np.full(len(ids), -1))
    return links


def _arrivals(links: Links, x_m: np.ndarray, periods: int, first: int = 1) -> np.ndarray:
    """Latency or infinity: array (periods, cars, cars)."""
    flat = np.zeros_like(x_m)
    return np.array([links.transmit(period, 0.0, x_m, flat) for period in range(first, first + periods)])


def _loss_error(loss: float, mean_burst: float, packets: int) -> float:
    """Standard deviation of the realised share of a two-state Markov chain, whose lag-one correlation is 1 - p - r."""
    recovery = 1 / mean_burst
    memory = 1 - recovery * loss / (1 - loss) - recovery
    return float(np.sqrt(loss * (1 - loss) / packets * (1 + memory) / (1 - memory)))


def _mean_burst(lost: np.ndarray) -> tuple[float, int]:
    """Mean length of the runs of losses along the first axis, all columns together, and how many runs."""
    starts = int((lost[1:] & ~lost[:-1]).sum())
    return float(lost[1:].sum() / max(1, starts)), starts


def _burst_error(mean_burst: float, bursts: int) -> float:
    """Standard deviation of the mean of geometric lengths."""
    return float(np.sqrt(mean_burst * (mean_burst - 1) / bursts))


@pytest.mark.parametrize("name", PROFILE_NAMES)
def test_every_link_loses_its_share_in_bursts_of_the_right_length(name: str) -> None:
    """132 links, 6000 packets each: no link beyond five standard errors, and the errors as large as they should be."""
    parameters, _ = load_parameters(packaged_profile(name))
    cars, packets = len(ROW_X_M), 6000
    lost = np.isinf(_arrivals(_links(parameters, tuple(f"V{car}" for car in range(cars))), ROW_X_M, packets))
    band = np.searchsorted(parameters.packet_loss.band_edges_m, np.abs(ROW_X_M[:, None] - ROW_X_M), side="right")
    mean_burst = parameters.burst_loss.mean_burst_packets
    loss_scores, burst_scores, seen = [], [], set()
    for sender, receiver in zip(*np.nonzero(~np.eye(cars, dtype=bool)), strict=True):
        one, nominal = lost[:, sender, receiver], parameters.packet_loss.loss_probabilities[band[sender, receiver]]
        loss_scores.append((one.mean() - nominal) / _loss_error(nominal, mean_burst, packets))
        realised, bursts = _mean_burst(one[:, None])
        burst_scores.append((realised - mean_burst) / _burst_error(mean_burst, bursts))
        seen.add(band[sender, receiver])
    assert seen == {0, 1, 2, 3}
    for scores in (np.array(loss_scores), np.array(burst_scores)):
        assert np.abs(scores).max() < 5
        assert abs(scores.mean()) < 5 / np.sqrt(len(scores))
        assert (scores**2).mean() == pytest.approx(1.0, abs=5 * np.sqrt(2 / len(scores)))


def test_links_are_independent_in_both_directions_and_of_each_other() -> None:
    parameters, _ = load_parameters(None)
    packets = 20_000
    lost = np.isinf(_arrivals(_links(parameters, ("A", "B", "C", "D")), np.zeros(4), packets)).reshape(packets, 16)
    correlation = np.corrcoef(lost[:, ~np.eye(4, dtype=bool).ravel()].T.astype(float))
    assert np.abs(correlation - np.eye(12)).max() < 5 * 1.3 / np.sqrt(packets), "1.3: a little memory in each"


def test_a_link_does_not_change_when_other_cars_come_and_go() -> None:
    """Loss and latency of V1 -> V2 and back, alone and among cars that change all the time and in another order."""
    parameters, _ = load_parameters(None)
    wide = parameters.model_copy(update={"latency": parameters.latency.model_copy(update={"base_ms": 90.0, "jitter_ms": 40.0})})
    alone = _arrivals(_links(wide, ("V1", "V2")), np.zeros(2), 600)
    keys, links = CarKeys(3), Links(wide)
    before: tuple[str, ...] = ()
    for period in range(1, 601):
        ids = ("W1", *(f"X{car}" for car in range(period % 4)), "V2", "V1") if period % 3 else ("V2", "W1", "V1")
        if ids != before:
            _, sending, receiving = keys.of(ids)
            links.rearrange(sending, receiving, np.array([before.index(name) if name in before else -1 for name in ids]))
            before = ids
        first, second = ids.index("V1"), ids.index("V2")
        arrival_s = links.transmit(period, 0.0, np.zeros(len(ids)), np.zeros(len(ids)))
        assert arrival_s[first, second] == alone[period - 1, 0, 1]
        assert arrival_s[second, first] == alone[period - 1, 1, 0]
    assert np.isinf(alone).any()


@settings(max_examples=30)
@given(seed=st.integers(0, 2**32), name=st.sampled_from(PROFILE_NAMES), randomized=st.booleans())
def test_loss_never_falls_with_distance(seed: int, name: str, randomized: bool) -> None:
    """With common random numbers each packet that a nearer, fresh link loses is lost further away, too."""
    parameters, _ = load_parameters(packaged_profile(name))
    if randomized:
        parameters = parameters.randomized(np.random.default_rng(seed))
    lost = []
    for distance_m in (5.0, 19.9, 20.0, 49.0, 51.0, 99.0, 101.0, 5000.0):
        x_m = np.zeros(40)
        x_m[:20] = distance_m
        links = _links(parameters, tuple(f"V{car}" for car in range(40)), seed)
        lost.append(np.isinf(links.transmit(1, 0.0, x_m, np.zeros(40)))[:20, 20:])
    for near, far in pairwise(lost):
        assert (far | ~near).all()


def test_latencies_differ_per_link_and_packet_when_they_can_matter(make_parameters: MakeParameters) -> None:
    parameters = make_parameters(latency={"base_ms": 95.0, "jitter_ms": 20.0})
    arrival_s = _arrivals(_links(parameters, tuple("ABCDEFGHIJ")), np.zeros(10), 500)
    assert len(np.unique(arrival_s)) > 0.999 * arrival_s.size
    error = 5 * 0.020 / np.sqrt(arrival_s.size)
    assert arrival_s.mean() == pytest.approx(0.095, abs=error)
    assert arrival_s.std() == pytest.approx(0.020, abs=error)
    assert arrival_s.min() > 0
    per_link = arrival_s - 0.095
    assert abs((per_link[1:] * per_link[:-1]).mean()) < 5 * 0.020**2 / np.sqrt(per_link.size)


def _realised(parameters: RadioParameters, make_state: MakeState, distances_m: tuple[float, ...], seed: int) -> np.ndarray:
    """Lost or not: bool (steps, bands, cars), from what the ego hears a step later, without relays."""
    parameters = parameters.model_copy(update={"relay": Relay(max_hops=1)})
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


@pytest.mark.parametrize("name", PROFILE_NAMES)
def test_loss_and_bursts_as_the_ego_meets_them(name: str, make_state: MakeState) -> None:
    parameters, _ = load_parameters(packaged_profile(name))
    lost = _realised(parameters, make_state, BAND_DISTANCES_M, seed=11)
    mean_burst = parameters.burst_loss.mean_burst_packets
    for band, nominal in enumerate(parameters.packet_loss.loss_probabilities[: len(BAND_DISTANCES_M)]):
        assert lost[:, band].mean() == pytest.approx(nominal, abs=4 * _loss_error(nominal, mean_burst, STEPS * CARS_PER_BAND))
        realised, bursts = _mean_burst(lost[:, band])
        assert realised == pytest.approx(mean_burst, abs=4 * _burst_error(mean_burst, bursts))


def test_long_bursts_are_long_at_the_same_loss(make_state: MakeState, make_parameters: MakeParameters) -> None:
    parameters = make_parameters(
        latency={"base_ms": 4.0}, packet_loss={"loss_probabilities": [0.2]}, burst_loss={"mean_burst_packets": 6.0}
    )
    lost = _realised(parameters, make_state, (10.0,), seed=4)
    assert lost.mean() == pytest.approx(0.2, abs=4 * _loss_error(0.2, 6.0, STEPS * CARS_PER_BAND))
    realised, bursts = _mean_burst(lost)
    assert realised == pytest.approx(6.0, abs=4 * _burst_error(6.0, bursts))


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
