"""Radios around a measured one do what their files say, counted at a receiver."""

import numpy as np
import pytest

from roadsense.errors import ConfigError
from roadsense.radio.draws import CarKeys
from roadsense.radio.links import Links
from roadsense.radio.parameters import RadioParameters, load_parameters
from roadsense.radio.realised import realised
from roadsense.radio.variations import deaf, with_latency, with_loss

NOMINAL, _ = load_parameters(None)


def written(parameters, tmp_path):
    """As it comes back from its file."""
    path = tmp_path / "radio.json"
    path.write_text(parameters.model_dump_json())
    return RadioParameters.load_json(path)


@pytest.mark.parametrize("loss", [0.0, 0.1, 0.4, 0.8, 0.9])
def test_the_loss_is_what_is_lost_at_every_distance_in_range(loss, tmp_path):
    parameters = written(with_loss(NOMINAL, loss), tmp_path)
    memory = 1 - 1 / parameters.burst_loss.mean_burst_packets - loss / max(1 - loss, 0.1) / parameters.burst_loss.mean_burst_packets
    error = np.sqrt(loss * (1 - loss) / 4000 * (1 + memory) / (1 - memory))
    for distance_m in (10.0, 30.0, 250.0):
        counted = realised(parameters, np.random.default_rng(3), periods=4000, distance_m=distance_m)
        assert counted.loss == pytest.approx(loss, abs=4 * error + 1e-12)
    assert realised(parameters, np.random.default_rng(3), periods=50, distance_m=400.0).loss == 1.0  # beyond the range nothing changes
    assert parameters.latency == NOMINAL.latency
    assert not parameters.domain_randomization.enabled


@pytest.mark.parametrize("base_ms", [0.0, 50.0, 250.0, 800.0])
def test_the_latency_is_what_packets_take(base_ms, tmp_path):
    parameters = written(with_latency(NOMINAL, base_ms), tmp_path)
    links = Links(parameters)
    _, sending, receiving = CarKeys(1).of(("ego", "peer"))
    links.rearrange(sending, receiving, np.array([-1, -1]))
    arrivals_s = np.array([links.transmit(period, 0.0, np.array([0.0, 30.0]), np.zeros(2))[1, 0] for period in range(1, 2001)])
    arrived_s = arrivals_s[np.isfinite(arrivals_s)]
    assert 1000 * arrived_s.mean() == pytest.approx(base_ms, abs=0.2)
    counted = realised(parameters, np.random.default_rng(2), periods=4000)
    assert counted.loss == pytest.approx(NOMINAL.packet_loss.loss_probabilities[1], abs=0.03)
    # The ego listens once per 0.1 s, so it hears a latency rounded up; none at all in the very step.
    assert counted.heard_age_s == pytest.approx(0.1 * np.ceil(base_ms / 100), abs=0.055 if base_ms % 100 == 0 and base_ms else 1e-6)


def test_nobody_is_heard_by_the_deaf(tmp_path):
    for parameters in (deaf(NOMINAL), with_loss(NOMINAL, 1.0), deaf(RadioParameters.perfect())):
        counted = realised(written(parameters, tmp_path), np.random.default_rng(1), periods=200, distance_m=1.0)
        assert counted.loss == 1.0
        assert counted.heard_age_s is None
    assert deaf(NOMINAL).sensor_noise == NOMINAL.sensor_noise


def test_the_perfect_radio_delivers_everything_at_once():
    counted = realised(RadioParameters.perfect(), np.random.default_rng(1), periods=200)
    assert counted.loss == 0.0
    assert counted.heard_age_s == 0.0


@pytest.mark.parametrize(("change", "value"), [(with_loss, -0.1), (with_loss, 1.5), (with_latency, -1.0), (with_latency, 1e6)])
def test_what_no_radio_has_is_refused(change, value):
    with pytest.raises(ConfigError, match=r"a (loss|latency) of"):
        change(NOMINAL, value)
