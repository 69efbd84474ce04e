"""The radio over an episode: memory, staleness, changing traffic, determinism and independence of streams."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable

import numpy as np
import pytest

from roadsense.errors import UsageError
from roadsense.radio.message import HeardPeers
from roadsense.radio.parameters import RadioParameters, load_parameters
from roadsense.radio.radio import Radio
from roadsense.state import SimulatorState

MakeState = Callable[..., SimulatorState]
MakeParameters = Callable[..., RadioParameters]
Row = tuple[float, float, float, float, float, float]

EGO = {"V001": (0.0, 0.0, 20.0, 0.0, 0.0)}
STEPS = 200  # more than three blocks of draws


def _rows(heard: HeardPeers) -> dict[str, Row]:
    columns = zip(heard.x_m, heard.y_m, heard.speed_mps, heard.accel_mps2, heard.heading_rad, heard.age_s, strict=True)
    return {source: tuple(float(value) for value in row) for source, row in zip(heard.source_ids, columns, strict=True)}  # type: ignore[misc]


def _harsh(max_hops: int = 3) -> RadioParameters:
    content = load_parameters(None)[0].model_dump()
    content["relay"]["max_hops"] = max_hops
    content["sensor_noise"]["gps_correlation_s"] = 3.0
    content["latency"] |= {"base_ms": 120.0, "jitter_ms": 60.0}
    return RadioParameters.parse(content, "test")


def _episode(
    states: Iterable[SimulatorState], equipped: Collection[str] | None = None, seed: int = 6, max_hops: int = 3
) -> list[dict[str, Row]]:
    radio = Radio(_harsh(max_hops), ego_id="V001", rng=np.random.default_rng(seed))
    return [_rows(radio.step(state, equipped)) for state in states]


def _convoy(
    make_state: MakeState, ids: Collection[str], extra: Callable[[int], dict[str, tuple[float, ...]]] = lambda _: {}
) -> list[SimulatorState]:
    states = []
    for step in range(STEPS):
        peers = {name: (30.0 * int(name[1:]) + 0.2 * step, 0.0, 20.0, 0.0, 0.0) for name in ids}
        states.append(make_state(0.1 * (step + 1), extra(step) | EGO | peers))
    return states


def test_perfect_radio_hears_the_truth_at_once(make_state: MakeState) -> None:
    rng = np.random.default_rng(0)
    radio = Radio(RadioParameters.perfect(), ego_id="V001", rng=rng)
    for step in range(100):
        truth = {
            f"P{car}": (*rng.uniform(-500, 500, 2), rng.uniform(0, 40), rng.uniform(-8, 3), rng.uniform(-3.1, 3.1)) for car in range(4)
        }
        state = make_state(step * 0.1, {**EGO, **truth})
        assert _rows(radio.step(state)) == {name: (*values, 0.0) for name, values in truth.items()}
        own = radio.own_measurement(state)
        assert (own.x_m, own.y_m, own.speed_mps, own.accel_mps2, own.heading_rad) == EGO["V001"]


def test_same_seed_same_episode_and_other_seed_another(make_state: MakeState) -> None:
    states = _convoy(make_state, ("V2", "V3", "V4"))
    assert _episode(states) == _episode(states)
    assert _episode(states) != _episode(states, seed=7)


def test_one_number_is_drawn_from_the_given_stream(make_state: MakeState) -> None:
    used, untouched = np.random.default_rng(4), np.random.default_rng(4)
    radio = Radio(_harsh(), ego_id="V001", rng=used)
    for state in _convoy(make_state, ("V2", "V3")):
        radio.step(state)
    untouched.integers(2**63)
    assert used.integers(2**63) == untouched.integers(2**63)


def _visitors(step: int) -> dict[str, tuple[float, ...]]:
    """Cars that come and go all the time."""
    there = {f"W{car}": (200.0 + car, 5.0, 30.0, 0.0, 1.0) for car in range(step % 7)}
    return there if step % 3 else {}


def test_other_cars_do_not_change_what_comes_directly(make_state: MakeState) -> None:
    alone = _episode(_convoy(make_state, ("V2", "V3")), max_hops=1)
    crowded = _episode(_convoy(make_state, ("V3", "V9", "V2", "V5"), _visitors), max_hops=1)
    assert [{name: rows[name] for name in ("V2", "V3") if name in rows} for rows in crowded] == alone
    assert any("V9" in rows for rows in crowded)
    assert any("W0" in rows for rows in crowded)


def test_other_cars_only_help_by_relaying(make_state: MakeState) -> None:
    """With more relays a source is never heard later, sometimes sooner, and what it measured stays the same."""
    alone = _episode(_convoy(make_state, ("V2", "V3")))
    crowded = _episode(_convoy(make_state, ("V3", "V9", "V2", "V5"), _visitors))
    sooner = 0
    measured: dict[tuple[str, int], Row] = {}
    for step, (few, many) in enumerate(zip(alone, crowded, strict=True)):
        for name, row in few.items():
            assert many[name][5] <= row[5] + 1e-9
            sooner += many[name][5] < row[5] - 0.05
        for name, row in (*few.items(), *many.items()):
            assert measured.setdefault((name, round(step - row[5] / 0.1)), row[:5]) == row[:5]
    assert sooner > 10


def test_only_equipped_cars_are_heard_and_the_ego_never_hears_itself(make_state: MakeState) -> None:
    states = _convoy(make_state, ("V2", "V3", "V4"))
    everyone, some = _episode(states, max_hops=1), _episode(states, equipped={"V001", "V3"}, max_hops=1)
    assert {source for rows in everyone for source in rows} == {"V2", "V3", "V4"}
    assert {source for rows in some for source in rows} == {"V3"}
    assert [{name: row for name, row in rows.items() if name == "V3"} for rows in everyone] == some
    assert not any(_episode(states, equipped=()))


def test_equipment_may_change_in_place(make_state: MakeState) -> None:
    radio = Radio(RadioParameters.perfect(), ego_id="V001", rng=np.random.default_rng(0))
    equipped = {"V2"}
    states = _convoy(make_state, ("V2", "V3"))
    assert radio.step(states[0], equipped).source_ids == ("V2",)
    equipped.add("V3")
    assert set(radio.step(states[1], equipped).source_ids) == {"V2", "V3"}


def test_table_keeps_the_last_message_through_a_loss(make_state: MakeState, make_parameters: MakeParameters) -> None:
    parameters = make_parameters(
        packet_loss={"band_edges_m": [100.0], "loss_probabilities": [0.0, 1.0]}, observation={"stale_after_ms": 500.0}
    )
    radio = Radio(parameters, ego_id="V001", rng=np.random.default_rng(0))
    radio.step(make_state(0.1, {**EGO, "V2": (50.0, 1.0, 12.0, -2.0, 0.3)}))
    for step in range(2, 12):
        heard = _rows(radio.step(make_state(0.1 * step, {**EGO, "V2": (150.0, 9.0, 9.0, 9.0, 0.9)})))
        if step <= 6:
            assert heard["V2"] == pytest.approx((50.0, 1.0, 12.0, -2.0, 0.3, 0.1 * (step - 1)))
        else:
            assert heard == {}
    again = _rows(radio.step(make_state(1.2, {**EGO, "V2": (60.0, 1.0, 12.0, -2.0, 0.3)})))
    assert set(again) <= {"V2"}


def test_a_car_that_vanishes_ages_out_and_may_return(make_state: MakeState) -> None:
    radio = Radio(RadioParameters.perfect(), ego_id="V001", rng=np.random.default_rng(0))
    radio.step(make_state(0.1, {**EGO, "V2": (50.0, 0.0, 12.0, 0.0, 0.0), "V3": (80.0, 0.0, 12.0, 0.0, 0.0)}))
    ages = [_rows(radio.step(make_state(0.1 * step, {**EGO, "V3": (80.0, 0.0, 12.0, 0.0, 0.0)}))).get("V2") for step in range(2, 9)]
    assert [row[5] if row else None for row in ages] == [*(pytest.approx(0.1 * late) for late in range(1, 6)), None, None]
    assert _rows(radio.step(make_state(0.9, {**EGO, "V2": (55.0, 0.0, 12.0, 0.0, 0.0)})))["V2"] == (55.0, 0.0, 12.0, 0.0, 0.0, 0.0)


def test_driving_out_of_range_silences_a_link_at_once(make_state: MakeState, make_parameters: MakeParameters) -> None:
    parameters = make_parameters(
        packet_loss={"band_edges_m": [100.0], "loss_probabilities": [0.0, 1.0]}, burst_loss={"mean_burst_packets": 8.0}
    )
    radio = Radio(parameters, ego_id="V001", rng=np.random.default_rng(0))
    cars = [f"P{car}" for car in range(50)]
    for step, distance_m in enumerate([50.0, 150.0, 150.0, 150.0]):
        heard = radio.step(make_state(0.1 * step, EGO | dict.fromkeys(cars, (distance_m, 0.0, 0.0, 0.0, 0.0))))
        assert heard.x_m.tolist() == [50.0] * 50
        assert heard.age_s == pytest.approx(np.full(50, 0.1 * step))


def test_a_returning_link_starts_anew(make_state: MakeState, make_parameters: MakeParameters) -> None:
    """A loss of 1 holds a link for as long as the car is there; a car that comes back nearer is heard."""
    parameters = make_parameters(packet_loss={"band_edges_m": [100.0], "loss_probabilities": [0.0, 1.0]})
    radio = Radio(parameters, ego_id="V001", rng=np.random.default_rng(0))
    assert len(radio.step(make_state(0.1, {**EGO, "V2": (150.0, 0.0, 0.0, 0.0, 0.0)}))) == 0
    radio.step(make_state(0.2, EGO))
    assert len(radio.step(make_state(0.3, {**EGO, "V2": (50.0, 0.0, 0.0, 0.0, 0.0)}))) == 1


def test_without_the_ego_memory_ages_and_nothing_new_comes(make_state: MakeState) -> None:
    radio = Radio(RadioParameters.perfect(), ego_id="V001", rng=np.random.default_rng(0))
    peer = {"V2": (50.0, 0.0, 12.0, 0.0, 0.0)}
    radio.step(make_state(0.1, {**EGO, **peer}))
    gone = make_state(0.2, peer)
    assert _rows(radio.step(gone))["V2"][5] == pytest.approx(0.1)
    with pytest.raises(UsageError, match="'V001' is not on the road"):
        radio.own_measurement(gone)


def test_an_empty_road_is_heard_as_nothing(make_state: MakeState) -> None:
    radio = Radio(_harsh(), ego_id="V001", rng=np.random.default_rng(0))
    for step in range(150):
        assert len(radio.step(make_state(0.1 * step, EGO if step % 2 else {}))) == 0


def test_what_was_handed_out_is_not_touched_again(make_state: MakeState) -> None:
    radio = Radio(RadioParameters.perfect(), ego_id="V001", rng=np.random.default_rng(0))
    states = _convoy(make_state, ("V2", "V3"))
    heard = radio.step(states[0])
    before = _rows(heard)
    for state in states[1:10]:
        radio.step(state)
    assert _rows(heard) == before
    heard.x_m[:] = -1.0
    assert -1.0 not in radio.step(make_state(states[9].time_s + 0.1, EGO)).x_m


def test_radios_may_be_switched_while_the_same_cars_drive_on(make_state: MakeState) -> None:
    """The order of cars is only worked out anew when cars or radios change; the same tuple of ids with other radios is a change."""
    radio = Radio(RadioParameters.perfect(), ego_id="V001", rng=np.random.default_rng(0))
    vehicles = make_state(0.0, EGO | dict.fromkeys(("V002", "V003"), (50.0, 0.0, 20.0, 0.0, 0.0))).vehicles
    heard = []
    for step, equipped in enumerate([("V002",), ("V002",), ("V003",), None], start=1):
        heard.append(set(radio.step(SimulatorState(time_s=1.0 * step, vehicles=vehicles), equipped).source_ids))
    assert heard == [{"V002"}, {"V002"}, {"V003"}, {"V002", "V003"}]
