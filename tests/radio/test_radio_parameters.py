"""The parameter file: what ships loads, what is wrong is refused in one line that names the key."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from roadsense.errors import ConfigError
from roadsense.radio.parameters import RadioParameters, load_parameters
from roadsense.radio.profiles import PROFILE_NAMES, packaged_profile

MEASURED = {
    "convoy": (3.84, 1.04, (0.058, 0.116, 0.124, 0.186), 1.6, (2.96, 0.43, 0.39, 4.7)),
    "5m": (3.10, 1.05, (0.08, 0.14, 0.291, 0.30), 1.44, (3.63, 0.068, 0.124, 3.0)),
}

BAD_VALUES = [
    ("latency.base_ms", -1.0),
    ("latency.base_ms", float("nan")),
    ("latency.base_ms", float("inf")),
    ("latency.base_ms", "3.84"),
    ("latency.base_ms", True),
    ("latency.base_ms", None),
    ("latency.jitter_ms", -0.1),
    ("packet_loss.band_edges_m", [20.0, 100.0, 50.0]),
    ("packet_loss.band_edges_m", [20.0, 20.0, 50.0]),
    ("packet_loss.band_edges_m.0", -20.0),
    ("packet_loss.band_edges_m.1", float("nan")),
    ("packet_loss.loss_probabilities", [0.1, 0.2, 0.15, 0.3]),
    ("packet_loss.loss_probabilities", [0.1, 0.2]),
    ("packet_loss.loss_probabilities", []),
    ("packet_loss.loss_probabilities.3", 1.5),
    ("packet_loss.loss_probabilities.0", -0.1),
    ("packet_loss.loss_probabilities.2", float("nan")),
    ("burst_loss.mean_burst_packets", 0.5),
    ("burst_loss.mean_burst_packets", float("nan")),
    ("relay.max_hops", 0),
    ("relay.max_hops", 11),
    ("relay.max_hops", 2.5),
    ("relay.max_hops", "3"),
    ("relay.max_hops", float("nan")),
    ("sensor_noise.gps_m", -1.0),
    ("sensor_noise.gps_correlation_s", -1.0),
    ("sensor_noise.gps_common_share", -0.1),
    ("sensor_noise.gps_common_share", 1.1),
    ("sensor_noise.gps_common_share", float("nan")),
    ("sensor_noise.speed_mps", float("nan")),
    ("sensor_noise.accel_mps2", -1.0),
    ("sensor_noise.heading_deg", float("inf")),
    ("observation.stale_after_ms", 0.0),
    ("observation.stale_after_ms", 50.0),
    ("domain_randomization.enabled", "yes"),
    ("domain_randomization.min_factor", 0.0),
    ("domain_randomization.max_factor", 0.25),
]


def _set(content: dict[str, Any], dotted: str, value: object) -> None:
    *parents, last = dotted.split(".")
    target: Any = content
    for part in parents:
        target = target[int(part)] if isinstance(target, list) else target[part]
    target[int(last) if isinstance(target, list) else last] = value


def _refusal(content: object, tmp_path: Path) -> str:
    file = tmp_path / "radio.json"
    file.write_text(json.dumps(content), encoding="utf-8")
    with pytest.raises(ConfigError) as refused:
        load_parameters(file)
    message = str(refused.value)
    assert "\n" not in message
    assert str(file) in message
    return message


@pytest.mark.parametrize("name", PROFILE_NAMES)
def test_shipped_profile_holds_the_measured_values(name: str) -> None:
    parameters, digest = load_parameters(packaged_profile(name))
    base_ms, jitter_ms, losses, burst, noise = MEASURED[name]
    sensors = parameters.sensor_noise
    assert (parameters.latency.base_ms, parameters.latency.jitter_ms) == (base_ms, jitter_ms)
    assert parameters.packet_loss.band_edges_m == (20.0, 50.0, 100.0, 300.0)
    assert parameters.packet_loss.loss_probabilities == (*losses, 1.0)
    assert parameters.burst_loss.mean_burst_packets == burst
    assert (sensors.gps_m, sensors.speed_mps, sensors.accel_mps2, sensors.heading_deg) == noise
    assert parameters.relay.max_hops == 3
    assert sensors.gps_correlation_s == 60.0
    assert sensors.gps_common_share == 0.0
    assert parameters.observation.stale_after_s == 0.5
    assert (parameters.domain_randomization.min_factor, parameters.domain_randomization.max_factor) == (0.5, 2.0)
    assert digest == hashlib.sha256(packaged_profile(name).read_bytes()).hexdigest()


def test_units_are_converted_at_the_boundary() -> None:
    parameters, _ = load_parameters(None)
    assert parameters.latency.base_s == pytest.approx(0.00384)
    assert parameters.latency.jitter_s == pytest.approx(0.00104)
    assert parameters.sensor_noise.heading_rad == pytest.approx(np.deg2rad(4.7))


def test_default_is_the_convoy_profile() -> None:
    assert load_parameters(None) == load_parameters(packaged_profile("convoy"))


def test_unknown_profile_is_refused_by_name() -> None:
    with pytest.raises(ConfigError, match="unknown radio profile 'convoi'; did you mean 'convoy'"):
        packaged_profile("convoi")


@pytest.mark.parametrize(("key", "value"), BAD_VALUES, ids=[f"{key}={value}" for key, value in BAD_VALUES])
def test_bad_value_is_refused_by_name(key: str, value: object, convoy_content: dict[str, Any], tmp_path: Path) -> None:
    _set(convoy_content, key, value)
    assert f"'{key}'" in _refusal(convoy_content, tmp_path)


@pytest.mark.parametrize(
    ("key", "meant"),
    [
        ("latncy", "latency"),
        ("latency.base_m", "base_ms"),
        ("packet_loss.band_edge_m", "band_edges_m"),
        ("relay.max_hop", "max_hops"),
        ("observation.stale_after", "stale_after_ms"),
    ],
)
def test_unknown_key_is_refused_with_a_suggestion(key: str, meant: str, convoy_content: dict[str, Any], tmp_path: Path) -> None:
    _set(convoy_content, key, 1.0)
    message = _refusal(convoy_content, tmp_path)
    assert f"unknown key '{key}'" in message
    assert f"did you mean '{meant}'" in message


@pytest.mark.parametrize("section", [section for section in RadioParameters.model_fields if section != "relay"])
def test_missing_section_is_named(section: str, convoy_content: dict[str, Any], tmp_path: Path) -> None:
    del convoy_content[section]
    assert f"key '{section}' is missing" in _refusal(convoy_content, tmp_path)


def test_a_measured_set_without_a_relay_section_relays_over_three_links(convoy_content: dict[str, Any]) -> None:
    del convoy_content["relay"]
    assert RadioParameters.parse(convoy_content, "test").relay.max_hops == 3


def test_burst_too_short_for_the_loss_is_refused(convoy_content: dict[str, Any], tmp_path: Path) -> None:
    _set(convoy_content, "packet_loss.loss_probabilities.3", 0.7)
    message = _refusal(convoy_content, tmp_path)
    assert "'burst_loss'" in message
    assert "mean_burst_packets" in message
    assert "2.33" in message


def test_jitter_without_latency_is_refused(convoy_content: dict[str, Any], tmp_path: Path) -> None:
    _set(convoy_content, "latency.base_ms", 0.0)
    assert "'latency.jitter_ms'" in _refusal(convoy_content, tmp_path)


@pytest.mark.parametrize(("base_ms", "named"), [(500.0, "'observation'"), (300.0, "'domain_randomization'")])
def test_latency_that_makes_everything_stale_is_refused(base_ms: float, named: str, convoy_content: dict[str, Any], tmp_path: Path) -> None:
    _set(convoy_content, "latency.base_ms", base_ms)
    assert named in _refusal(convoy_content, tmp_path)


@pytest.mark.parametrize("text", ["", "[1, 2]", "{", '{"latency": 3}', "null", "\ufeff{}"])
def test_file_that_is_no_parameter_object_is_refused(text: str, tmp_path: Path) -> None:
    file = tmp_path / "radio.json"
    file.write_text(text, encoding="utf-8")
    with pytest.raises(ConfigError) as refused:
        load_parameters(file)
    assert "\n" not in str(refused.value)


def test_missing_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no such file"):
        load_parameters(tmp_path / "absent.json")


@given(seed=st.integers(0, 2**32), name=st.sampled_from(PROFILE_NAMES))
def test_randomized_stays_valid_and_within_the_factors(seed: int, name: str) -> None:
    nominal, _ = load_parameters(packaged_profile(name))
    drawn = nominal.randomized(np.random.default_rng(seed))
    assert RadioParameters.parse(drawn.model_dump(), "again") == drawn
    pairs = [
        (nominal.latency.base_ms, drawn.latency.base_ms),
        (nominal.latency.jitter_ms, drawn.latency.jitter_ms),
        (nominal.sensor_noise.gps_m, drawn.sensor_noise.gps_m),
        (nominal.sensor_noise.heading_deg, drawn.sensor_noise.heading_deg),
    ]
    for before, after in pairs:
        assert before * 0.5 * (1 - 1e-9) <= after <= before * 2.0 * (1 + 1e-9)
    assert drawn.burst_loss.mean_burst_packets >= 1
    losses = drawn.packet_loss.loss_probabilities
    assert all(near <= far for near, far in pairwise(losses))
    assert drawn.randomized(np.random.default_rng(seed)) is drawn


def test_randomized_keeps_what_the_cars_share(make_parameters: Callable[..., RadioParameters]) -> None:
    nominal = make_parameters(sensor_noise={"gps_m": 3.0, "gps_common_share": 0.75}).randomized_by(2.0)
    drawn = nominal.randomized(np.random.default_rng(3)).sensor_noise
    assert drawn.gps_m != nominal.sensor_noise.gps_m and drawn.gps_common_share == 0.75


def test_randomized_covers_half_to_twice_evenly_in_the_logarithm() -> None:
    """Every quantity, each with a factor of its own; what an episode must not change stays nominal."""
    nominal, _ = load_parameters(None)
    rng = np.random.default_rng(3)

    def quantities(parameters: RadioParameters) -> list[float]:
        noise = parameters.sensor_noise
        sensors = [noise.gps_m, noise.gps_correlation_s, noise.speed_mps, noise.accel_mps2, noise.heading_deg]
        return [parameters.latency.base_ms, parameters.latency.jitter_ms, parameters.packet_loss.loss_probabilities[0], *sensors]

    drawn = [nominal.randomized(rng) for _ in range(2000)]
    octaves = np.log2(np.array([quantities(parameters) for parameters in drawn]) / quantities(nominal))
    assert (np.abs(octaves).max(axis=0) > 0.98).all()
    assert np.abs(octaves).max() <= 1 + 1e-9
    assert octaves.mean(axis=0) == pytest.approx(0.0, abs=0.06)
    assert octaves.std(axis=0) == pytest.approx(2 / np.sqrt(12), rel=0.06)
    assert np.abs(np.corrcoef(octaves.T) - np.eye(8)).max() < 0.1
    assert {(parameters.relay, parameters.observation, parameters.packet_loss.band_edges_m) for parameters in drawn} == {
        (nominal.relay, nominal.observation, nominal.packet_loss.band_edges_m)
    }


def test_randomization_leaves_the_number_of_hops(convoy_content: dict[str, Any]) -> None:
    _set(convoy_content, "relay.max_hops", 2)
    assert RadioParameters.parse(convoy_content, "test").randomized(np.random.default_rng(0)).relay.max_hops == 2


def test_randomization_switched_off_changes_nothing(convoy_content: dict[str, Any]) -> None:
    _set(convoy_content, "domain_randomization.enabled", False)
    parameters = RadioParameters.parse(convoy_content, "test")
    assert parameters.randomized(np.random.default_rng(1)) is parameters


def test_out_of_range_stays_out_of_range_when_randomized(convoy_content: dict[str, Any]) -> None:
    _set(convoy_content, "packet_loss.loss_probabilities.3", 1.0)
    parameters = RadioParameters.parse(convoy_content, "test")
    for seed in range(20):
        assert parameters.randomized(np.random.default_rng(seed)).packet_loss.loss_probabilities[3] == 1.0
