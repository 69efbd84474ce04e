"""libsumo runs in processes of its own here: one simulation per process, and its crash would be the test run's."""

import json
import os
import subprocess
import sys

import pytest

PLAY = """
from roadsense.config import SumoSettings
from roadsense.state import SpeedCommand
from roadsense.sumo.session import SumoSession

def play(backend, options):
    with SumoSession(SumoSettings(backend=backend)) as session:
        session.reset(options, seed=3)
        session.advance(2.0)
        rows = []
        for seed in (7, 8):
            state = session.reset(options, seed=seed)
            session.keep_lane(state.vehicles.ids)
            session.limit_emergency_decel(state.vehicles.ids, 8.0)
            rows.append(session.route_edges("V001"))
            state = session.advance(1.0)
            for step in range(120):
                rows.append([
                    state.time_s.hex(), state.departed_ids, state.arrived_ids, state.vehicles.ids, state.vehicles.lane_ids,
                    [[contact.collider_id, contact.victim_id, contact.kind] for contact in state.collisions],
                    [[value.hex() for value in column.tolist()] for column in (
                        state.vehicles.x_m, state.vehicles.y_m, state.vehicles.speed_mps, state.vehicles.accel_mps2,
                        state.vehicles.heading_rad, state.vehicles.lane_position_m, state.vehicles.length_m)],
                ])
                speeds = {"V002": 0.0, "V001": 20.0} if 30 <= step < 80 else {"V002": None, "V001": None}
                state = session.step([SpeedCommand(vehicle_id=car, speed_mps=speed) for car, speed in speeds.items()])
    return rows
"""


def run(script, *arguments):
    done = subprocess.run([sys.executable, "-c", script, *arguments], capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_trajectories_are_those_of_traci(road):
    script = PLAY + "\nimport json, sys; print(json.dumps(play(sys.argv[1], sys.argv[2:])))"
    rows = [json.loads(run(script, backend, *road.options())) for backend in ("traci", "libsumo")]
    assert len(rows[0]) == 2 * 121
    assert any(row[5] for row in rows[0] if len(row) == 7)  # the crash is among them
    assert rows[0] == rows[1]


def test_one_session_per_process_and_recovery_after_errors(road):
    script = """
import os, sys
from roadsense.config import SumoSettings
from roadsense.errors import EgoNeverAppearedError, SumoError, SumoStartError
from roadsense.sumo.session import SumoSession

def message_of(kind, call):
    try:
        call()
    except kind as error:
        return error
    raise SystemExit("no error")

options = sys.argv[1:]
settings = SumoSettings(backend="libsumo", recycle_every=2)
one, other = SumoSession(settings), SumoSession(settings)
one.reset(options, seed=1)
assert one.pid == os.getpid() and one.port is None
assert "one simulation per process" in str(message_of(SumoStartError, lambda: other.reset(options, seed=1)))
assert "use the backend 'traci'" in str(message_of(SumoStartError, lambda: other.reset(options, seed=1)))
one.step()
one.close()
other.reset(options, seed=1)
bad = message_of(SumoStartError, lambda: other.reset(["-n", "/missing.net.xml"], seed=1))
assert "missing.net.xml" in bad.log_tail, bad
for seed in range(5):
    other.reset(options, seed=seed)
assert other.restarts == 4, other.restarts
assert "V099" in str(message_of(SumoError, lambda: other.route_edges("V099")))
other.reset(options, seed=1)
other.close()
stranger = SumoSession(settings, ego_id="EGO")
message_of(EgoNeverAppearedError, lambda: stranger.reset(options, seed=1))
one.reset(options, seed=1)
print("done")
"""
    assert run(script, *road.options()) == "done\n"


@pytest.mark.parametrize(
    ("package", "version", "complaint"),
    [
        ("libsumo", "1.27.0", "libsumo has version 1.27.0, expected 1.28.0"),
        ("traci", "1.27.0", "traci has version 1.27.0, expected 1.28.0"),
    ],
)
def test_wrong_versions_are_refused_with_the_command_that_helps(road, tmp_path, monkeypatch, package, version, complaint):
    message = refused(road, tmp_path, monkeypatch, package, version, "libsumo" if package == "libsumo" else "traci")
    assert complaint in message and f"pip install {package}==1.28.0" in message


def test_a_wrong_sumo_is_refused(road, tmp_path, monkeypatch):
    message = refused(road, tmp_path, monkeypatch, "eclipse-sumo", "1.27.0", "traci")
    assert "eclipse-sumo has version 1.27.0" in message and "pip install eclipse-sumo==1.28.0" in message


def test_a_missing_sumo_is_refused(road, tmp_path, monkeypatch):
    # The wheel that is found first holds no program, and nothing else is there (a wrapper script does not count).
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("SUMO_HOME", raising=False)
    message = refused(road, tmp_path, monkeypatch, "eclipse-sumo", "1.28.0", "traci")
    assert "no sumo program was found" in message and "pip install eclipse-sumo==1.28.0" in message


def test_a_missing_libsumo_is_refused(road):
    script = """
import importlib.metadata, sys
from roadsense.sumo import installation
found = installation.distribution
def without_libsumo(name):
    if name == "libsumo":
        raise importlib.metadata.PackageNotFoundError(name)
    return found(name)
installation.distribution = without_libsumo
""" + COMPLAIN.replace("SETTINGS", "backend='libsumo'")
    assert "pip install libsumo==1.28.0" in run(script, *road.options())


COMPLAIN = """
import sys
from roadsense.config import SumoSettings
from roadsense.errors import DependencyError
from roadsense.sumo.session import SumoSession
try:
    SumoSession(SumoSettings(SETTINGS)).reset(sys.argv[1:], seed=1)
except DependencyError as error:
    print(error)
"""


def refused(road, tmp_path, monkeypatch, package, version, backend):
    """What a session says when a package claims to have another version."""
    info = tmp_path / f"{package.replace('-', '_')}-{version}.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {package}\nVersion: {version}\n")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path), prepend=os.pathsep)
    return run(COMPLAIN.replace("SETTINGS", f"backend={backend!r}"), *road.options())
