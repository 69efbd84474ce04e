import math

import pytest

from roadsense.errors import UsageError
from roadsense.state import SpeedCommand
from roadsense.sumo.backend import SpeedWrite
from roadsense.sumo.control import COMMANDED_MODE, DRIVER_MODE, SpeedControl


def drive(speed_mps):
    return SpeedCommand(vehicle_id="A", speed_mps=speed_mps)


def write(mode, speed_mps):
    return SpeedWrite(vehicle_id="A", mode=mode, speed_mps=speed_mps)


def test_modes_are_written_when_they_change_only():
    control = SpeedControl()
    assert control.writes([drive(None)]) == []
    assert control.writes([drive(5.0)]) == [write(COMMANDED_MODE, 5.0)]
    assert control.writes([drive(4.0)]) == [write(None, 4.0)]
    assert control.writes([drive(None)]) == [write(DRIVER_MODE, -1.0)]
    assert control.writes([drive(None)]) == []
    assert control.writes([drive(3.0)]) == [write(COMMANDED_MODE, 3.0)]


def test_who_has_left_is_not_released():
    control = SpeedControl()
    control.writes([drive(5.0)])
    control.forget(["A", "B"])
    assert control.writes([drive(None)]) == []


@pytest.mark.parametrize("speed_mps", [-0.1, math.nan, math.inf])
def test_senseless_speeds_are_refused_before_anything_changes(speed_mps):
    control = SpeedControl()
    with pytest.raises(UsageError, match="finite speed"):
        control.writes([drive(5.0), drive(speed_mps)])
    assert control.writes([drive(None)]) == []
