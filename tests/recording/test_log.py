"""What is read from a log, what is left out, and what is refused."""

import pytest

from roadsense.errors import ConfigError
from roadsense.recording.log import read_recording

HEADER = "timestamp_local_ms,msg_timestamp,vehicle_id,lat,lon,speed,heading,accel_x,accel_y,accel_z,hop_count"


def row(local=1000, measured=None, source="V001", lat=48.0, lon=11.0, speed=20.0, heading=90.0, x=0.5, y=0.1, z=9.8, hops=0):
    return ",".join(map(str, (local, local if measured is None else measured, source, lat, lon, speed, heading, x, y, z, hops)))


@pytest.fixture
def logs(tmp_path):
    def write(tx, rx, header=HEADER):
        for name, rows in (("tx", tx), ("rx", rx)):
            (tmp_path / f"{name}.csv").write_text("\n".join([header, *rows]) + "\n")
        return tmp_path / "tx.csv", tmp_path / "rx.csv"

    return write


OWN = [row(local) for local in (1000, 1100, 1200)]


def test_rows_for_other_vehicles_and_echoes_are_left_out(logs):
    tx = [*OWN, row(1110, 1010, "V002", hops=1), row(1120, 1020, "V001", hops=1)]
    rx = [row(1050, 1040, "V002"), row(1150, 1000, "V001", hops=1), row(1160, 1100, "V003", hops=1)]
    recording = read_recording(*logs(tx, rx), ego_id="V001")
    assert [message.logged_s for message in recording.own] == [1.0, 1.1, 1.2]
    assert [(message.source_id, round(message.measured_s, 3)) for message in recording.heard] == [("V002", 1.04), ("V003", 1.1)]
    assert recording.left_out == {"sent for other vehicles": 2, "own messages that came back": 1}


def test_from_vehicle_id_is_as_good(logs):
    recording = read_recording(*logs(OWN, [row(1050, 1040, "V002")], HEADER.replace("vehicle_id", "from_vehicle_id")), ego_id="V001")
    assert [message.source_id for message in recording.heard] == ["V002"]


@pytest.mark.parametrize(("axis", "accel"), [("x", 0.5), ("-x", -0.5), ("y", 0.1), ("-z", -9.8)])
def test_the_axis_along_the_car(logs, axis, accel):
    recording = read_recording(*logs(OWN, []), ego_id="V001", forward=axis)
    assert recording.own[0].accel_mps2 == accel


def test_rows_without_a_fix_are_counted(logs):
    rx = [
        row(1050, 1040, "V002", lat="nan"),
        row(1060, 1050, "V002", lon=""),
        row(1070, 1060, "V002", speed="inf"),
        row(1080, 1070, "V002"),
    ]
    recording = read_recording(*logs(OWN, rx), ego_id="V001")
    assert len(recording.heard) == 1 and recording.left_out == {"without a fix": 3}


def test_clocks_that_run_apart_are_aligned(logs):
    """V002 was switched on 500 s later, V003 shares the ego's clock; a relayed message is later by a period per link."""
    rx = [
        row(501_004, 1000, "V002"),
        row(501_110, 1100, "V002"),
        row(501_350, 1200, "V004", hops=1),
        row(501_020, 501_000, "V003"),
    ]
    recording = read_recording(*logs(OWN, rx), ego_id="V001")
    assert recording.clock_offsets_s == pytest.approx({"V002": 500.004, "V003": 0.0, "V004": 500.05})
    ages = {round(message.logged_s, 3): round(message.logged_s - message.measured_s, 3) for message in recording.heard}
    assert ages == {501.004: 0.0, 501.11: 0.006, 501.35: 0.1, 501.02: 0.02}


@pytest.mark.parametrize(
    ("tx", "words"),
    [
        ([row(1000, lat="x")], ["line 2", "lat", "'x'"]),
        ([*OWN, row(1300, lat=91)], ["line 5", "lat is 91"]),
        ([row(1000, speed=-1)], ["speed", "unit"]),
        ([row(1000, speed=300)], ["speed is 300"]),
        ([row(1000, hops=-1)], ["hop_count"]),
        ([row(1000, source="")], ["vehicle_id is empty"]),
        (["1000,1000"], ["line 2", "ends before"]),
        ([row(1000, source="V002")], ["0 rows of 'V001'", "--ego_id"]),
        ([], ["0 rows"]),
    ],
)
def test_bad_rows_are_refused_by_line(logs, tx, words):
    with pytest.raises(ConfigError) as refusal:
        read_recording(*logs(tx, []), ego_id="V001")
    assert "\n" not in str(refusal.value)
    for word in words:
        assert word in str(refusal.value)


@pytest.mark.parametrize("column", ["timestamp_local_ms", "lat", "heading", "accel_x", "hop_count", "vehicle_id"])
def test_a_missing_column_is_named(logs, column):
    tx, rx = logs(OWN, [])
    tx.write_text(HEADER.replace(column, "other") + "\n")
    with pytest.raises(ConfigError, match=column):
        read_recording(tx, rx, ego_id="V001")


@pytest.mark.parametrize("content", [b"", b"\xff\xfe\x00\x01", b"\x00" * 50, b'"' * 200_000])
def test_files_that_are_no_logs_are_refused(logs, content):
    tx, rx = logs(OWN, [])
    rx.write_bytes(content)
    with pytest.raises(ConfigError, match=r"rx\.csv"):
        read_recording(tx, rx, ego_id="V001")
    rx.unlink()
    with pytest.raises(ConfigError, match="no such file"):
        read_recording(tx, rx, ego_id="V001")
