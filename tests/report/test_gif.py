"""The animation: right frames, right time, small enough for a README."""

import numpy as np
import pytest
from PIL import Image

from roadsense.errors import UsageError
from roadsense.report.episode.gif import write_gif
from roadsense.report.figures.theme import BLUE, RED


def rgb(colour):
    return np.array([int(colour[place : place + 2], 16) for place in (1, 3, 5)])


def test_an_animation_of_the_crash(crash, tmp_path):
    recording, _ = crash
    end_s = recording.frames[-1].time_s
    write_gif(recording, tmp_path / "crash.gif", from_s=end_s - 1.0)
    with Image.open(tmp_path / "crash.gif") as animation:
        assert animation.n_frames == 11 and animation.size == (760, 356)
        durations = []
        for place in range(animation.n_frames):
            animation.seek(place)
            durations.append(animation.info["duration"])
        last = np.asarray(animation.convert("RGB")).astype(int)
    assert durations == [100] * 10 + [1500]
    for colour in (BLUE, RED):
        assert (np.abs(last[30:240] - rgb(colour)).sum(axis=2) < 40).sum() > 30  # the ego and the hazard car are there
    assert (tmp_path / "crash.gif").stat().st_size < 2_000_000


def test_a_part_without_a_frame_is_refused(crash, tmp_path):
    recording, _ = crash
    for part in ({"from_s": 1e6}, {"from_s": 3.0, "until_s": 2.0}):
        with pytest.raises(UsageError, match="no frame lies between"):
            write_gif(recording, tmp_path / "no.gif", **part)
    assert list(tmp_path.iterdir()) == []
