"""Sensor noise: drawn once at the sender, of the nominal size, correlated where the file says so."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from roadsense.radio.draws import CarKeys
from roadsense.radio.parameters import RadioParameters, SensorNoise, load_parameters
from roadsense.radio.profiles import PROFILE_NAMES, packaged_profile
from roadsense.radio.radio import Radio
from roadsense.radio.sensors import Sensors
from roadsense.state import SimulatorState

MakeState = Callable[..., SimulatorState]
MakeParameters = Callable[..., RadioParameters]

CARS = 150
TRUTH = (40.0, -7.0, 20.0, -1.0, 0.5)
FIELDS = ("x_m", "y_m", "speed_mps", "accel_mps2", "heading_rad")


def _errors(parameters: RadioParameters, make_state: MakeState, steps: int, seed: int = 1) -> np.ndarray:
    """Measurement errors of cars that stand still in every respect: array (steps, 5, CARS); needs zero latency and no loss."""
    motions = {"V001": (0.0, 0.0, 10.0, 0.0, 0.0)} | {f"P{car:03d}": TRUTH for car in range(CARS)}
    radio = Radio(parameters, ego_id="V001", rng=np.random.default_rng(seed))
    errors = np.empty((steps, 5, CARS))
    for step in range(steps):
        heard = radio.step(make_state(step * 0.1, motions))
        assert len(heard) == CARS
        errors[step] = np.array([getattr(heard, field) for field in FIELDS]) - np.array(TRUTH)[:, None]
    return errors


def test_white_noise_has_the_nominal_deviations(make_state: MakeState, make_parameters: MakeParameters) -> None:
    errors = _errors(
        make_parameters(sensor_noise={"gps_m": 2.96, "speed_mps": 0.43, "accel_mps2": 0.39, "heading_deg": 4.7}), make_state, 200
    )
    nominal = [2.96, 2.96, 0.43, 0.39, np.deg2rad(4.7)]
    assert errors.std(axis=(0, 2)) == pytest.approx(nominal, rel=0.02)
    assert np.abs(errors.mean(axis=(0, 2)) / nominal).max() < 0.02
    flat = errors.transpose(1, 0, 2).reshape(5, -1)
    assert np.abs(np.corrcoef(flat) - np.eye(5)).max() < 0.02
    assert np.abs(np.corrcoef(errors[:-1].ravel(), errors[1:].ravel())[0, 1]) < 0.02


def test_correlated_gps_error_keeps_the_nominal_deviation(make_state: MakeState, make_parameters: MakeParameters) -> None:
    """The autocorrelation is exp(-lag / T), within five standard errors estimated over independent cars and axes."""
    noise = {"gps_m": 3.0, "gps_correlation_s": 2.0, "speed_mps": 0.4}
    errors = _errors(make_parameters(sensor_noise=noise), make_state, 1200)
    series = errors[:, :2].reshape(1200, -1) / 3.0
    assert series[0].std() == pytest.approx(1.0, rel=0.1), "stationary from the first step"
    for lag in (0, 1, 5, 10, 20, 40, 80):
        products = (series[: 1200 - lag] * series[lag:]).mean(axis=0)
        error = products.std() / np.sqrt(len(products))
        assert products.mean() == pytest.approx(np.exp(-0.1 * lag / 2.0), abs=5 * error)
    speed = errors[:, 2]
    assert abs(np.corrcoef(speed[:-1].ravel(), speed[1:].ravel())[0, 1]) < 0.02, "only the GPS error is correlated"


@pytest.mark.parametrize("name", PROFILE_NAMES)
def test_shipped_gps_errors_last_for_a_minute(name: str, make_state: MakeState) -> None:
    """600 cars measured once a second: only the time that has passed counts, not the number of measurements."""
    parameters, _ = load_parameters(packaged_profile(name))
    sensors = Sensors(parameters.sensor_noise, CarKeys(1))
    vehicles = make_state(0.0, {f"P{car}": (0.0,) * 5 for car in range(600)}).vehicles
    errors = np.array([sensors.measure(vehicles, 1.0)[:2].ravel() for _ in range(121)]) / parameters.sensor_noise.gps_m
    assert errors.var() == pytest.approx(1.0, abs=0.1)
    for lag_s in (1, 60, 120):
        correlation = (errors[: 121 - lag_s] * errors[lag_s:]).mean()
        assert correlation == pytest.approx(np.exp(-lag_s / 60.0), abs=5 / np.sqrt(1200))


def test_a_car_that_joins_later_has_the_nominal_gps_error_at_once(make_state: MakeState, make_parameters: MakeParameters) -> None:
    radio = Radio(make_parameters(sensor_noise={"gps_m": 3.0, "gps_correlation_s": 20.0}), ego_id="V001", rng=np.random.default_rng(2))
    ego = {"V001": (0.0,) * 5}
    for step in range(10):
        radio.step(make_state(step * 0.1, ego))
    heard = radio.step(make_state(1.0, ego | {f"P{car}": TRUTH for car in range(1000)}))
    assert (heard.x_m - TRUTH[0]).std() == pytest.approx(3.0, rel=0.1)
    assert (heard.y_m - TRUTH[1]).std() == pytest.approx(3.0, rel=0.1)


@pytest.mark.parametrize("share", [0.0, 0.75, 1.0])
def test_a_share_of_the_gps_error_is_common_to_all_cars(share: float, make_state: MakeState, make_parameters: MakeParameters) -> None:
    """Over 60 episodes: the share is the correlation between any two cars' errors; size and course in time of each stay as they are."""
    noise = {"gps_m": 3.0, "gps_correlation_s": 2.0, "gps_common_share": share, "speed_mps": 0.4}
    parameters, episodes, steps = make_parameters(sensor_noise=noise), 60, 60
    errors = np.array([_errors(parameters, make_state, steps, seed) for seed in range(episodes)])  # (episodes, steps, 5, cars)
    gps = errors[:, :, :2] / 3.0
    common = gps.mean(axis=-1)  # of 150 cars: what they do not share is gone but for 1/150 of its variance
    assert gps.var(axis=-1).mean() == pytest.approx((1 - share) * (1 - 1 / CARS), abs=0.03)
    assert (common[:, :-1] * common[:, 1:]).sum() / (common**2).sum() == pytest.approx(np.exp(-0.1 / 2.0), abs=0.02)
    assert np.abs(errors[:, :, 2].mean(axis=-1)).max() < 5 * 0.4 / np.sqrt(CARS), "only the GPS error has a common part"


@pytest.mark.parametrize("share", [0.25, 0.75])
def test_the_share_is_one_of_the_variance(share: float, make_state: MakeState) -> None:
    """White errors of two cars, 16,000 of each: the size of each stays as it is, and the share is their correlation."""
    noise = SensorNoise(gps_m=3.0, gps_common_share=share, speed_mps=0.0, accel_mps2=0.0, heading_deg=0.0)
    sensors, vehicles = Sensors(noise, CarKeys(1)), make_state(0.0, {"A": (0.0,) * 5, "B": (0.0,) * 5}).vehicles
    first, second = np.array([sensors.measure(vehicles, 0.1)[:2] for _ in range(8000)]).transpose(2, 0, 1).reshape(2, -1)
    assert (first.std(), second.std()) == pytest.approx((3.0, 3.0), rel=0.03)
    assert np.corrcoef(first, second)[0, 1] == pytest.approx(share, abs=0.04)


def test_the_common_part_outlives_the_cars(make_state: MakeState, make_parameters: MakeParameters) -> None:
    """Whoever comes meets it as it is, also when all others have gone; and its size does not depend on who is there."""
    noise = SensorNoise(gps_m=1.0, gps_correlation_s=1e5, gps_common_share=1.0, speed_mps=0.0, accel_mps2=0.0, heading_deg=0.0)
    sensors, others = Sensors(noise, CarKeys(1)), Sensors(noise, CarKeys(1))
    first = sensors.measure(make_state(0.0, {"A": (0.0,) * 5, "B": (0.0,) * 5}).vehicles, 0.1)
    later = sensors.measure(make_state(0.1, {f"C{car}": (0.0,) * 5 for car in range(3)}).vehicles, 0.1)
    assert first[:2, 0].tolist() == first[:2, 1].tolist() and later[:2, 0].tolist() == later[:2, 2].tolist()
    assert np.abs(later[:2, 0] - first[:2, 0]).max() < 0.02 < np.abs(first[:2, 0]).min()
    alone = others.measure(make_state(0.0, {"Z": (0.0,) * 5}).vehicles, 0.1)
    assert alone[:2, 0].tolist() == first[:2, 0].tolist()


def test_a_remembered_message_does_not_change(make_state: MakeState) -> None:
    parameters, _ = load_parameters(None)
    radio = Radio(parameters, ego_id="V001", rng=np.random.default_rng(3))
    first_heard: dict[tuple[str, int], tuple[float, ...]] = {}
    repeats = 0
    for step in range(300):
        motions = {"V001": (0.0,) * 5} | {f"P{car}": (150.0 + step, 0.0, 20.0, 0.0, 0.0) for car in range(5)}
        heard = radio.step(make_state(step * 0.1, motions))
        for row, source in enumerate(heard.source_ids):
            values = tuple(float(getattr(heard, field)[row]) for field in FIELDS)
            key = (source, round(step - heard.age_s[row] / 0.1))
            repeats += key in first_heard
            assert first_heard.setdefault(key, values) == values
    assert repeats > 50, "losses must have left some messages in the table"


def test_every_receiver_hears_the_same_noise_and_so_does_the_sender(make_state: MakeState) -> None:
    parameters, _ = load_parameters(None)
    receivers = {ego_id: Radio(parameters, ego_id=ego_id, rng=np.random.default_rng(3)) for ego_id in ("V001", "V002", "V003")}
    own: dict[int, tuple[float, ...]] = {}
    compared = 0
    for step in range(100):
        state = make_state(step * 0.1, {f"V00{car}": (15.0 * car, 0.0, 20.0, 0.0, 3.1) for car in (1, 2, 3)})
        heard = {ego_id: radio.step(state) for ego_id, radio in receivers.items()}
        measurement = receivers["V002"].own_measurement(state)
        own[step] = tuple(getattr(measurement, field) for field in FIELDS)
        for ego_id in ("V001", "V003"):
            row = heard[ego_id].source_ids.index("V002") if "V002" in heard[ego_id].source_ids else None
            if row is not None:
                sent_step = round(step - heard[ego_id].age_s[row] / 0.1)
                assert tuple(float(getattr(heard[ego_id], field)[row]) for field in FIELDS) == own[sent_step]
                compared += 1
    assert compared > 150


def test_own_measurement_is_drawn_once_per_step_in_either_order(make_state: MakeState) -> None:
    parameters, _ = load_parameters(None)
    before, after = (Radio(parameters, ego_id="V001", rng=np.random.default_rng(9)) for _ in range(2))
    drawn = []
    for step in range(150):
        state = make_state(step * 0.1, {"V001": (0.0, 0.0, 20.0, 0.0, 0.0), "V002": (30.0, 0.0, 20.0, 0.0, 0.0)})
        first = before.own_measurement(state)
        assert before.own_measurement(state) == first
        before.step(state)
        after.step(state)
        assert after.own_measurement(state) == first
        drawn.append(first.x_m)
    assert len(set(drawn)) == 150


def test_measured_speed_is_never_negative_and_heading_stays_wrapped(make_state: MakeState, make_parameters: MakeParameters) -> None:
    radio = Radio(make_parameters(sensor_noise={"speed_mps": 2.0, "heading_deg": 90.0}), ego_id="V001", rng=np.random.default_rng(0))
    motions = {"V001": (0.0,) * 5} | {f"P{car}": (9.0, 0.0, 0.0, 0.0, np.pi) for car in range(500)}
    heard = radio.step(make_state(0.0, motions))
    assert heard.speed_mps.min() == 0.0
    assert heard.speed_mps.max() > 2.0
    assert -np.pi < heard.heading_rad.min() <= heard.heading_rad.max() <= np.pi
    assert heard.heading_rad.min() < 0 < heard.heading_rad.max()
