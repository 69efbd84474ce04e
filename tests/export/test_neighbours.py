"""The neighbour table in C and in Python are one: fed with the same messages they believe the same and see it alike."""

import ctypes
import subprocess
from pathlib import Path

import numpy as np
import pytest

from roadsense.export.c_library import STRICT_FLAGS
from roadsense.features import PEER_SCALES
from roadsense.radio.message import OwnMeasurement
from roadsense.radio.observe import observe_peers
from roadsense.recording.geodesy import heading_rad
from roadsense.recording.log import Message
from roadsense.recording.message_table import MessageTable

OWN_ID = 1
TURN_E7 = 3_600_000_000


@pytest.fixture(scope="session")
def shim(exports, tmp_path_factory):
    library = tmp_path_factory.mktemp("shim") / "shim.so"
    source = str(Path(__file__).with_name("neighbours_shim.c"))
    command = ["gcc", *STRICT_FLAGS, "-DROADSENSE_MAX_NEIGHBOURS=12", "-O1", "-fPIC", "-shared", f"-I{exports['max']}", source, "-lm"]
    subprocess.run([*command, "-o", str(library)], check=True)
    loaded = ctypes.CDLL(str(library))
    numbers = ctypes.c_uint32, ctypes.c_int32, ctypes.c_uint16, ctypes.c_int16, ctypes.c_float
    u32, i32, u16, i16, f32 = numbers
    floats = ctypes.POINTER(f32)
    loaded.shim_hear.argtypes = [u32, u32, i32, i32, u16, i16, u16, u32, u32]
    loaded.shim_peers.argtypes = [i32, i32, f32, f32, u32, floats]
    loaded.shim_decide.argtypes = [i32, i32, f32, f32, f32, u32, floats]
    loaded.shim_clear()
    return loaded


def sorted_rows(rows):
    return rows[np.lexsort(np.round(rows, 3).T)]


def peers_in_c(shim, lat_e7, lon_e7, speed, compass, now_ms):
    rows = np.zeros((12, 6), np.float32)
    pointer = rows.ctypes.data_as(ctypes.POINTER(ctypes.c_float))
    count = shim.shim_peers(lat_e7, lon_e7, speed, compass, now_ms % 2**32, pointer)
    return rows[:count]


def peers_in_python(table, lat_e7, lon_e7, speed, compass, now_ms):
    own = OwnMeasurement(x_m=0.0, y_m=0.0, speed_mps=speed, accel_mps2=0.0, heading_rad=heading_rad(compass))
    return observe_peers(own, table.fresh(now_ms * 1e-3, lat_e7 * 1e-7, lon_e7 * 1e-7)).astype(np.float64) * PEER_SCALES


@pytest.mark.parametrize("seed", range(6))
def test_both_tables_say_the_same(shim, seed):
    """Random sources, copies, late and stale messages, clocks a little ahead; over the turn of the 32-bit clock and of the antimeridian."""
    rng = np.random.default_rng(seed)
    table = MessageTable()
    shim.shim_clear()
    now_ms = 2**32 - 3000 if seed % 2 else 500_000
    own_lat_e7, own_lon_e7 = [(480_000_000, 110_000_000), (-335_000_000, 1_799_999_000), (-335_000_000, -1_799_999_000)][seed // 2]
    believed = 0
    for _ in range(400):
        now_ms += int(rng.integers(0, 60))
        source = int(rng.integers(1, 9))
        measured_ms = now_ms - int(rng.choice([*range(0, 40, 4), *range(90, 700, 40), -30]))
        lat_e7 = own_lat_e7 + int(rng.integers(-20_000, 20_000))
        lon_e7 = (own_lon_e7 + int(rng.integers(-20_000, 20_000)) + TURN_E7 // 2) % TURN_E7 - TURN_E7 // 2
        speed, accel, heading = int(rng.integers(0, 4000)), int(rng.integers(-1000, 500)), int(rng.integers(0, 36000))
        told = shim.shim_hear(source, measured_ms % 2**32, lat_e7, lon_e7, speed, accel, heading, OWN_ID, now_ms % 2**32)
        message = Message(
            source_id=str(source),
            logged_s=now_ms * 1e-3,
            measured_s=measured_ms * 1e-3,
            latitude_deg=lat_e7 * 1e-7,
            longitude_deg=lon_e7 * 1e-7,
            speed_mps=speed * 1e-2,
            accel_mps2=accel * 1e-2,
            compass_deg=heading * 1e-2,
            hop_count=0,
        )
        assert bool(told) == (source != OWN_ID and table.hear(message, now_ms * 1e-3))
        own = (own_lat_e7, own_lon_e7, 20.0, float(rng.uniform(0, 360)), now_ms)
        in_c, in_python = sorted_rows(peers_in_c(shim, *own)), sorted_rows(peers_in_python(table, *own))
        assert in_c.shape == in_python.shape
        turned = np.abs(in_c[:, 3] - in_python[:, 3])
        assert (np.minimum(turned, 2 * np.pi - turned) < 1e-4).all()  # a half turn may be written either way
        np.testing.assert_allclose(np.delete(in_c, 3, 1), np.delete(in_python, 3, 1), atol=2e-3)
        believed += len(in_c)
    assert believed > 400


def test_a_full_table_gives_up_its_oldest_measurement(shim):
    shim.shim_clear()
    for source in range(2, 22):
        assert shim.shim_hear(source, 1000 + source, 0, source, 0, 0, 0, OWN_ID, 1100)
    rows = peers_in_c(shim, 0, 0, 0.0, 0.0, 1100)
    assert len(rows) == 12
    assert rows[:, 5].max() == pytest.approx((1100 - 1010) * 1e-3)  # sources 10 to 21 are left


def test_a_source_that_rebooted_is_heard_again(shim):
    shim.shim_clear()
    assert shim.shim_hear(2, 10_000, 0, 0, 0, 0, 0, OWN_ID, 10_000)
    assert not shim.shim_hear(2, 9_900, 0, 0, 0, 0, 0, OWN_ID, 10_000)
    assert shim.shim_hear(2, 10_100, 0, 0, 0, 0, 0, OWN_ID, 10_600)
    assert len(peers_in_c(shim, 0, 0, 0.0, 0.0, 10_600)) == 1 and len(peers_in_c(shim, 0, 0, 0.0, 0.0, 10_601)) == 0


@pytest.mark.parametrize("bad", [{"speed": np.nan}, {"accel": np.inf}, {"heading": np.nan}, {"heading": np.inf}])
def test_own_values_that_are_no_numbers_give_the_car_to_its_driver(shim, bad):
    shim.shim_clear()
    action = (ctypes.c_float * 1)(9.0)
    values = {"speed": 20.0, "accel": 0.0, "heading": 90.0}
    assert shim.shim_decide(0, 0, *values.values(), 1000, action) == 0
    action[0] = 9.0
    assert shim.shim_decide(0, 0, *(values | bad).values(), 1000, action) != 0
    assert action[0] == 0.0


def test_messages_come_back_as_they_went_and_others_are_refused(shim):
    again = (ctypes.c_uint8 * 32)()
    header = bytes([ord("R"), 1, 2, 0]) + (7).to_bytes(4, "little") + (8).to_bytes(4, "little") + (2**32 - 1).to_bytes(4, "little")
    place = (-337_000_000).to_bytes(4, "little", signed=True) + (1_512_000_000).to_bytes(4, "little", signed=True)
    message = (
        header + place + (3012).to_bytes(2, "little") + (-815).to_bytes(2, "little", signed=True) + (35999).to_bytes(2, "little") + bytes(2)
    )
    assert len(message) == 32
    assert shim.shim_round_trip(message, 32, again) == 1 and bytes(again) == message
    for place, value in ((0, 0), (1, 2), (2, 3), (19, 0x7F), (29, 0x8D)):
        broken = bytearray(message)
        broken[place] = value
        assert shim.shim_round_trip(bytes(broken), 32, again) == 0, place
    assert shim.shim_round_trip(message, 31, again) == 0
