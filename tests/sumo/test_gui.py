import shutil

import numpy as np
import pytest

pytestmark = [pytest.mark.display, pytest.mark.skipif(shutil.which("Xvfb") is None, reason="Xvfb is not installed (apt-get install xvfb)")]


def test_a_window_shows_the_same_simulation(make_session, road, display):
    watched, plain = make_session(gui=True), make_session()
    for seed in (1, 2):
        for session in (watched, plain):
            session.reset(road.options(), seed=seed)
        states = [session.advance(3.0) for session in (watched, plain)]
        np.testing.assert_array_equal(states[0].vehicles.x_m, states[1].vehicles.x_m)
    assert watched.restarts == 1
    view = watched._backend._api.gui
    assert view.getTrackedVehicle("View #0") == watched.ego_id and view.getZoom("View #0") > 100  # the cars can be seen
    watched.close()


def test_without_a_display_the_error_says_so(make_session, road, monkeypatch):
    monkeypatch.delenv("DISPLAY", raising=False)
    with pytest.raises(Exception, match="unable to open display"):
        make_session(gui=True).reset(road.options(), seed=1)
