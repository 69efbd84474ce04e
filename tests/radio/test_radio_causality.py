"""Nothing is heard before it can have arrived, nothing stale is kept, late packets never replace newer ones."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from roadsense.errors import UsageError
from roadsense.radio.parameters import RadioParameters
from roadsense.radio.radio import Radio
from roadsense.radio.relay import Relay
from roadsense.state import SimulatorState

MakeState = Callable[..., SimulatorState]
MakeParameters = Callable[..., RadioParameters]
PEERS = ("V002", "V003", "V004")


def _clock_state(make_state: MakeState, time_s: float, present: tuple[str, ...] = PEERS) -> SimulatorState:
    """Peers whose speed tells when they measured it."""
    motions = {"V001": (0.0, 0.0, 0.0, 0.0, 0.0)} | {peer: (30.0 * row, 0.0, time_s, 0.0, 0.0) for row, peer in enumerate(present, 1)}
    return make_state(time_s, motions)


@settings(max_examples=80)
@given(
    base_ms=st.one_of(st.just(0.0), st.floats(0.5, 450.0)),
    jitter_share=st.floats(0.0, 1.0),
    loss=st.floats(0.0, 0.5),
    stale_after_ms=st.floats(451.0, 900.0),
    seed=st.integers(0, 2**32),
    max_hops=st.integers(1, 4),
    presence=st.lists(st.sets(st.sampled_from(PEERS)), min_size=5, max_size=40),
)
def test_heard_is_sent_earlier_and_never_stale(
    base_ms: float,
    jitter_share: float,
    loss: float,
    stale_after_ms: float,
    seed: int,
    max_hops: int,
    presence: list[set[str]],
    make_state: MakeState,
    make_parameters: MakeParameters,
) -> None:
    parameters = make_parameters(
        latency={"base_ms": base_ms, "jitter_ms": base_ms * jitter_share},
        packet_loss={"loss_probabilities": [loss]},
        burst_loss={"mean_burst_packets": 1.5},
        relay={"max_hops": max_hops},
        observation={"stale_after_ms": stale_after_ms},
    )
    radio = Radio(parameters, ego_id="V001", rng=np.random.default_rng(seed))
    newest: dict[str, float] = {}
    sent: set[tuple[str, float]] = set()
    for step, present in enumerate(presence, 1):
        now_s = step * 0.1
        sent |= {(peer, now_s) for peer in present}
        heard = radio.step(_clock_state(make_state, now_s, tuple(sorted(present))))
        for source, measured_s, age_s in zip(heard.source_ids, heard.speed_mps.tolist(), heard.age_s.tolist(), strict=True):
            assert (source, measured_s) in sent
            assert age_s == pytest.approx(now_s - measured_s, abs=2e-9)
            assert 0.0 <= age_s <= parameters.observation.stale_after_s
            assert measured_s >= newest.get(source, 0.0)
            newest[source] = measured_s
            if base_ms > 0:
                assert measured_s < now_s
            if jitter_share == 0:
                assert now_s + 1e-9 >= measured_s + parameters.latency.base_s


@pytest.mark.parametrize(("base_ms", "steps_late"), [(0.0, 0), (0.01, 1), (3.84, 1), (100.0, 1), (100.1, 2), (250.0, 3), (400.0, 4)])
def test_fixed_latency_delays_by_whole_steps(
    base_ms: float, steps_late: int, make_state: MakeState, make_parameters: MakeParameters
) -> None:
    radio = Radio(make_parameters(latency={"base_ms": base_ms}), ego_id="V001", rng=np.random.default_rng(0))
    for step in range(1, 41):
        now_s = step * 0.1
        heard = radio.step(_clock_state(make_state, now_s))
        assert len(heard) == (0 if step <= steps_late else len(PEERS))
        assert heard.age_s == pytest.approx(np.full(len(heard), 0.1 * steps_late))


def test_overtaking_packets_never_turn_time_back(make_state: MakeState, make_parameters: MakeParameters) -> None:
    radio = Radio(make_parameters(latency={"base_ms": 200.0, "jitter_ms": 150.0}), ego_id="V001", rng=np.random.default_rng(5))
    measured = []
    for step in range(1, 400):
        heard = radio.step(_clock_state(make_state, step * 0.1))
        measured.append(dict(zip(heard.source_ids, heard.speed_mps.tolist(), strict=True)).get("V002", 0.0))
    steps = np.round(np.diff(measured[10:]) / 0.1).astype(int)
    assert steps.min() >= 0
    assert (steps == 0).any(), "some packets must have been late"
    assert (steps >= 2).any(), "some packets must have been overtaken"


@given(
    arrivals=st.lists(st.lists(st.one_of(st.floats(0.0, 1.5), st.just(np.inf)), min_size=4, max_size=4), min_size=1, max_size=12),
)
def test_queue_delivers_in_the_first_step_after_arrival(arrivals: list[list[float]]) -> None:
    """Without forwarding, what the ego knows of a car is the newest of its broadcasts that has arrived, in every step."""
    relay = Relay(max_hops=1)
    relay.rearrange(np.full(5, -1))
    for step in range(1, 40):
        now_s = step * 0.1
        relay.collect(now_s)
        if step <= len(arrivals):
            relay.broadcast(step, now_s + np.array([[np.inf], *([latency_s] for latency_s in arrivals[step - 1])]))
            relay.collect(now_s)
        for car in range(4):
            arrived = [
                sent for sent in range(1, step + 1) if sent <= len(arrivals) and sent * 0.1 + arrivals[sent - 1][car] <= now_s + 1e-9
            ]
            assert relay.heard[car + 1] == max(arrived, default=0)


def test_what_arrives_as_a_car_sends_is_forwarded_at_once_and_no_sooner() -> None:
    """V002 -> V003 -> ego: the message sent in period 1 reaches the relay exactly at its second broadcast."""
    for latency_s, forwarded in ((0.1, True), (0.1001, False)):
        relay = Relay(max_hops=2)
        relay.rearrange(np.full(3, -1))
        lost = np.full((3, 3), np.inf)
        first, second = lost.copy(), lost.copy()
        first[1, 2] = 0.1 + latency_s
        second[2, 0] = 0.25
        relay.broadcast(1, first)
        relay.collect(0.2)
        relay.broadcast(2, second)
        relay.collect(0.3)
        assert relay.heard.tolist() == [0, int(forwarded), 2]


def test_time_must_advance(make_state: MakeState) -> None:
    radio = Radio(RadioParameters.perfect(), ego_id="V001", rng=np.random.default_rng(0))
    radio.step(_clock_state(make_state, 1.0))
    for time_s in (1.0, 0.5, 1.05):
        with pytest.raises(UsageError, match="after 1 s"):
            radio.step(_clock_state(make_state, time_s))
    with pytest.raises(UsageError, match="new Radio per episode"):
        radio.own_measurement(_clock_state(make_state, 0.5))
