"""Relaying: hop by hop and period by period, never sooner than possible, never further than allowed, never altered."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from roadsense.radio.draws import CarKeys
from roadsense.radio.links import Links
from roadsense.radio.message import HeardPeers
from roadsense.radio.parameters import RadioParameters, load_parameters
from roadsense.radio.radio import Radio
from roadsense.state import SimulatorState

MakeState = Callable[..., SimulatorState]
MakeParameters = Callable[..., RadioParameters]

FIELDS = ("x_m", "y_m", "speed_mps", "accel_mps2", "heading_rad")
NEIGHBOURS_ONLY = {"band_edges_m": [100.0], "loss_probabilities": [0.0, 1.0]}


def _chain(cars: int, spacing_m: float = 80.0, **changes: tuple[float, float, float, float, float]) -> dict[str, tuple[float, ...]]:
    """V001, V002, ... in a row, so far apart that with `NEIGHBOURS_ONLY` a car hears the next one but not the one after."""
    return {f"V{car:03d}": (spacing_m * car, 0.0, 20.0, 0.0, 0.0) for car in range(1, cars + 1)} | changes


def _ages(heard: HeardPeers) -> dict[str, float]:
    return dict(zip(heard.source_ids, heard.age_s.tolist(), strict=True))


@pytest.mark.parametrize("base_ms", [0.0, 4.0, 100.0, 130.0])
@pytest.mark.parametrize("max_hops", [1, 2, 3, 4])
def test_a_chain_is_heard_up_to_the_hop_limit_each_link_later(
    max_hops: int, base_ms: float, make_state: MakeState, make_parameters: MakeParameters
) -> None:
    parameters = make_parameters(
        packet_loss=NEIGHBOURS_ONLY, latency={"base_ms": base_ms}, relay={"max_hops": max_hops}, observation={"stale_after_ms": 2000.0}
    )
    radio = Radio(parameters, ego_id="V001", rng=np.random.default_rng(0))
    first_heard: dict[str, int] = {}
    for step in range(1, 21):
        ages = _ages(radio.step(make_state(0.1 * step, _chain(6))))
        for source in ages:
            first_heard.setdefault(source, step)
    # Without latency a direct message is heard in its own period and a forwarded one a period later for each further link.
    periods_per_link = int(np.ceil(base_ms / 100.0))
    for hops in range(1, 6):
        source = f"V{1 + hops:03d}"
        if hops > max_hops:
            assert source not in first_heard
            continue
        late = hops * periods_per_link if periods_per_link else hops - 1
        assert first_heard[source] == 1 + late
        assert ages[source] == pytest.approx(0.1 * late)


def test_four_links_away_is_never_heard_and_three_is_with_the_shipped_limit(make_state: MakeState) -> None:
    """Five cars in a row, real latency and noise; only neighbours hear each other."""
    content = load_parameters(None)[0].model_dump() | {"packet_loss": NEIGHBOURS_ONLY}
    radio = Radio(RadioParameters.parse(content, "test"), ego_id="V001", rng=np.random.default_rng(1))
    for step in range(1, 301):
        ages = _ages(radio.step(make_state(0.1 * step, _chain(5))))
        expected = {f"V{1 + hops:03d}": pytest.approx(0.1 * hops) for hops in (1, 2, 3) if step > hops}
        assert ages == expected


def test_a_direct_and_a_relayed_copy_carry_the_same_values(make_state: MakeState) -> None:
    """The noise is the source's: who hears over a relay hears what the neighbour of the source heard directly."""
    content = load_parameters(None)[0].model_dump() | {"packet_loss": NEIGHBOURS_ONLY}
    parameters = RadioParameters.parse(content, "test")
    near, far = (Radio(parameters, ego_id=ego_id, rng=np.random.default_rng(5)) for ego_id in ("V003", "V001"))
    directly: dict[int, tuple[float, ...]] = {}
    for step in range(1, 101):
        state = make_state(0.1 * step, _chain(4))
        for radio, hops in ((near, 1), (far, 3)):
            heard = radio.step(state)
            if step <= hops:
                continue
            row = heard.source_ids.index("V004")
            values = tuple(float(getattr(heard, field)[row]) for field in FIELDS)
            sent_step = round(step - heard.age_s[row] / 0.1)
            assert directly.setdefault(sent_step, values) == values
    assert len(set(directly.values())) == 99


def test_a_relay_bridges_a_lost_link_and_the_table_keeps_the_newest(make_state: MakeState, make_parameters: MakeParameters) -> None:
    """V002 is heard directly or, when that is lost, over V003 a period late; never twice, never older than before."""
    lossy = make_parameters(
        packet_loss={"loss_probabilities": [0.4]}, burst_loss={"mean_burst_packets": 3.0}, latency={"base_ms": 4.0}, relay={"max_hops": 2}
    )
    silent = lossy.model_copy(update={"relay": lossy.relay.model_copy(update={"max_hops": 1})})
    with_relay, without = (Radio(parameters, ego_id="V001", rng=np.random.default_rng(2)) for parameters in (lossy, silent))
    newest, bridged, missed = 0.0, 0, 0
    for step in range(1, 400):
        state = make_state(0.1 * step, dict.fromkeys(("V001", "V002", "V003"), (0.0, 0.0, 0.1 * step, 0.0, 0.0)))
        relayed, direct = with_relay.step(state), without.step(state)
        assert len(set(relayed.source_ids)) == len(relayed)
        assert "V001" not in relayed.source_ids
        ages, direct_ages = _ages(relayed), _ages(direct)
        if "V002" in ages:
            measured_s = float(relayed.speed_mps[relayed.source_ids.index("V002")])
            assert measured_s >= newest
            newest = measured_s
        missed += "V002" not in direct_ages
        bridged += "V002" in ages and ages["V002"] < direct_ages.get("V002", np.inf) - 0.05
        assert ages.get("V002", np.inf) <= direct_ages.get("V002", np.inf)
    assert missed > 5
    assert bridged > 40


def test_a_vanished_source_is_still_forwarded_until_stale(make_state: MakeState, make_parameters: MakeParameters) -> None:
    parameters = make_parameters(packet_loss=NEIGHBOURS_ONLY, latency={"base_ms": 4.0}, relay={"max_hops": 3})
    radio = Radio(parameters, ego_id="V001", rng=np.random.default_rng(0))
    ages = []
    for step in range(1, 16):
        there = _chain(4 if step <= 3 else 3)
        ages.append(_ages(radio.step(make_state(0.1 * step, there))).get("V004"))
    expected = [None] * 3 + [0.3, 0.3, 0.3, 0.4, 0.5] + [None] * 7
    assert ages == [None if age is None else pytest.approx(age) for age in expected]


def test_a_relay_keeps_what_it_heard_until_it_can_pass_it_on(make_state: MakeState, make_parameters: MakeParameters) -> None:
    """The source leaves after its second broadcast, strangers come and go, and the relay reaches the ego only from its fifth on."""
    parameters = make_parameters(packet_loss=NEIGHBOURS_ONLY, latency={"base_ms": 4.0}, relay={"max_hops": 2})
    radio = Radio(parameters, ego_id="V001", rng=np.random.default_rng(0))
    course = []
    for step in range(1, 10):
        there = {"V001": (0.0, 0.0, 0.0, 0.0, 0.0), "V002": (150.0 if step < 5 else 90.0, 0.0, 0.0, 0.0, 0.0)}
        if step <= 2:
            there["V003"] = (200.0, 0.0, 10.0 + step, 0.0, 0.0)
        if step % 2:
            there["A001"] = (9000.0, 0.0, 0.0, 0.0, 0.0)
        heard = radio.step(make_state(0.1 * step, there))
        course.append(
            {name: (round(10 * age_s), speed) for name, age_s, speed in zip(heard.source_ids, heard.age_s, heard.speed_mps, strict=True)}
        )
    assert course[:5] == [{}] * 5
    assert course[5:7] == [{"V002": (1, 0.0), "V003": (4, 12.0)}, {"V002": (1, 0.0), "V003": (5, 12.0)}]
    assert course[7:] == [{"V002": (1, 0.0)}] * 2


def test_unequipped_cars_relay_nothing(make_state: MakeState, make_parameters: MakeParameters) -> None:
    parameters = make_parameters(packet_loss=NEIGHBOURS_ONLY, latency={"base_ms": 4.0}, relay={"max_hops": 3})
    radio = Radio(parameters, ego_id="V001", rng=np.random.default_rng(0))
    for step in range(1, 31):
        equipped = ("V002", "V003", "V004") if step <= 10 else ("V002", "V004")
        heard = radio.step(make_state(0.1 * step, _chain(4)), equipped)
        if step == 10:
            assert set(heard.source_ids) == {"V002", "V003", "V004"}
    assert heard.source_ids == ("V002",)


def _reference(arrivals: list[np.ndarray], max_hops: int, steps: int) -> list[dict[int, int]]:
    """Every copy of every message with its whole path, nothing pruned: newest period per source heard by car 0 after each step."""
    cars = len(arrivals[0])
    known: list[set[tuple[int, tuple[int, ...]]]] = [set() for _ in range(cars)]  # (period, path from source to holder)
    flying: list[tuple[float, int, frozenset[tuple[int, tuple[int, ...]]]]] = []
    course = []
    for period in range(1, steps + 1):
        now_s = 0.1 * period
        for arrival_s, receiver, messages in [packet for packet in flying if packet[0] <= now_s + 1e-9]:
            flying.remove((arrival_s, receiver, messages))
            known[receiver] |= {
                (sent, (*path, receiver))
                for sent, path in messages
                if len(path) <= max_hops and receiver not in path and sent > period - 12
            }
        for sender in range(cars):
            packet = frozenset(known[sender] | {(period, (sender,))})
            for receiver in range(cars):
                if receiver != sender and np.isfinite(arrivals[period - 1][sender, receiver]):
                    flying.append((arrivals[period - 1][sender, receiver], receiver, packet))
        newest: dict[int, int] = {}
        for sent, path in known[0]:
            newest[path[0]] = max(sent, newest.get(path[0], 0))
        course.append(newest)
    return course


@settings(max_examples=40, deadline=None)
@given(
    seed=st.integers(0, 2**32),
    max_hops=st.integers(1, 4),
    cars=st.integers(2, 4),
    loss=st.sampled_from([0.2, 0.5, 0.7]),
    base_ms=st.sampled_from([4.0, 60.0, 150.0]),
    jitter_share=st.sampled_from([0.0, 0.3, 0.8]),
    spread_m=st.sampled_from([50.0, 250.0]),
)
def test_equals_a_flood_of_single_copies_that_never_visit_a_car_twice(
    seed: int,
    max_hops: int,
    cars: int,
    loss: float,
    base_ms: float,
    jitter_share: float,
    spread_m: float,
    make_state: MakeState,
    make_parameters: MakeParameters,
) -> None:
    """On the same links, a slow reference that remembers paths hears the same: so causality, hop limit and freedom from circles hold."""
    parameters = make_parameters(
        packet_loss={"band_edges_m": [100.0], "loss_probabilities": [loss, 1.0]},
        burst_loss={"mean_burst_packets": 2.5},
        latency={"base_ms": base_ms, "jitter_ms": base_ms * jitter_share},
        relay={"max_hops": max_hops},
        observation={"stale_after_ms": 900.0},
    )
    ids = tuple(f"V{car:03d}" for car in range(1, cars + 1))
    places = np.random.default_rng(seed).uniform(0.0, spread_m, size=(2, cars))
    radio = Radio(parameters, ego_id="V001", rng=np.random.default_rng(seed))
    _, sending, receiving = CarKeys(int(np.random.default_rng(seed).integers(2**63))).of(ids)
    links = Links(parameters)
    links.rearrange(sending, receiving if max_hops > 1 else receiving[:1], np.full(cars, -1))
    arrivals, course = [], []
    for period in range(1, 13):
        now_s = 0.1 * period
        arrival_s = np.full((cars, cars), np.inf)
        sent = links.transmit(period, now_s, places[0], places[1])
        arrival_s[:, : sent.shape[1]] = sent
        arrivals.append(arrival_s)
        state = make_state(now_s, {name: (*places[:, car], now_s, 0.0, 0.0) for car, name in enumerate(ids)})
        heard = radio.step(state)
        course.append({ids.index(name): round(age_s / 0.1) for name, age_s in _ages(heard).items()})
    for period, (newest, ages) in enumerate(zip(_reference(arrivals, max_hops, 12), course, strict=True), 1):
        assert ages == {source: period - sent for source, sent in newest.items() if period - sent <= 9}
