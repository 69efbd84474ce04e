"""Looking at the air: what the view says is what happened, and looking changes nothing."""

import numpy as np
import pytest

from roadsense.errors import UsageError
from roadsense.radio.links import DELIVERED, LOST, OUT_OF_RANGE
from roadsense.radio.parameters import load_parameters
from roadsense.radio.radio import Radio

LOSSY = {"band_edges_m": [100.0], "loss_probabilities": [0.3, 1.0]}


def platoon(step, spacings=(0.0, 30.0, 60.0, 130.0)):
    return {f"V{car:03d}": (20.0 * 0.1 * step + place, 0.0, 20.0, 0.0, 0.0) for car, place in enumerate(spacings, start=1)}


def test_a_delivered_broadcast_is_known_in_the_next_period_and_a_lost_one_is_not(make_state, make_parameters):
    parameters = make_parameters(
        packet_loss=LOSSY, latency={"base_ms": 4.0}, burst_loss={"mean_burst_packets": 1.6}, relay={"max_hops": 1},
        observation={"stale_after_ms": 5000.0},
    )  # fmt: skip
    radio = Radio(parameters, ego_id="V001", rng=np.random.default_rng(3))
    before, seen = None, set()
    for step in range(1, 201):
        state = make_state(0.1 * step, platoon(step))
        heard = radio.step(state)
        ages = dict(zip(heard.source_ids, heard.age_s.tolist(), strict=True))
        if before is not None:
            for row, name in enumerate(before.ids[1:], start=1):
                fate = int(before.fates[row, 0])
                seen.add(fate)
                is_fresh = ages.get(name, 9.0) == pytest.approx(0.1)
                assert is_fresh == (fate == DELIVERED), (step, name)
                assert (fate == OUT_OF_RANGE) == (name == "V004")
        before = radio.view(state)
        assert before.fates.shape == (4, 1)
        assert {name: before.links[name] for name in ages} == dict.fromkeys(ages, 1)
    assert seen == {DELIVERED, LOST, OUT_OF_RANGE}


def test_links_count_the_relays(make_state, make_parameters):
    parameters = make_parameters(
        packet_loss={"band_edges_m": [100.0], "loss_probabilities": [0.0, 1.0]}, latency={"base_ms": 4.0}, relay={"max_hops": 3},
        observation={"stale_after_ms": 5000.0},
    )  # fmt: skip
    radio = Radio(parameters, ego_id="V001", rng=np.random.default_rng(0))
    for step in range(1, 12):
        state = make_state(0.1 * step, platoon(step, (0.0, 80.0, 160.0, 240.0, 320.0)))
        radio.step(state)
    view = radio.view(state)
    assert view.links == {"V001": 0, "V002": 1, "V003": 2, "V004": 3, "V005": 0}
    assert view.fates.shape == (5, 5)
    # Neighbours reach each other, the next but one are out of range, and it is the same in both directions.
    assert (view.fates == view.fates.T).all()
    assert [view.fates[0, column] for column in range(1, 5)] == [DELIVERED, OUT_OF_RANGE, OUT_OF_RANGE, OUT_OF_RANGE]


def test_looking_changes_nothing(make_state):
    parameters, _ = load_parameters(None)
    watched, plain = (Radio(parameters, ego_id="V001", rng=np.random.default_rng(7)) for _ in range(2))
    for step in range(1, 60):
        state = make_state(0.1 * step, platoon(step))
        heard, same = watched.step(state), plain.step(state)
        watched.view(state)
        assert heard.source_ids == same.source_ids
        np.testing.assert_array_equal(heard.age_s, same.age_s)
        np.testing.assert_array_equal(heard.x_m, same.x_m)


def test_a_view_of_another_state_is_refused(make_state):
    parameters, _ = load_parameters(None)
    radio = Radio(parameters, ego_id="V001", rng=np.random.default_rng(0))
    radio.step(make_state(0.1, platoon(1)))
    with pytest.raises(UsageError, match=r"last stepped at 0\.1 s"):
        radio.view(make_state(0.2, platoon(2)))
