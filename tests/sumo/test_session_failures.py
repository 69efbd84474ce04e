"""Whatever happens to SUMO: one clear error, and the next reset works."""

import contextlib
import os
import pickle
import signal
import socket
import subprocess
import threading
import time
from pathlib import Path

import pytest

from roadsense.config import SumoSettings
from roadsense.errors import ConfigError, SumoError, SumoStartError, SumoTimeoutError
from roadsense.state import SpeedCommand
from roadsense.sumo import ports
from roadsense.sumo.installation import find_program
from roadsense.sumo.ports import PortLease
from roadsense.sumo.session import SumoSession


def is_running(pid):
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def crash_then_kill(session, options, *, reset_between):
    """The error of a SUMO that reported a crash and was killed, perhaps in the next episode."""
    session.keep_lane(session.reset(options, seed=1).vehicles.ids)
    while not session.step([SpeedCommand(vehicle_id="V001", speed_mps=30.0)]).collisions:
        pass
    if reset_between:
        session.reset(options, seed=2)
    os.kill(session.pid, signal.SIGKILL)
    with pytest.raises(SumoError, match=r"died while stepping.*SIGKILL") as caught:
        session.step()
    return caught.value


def test_a_killed_sumo_is_an_error_with_its_log_and_the_next_reset_works(session, road):
    options = road.options()
    error = crash_then_kill(session, options, reset_between=False)
    assert "\n" not in error.message
    assert "collision with vehicle 'V002'" in error.log_tail
    assert "sumo | Warning" in str(error)
    assert session.pid is None and session.port is None
    assert session.reset(options, seed=1).vehicles.ids
    assert session.restarts == 2


def test_episodes_start_with_empty_logs(session, road):
    assert "collision" not in crash_then_kill(session, road.options(), reset_between=True).log_tail


def test_a_sumo_that_died_between_episodes_is_replaced_silently(session, road):
    session.reset(road.options(), seed=1)
    os.kill(session.pid, signal.SIGKILL)
    assert session.reset(road.options(), seed=2).time_s == pytest.approx(0.1)
    assert session.restarts == 2


def test_a_hung_sumo_times_out_and_is_replaced(make_session, road):
    session = make_session(timeout_s=1.0)
    session.reset(road.options(), seed=1)
    pid = session.pid
    os.kill(pid, signal.SIGSTOP)
    began_s = time.monotonic()
    with pytest.raises(SumoTimeoutError, match=r"within 1 s while stepping.*timeout_s"):
        session.step()
    assert 0.9 < time.monotonic() - began_s < 2.5
    assert not is_running(pid)
    assert session.reset(road.options(), seed=1).vehicles.ids


def test_a_sumo_that_hangs_between_episodes_costs_the_timeout(make_session, road):
    session = make_session(timeout_s=1.0)
    session.reset(road.options(), seed=1)
    os.kill(session.pid, signal.SIGSTOP)
    assert session.reset(road.options(), seed=1).vehicles.ids
    assert session.restarts == 2


def test_a_stopped_sumo_is_closed_within_seconds(session, road):
    session.reset(road.options(), seed=1)
    pid = session.pid
    os.kill(pid, signal.SIGSTOP)
    began_s = time.monotonic()
    session.close()
    session.close()
    assert time.monotonic() - began_s < 5.0
    assert not is_running(pid)


@pytest.mark.parametrize("started_before", [False, True])
def test_a_bad_scenario_is_refused_in_sumos_own_words(session, road, started_before):
    if started_before:
        session.reset(road.options(), seed=1)
    with pytest.raises(SumoStartError, match=r"ended while starting") as caught:
        session.reset(["-n", str(road.directory / "missing.net.xml")], seed=1)
    assert "missing.net.xml' is not accessible" in caught.value.log_tail
    assert "\n" not in caught.value.message
    with pytest.raises(SumoStartError) as caught:
        session.reset([*road.options(), "--no-such-option", "3"], seed=1)
    assert "no-such-option" in caught.value.log_tail
    broken = road.directory / "broken.rou.xml"
    broken.write_text('<routes><vehicle id="V001" route="nowhere" depart="0"/></routes>')
    with pytest.raises(SumoError) as caught:
        session.reset(["-n", str(road.network), "-r", str(broken)], seed=1)
    assert "nowhere" in str(caught.value)
    assert session.reset(road.options(), seed=1).vehicles.ids


def test_processes_are_recycled(make_session, road):
    session = make_session(recycle_every=3)
    pids = []
    for seed in range(7):
        session.reset(road.options(), seed=seed)
        pids.append(session.pid)
    assert [pids.index(pid) for pid in pids] == [0, 0, 0, 3, 3, 3, 6]
    assert session.restarts == 3
    assert not is_running(pids[0])


class OrderedError(Exception):
    """What a signal handler of the application may raise at any time."""


@contextlib.contextmanager
def raising_soon(kind):
    def handler(*_):
        raise kind

    previous = signal.signal(signal.SIGALRM, handler)
    signal.setitimer(signal.ITIMER_REAL, 0.3)
    try:
        with pytest.raises(kind):
            yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0.0)
        signal.signal(signal.SIGALRM, previous)


@pytest.mark.parametrize("kind", [KeyboardInterrupt, SystemExit, OrderedError])
@pytest.mark.parametrize("stage", ["step", "reload"])
def test_an_interrupt_in_the_middle_of_an_answer_gets_through_and_drops_the_simulation(session, road, kind, stage):
    session.reset(road.options(), seed=1)
    pid = session.pid
    os.kill(pid, signal.SIGSTOP)
    with raising_soon(kind):
        if stage == "step":
            session.step()
        session.reset(road.options(), seed=1)
    assert session.pid is None
    assert not is_running(pid)
    assert session.reset(road.options(), seed=1).vehicles.ids


@pytest.mark.parametrize("kind", [KeyboardInterrupt, OrderedError])
def test_an_interrupt_while_connecting_gets_through(make_session, road, monkeypatch, kind):
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        port = silent.getsockname()[1]
        monkeypatch.setattr(ports, "_is_unused", lambda candidate: True)
        session = make_session(first_port=port, last_port=port)
        with raising_soon(kind):
            session.reset(road.options(), seed=1)
    assert session.reset(road.options(), seed=1).vehicles.ids


def test_an_exhausted_band_says_so(make_session, road):
    lease = PortLease.acquire(19100, 19107)
    session = make_session(first_port=lease.port, last_port=lease.port)
    with pytest.raises(SumoStartError, match="all 1 ports of the band"):
        session.reset(road.options(), seed=1)
    lease.release()
    session.reset(road.options(), seed=1)
    assert session.port == lease.port
    session.close()


def test_a_swapped_simulation_is_noticed_and_another_port_tried(make_session, road, monkeypatch):
    """Another program's SUMO takes the port between the lease and the start; the session must not drive it."""
    lease = PortLease.acquire(19110, 19199)
    lease.release()
    foreign = road.options("foreign", departures={"V001": 0.0, "FOREIGN": 0.0})
    other = subprocess.Popen(
        [find_program("sumo").path, *foreign, "--remote-port", str(lease.port)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        wait_for_listener(lease.port)
        monkeypatch.setattr(ports, "_is_unused", lambda port: True)
        session = make_session(first_port=lease.port, last_port=lease.port)
        assert "FOREIGN" not in session.reset(road.options(), seed=1).vehicles.ids
        assert session.pid != other.pid
        assert other.wait(10) is not None
    finally:
        other.kill()
        other.wait()


@pytest.mark.parametrize("answer", [None, b"HTTP/1.1 400 Bad Request\r\n\r\n", b"\x00\x00\x00\x07\x03\x00\x00"])
def test_a_port_that_something_else_serves_is_given_up(make_session, road, monkeypatch, answer):
    def serve():
        with contextlib.suppress(OSError):
            while True:
                client, _ = server.accept()
                with client:
                    client.sendall(answer)

    with socket.socket() as server:
        server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        server.bind(("127.0.0.1", 0))
        server.listen()
        if answer is not None:
            threading.Thread(target=serve, daemon=True).start()
        port = server.getsockname()[1]
        monkeypatch.setattr(ports, "_is_unused", lambda candidate: True)
        session = make_session(first_port=port, last_port=port, start_timeout_s=0.3)
        with pytest.raises(SumoStartError, match=r"5 ports in a row.*first_port"):
            session.reset(road.options(), seed=1)
        server.shutdown(socket.SHUT_RDWR)


def wait_for_listener(port):
    deadline_s = time.monotonic() + 10.0
    row = f":{port:04X} 00000000:0000 0A"
    while not any(row in line for line in Path("/proc/net/tcp").read_text().splitlines()):
        assert time.monotonic() < deadline_s
        time.sleep(0.02)


def test_nothing_starts_before_reset_and_close_is_always_allowed():
    session = SumoSession(SumoSettings())
    assert session.pid is None and session.restarts == 0
    session.close()
    with pytest.raises(SumoError, match="call reset first"):
        session.step()


def test_a_pickled_session_is_a_fresh_one(session, road):
    session.reset(road.options(), seed=1)
    copy = pickle.loads(pickle.dumps(session))  # noqa: S301
    assert copy.pid is None and copy.settings == session.settings and copy.ego_id == session.ego_id
    copy.close()
    assert session.step().vehicles.ids


def test_leaving_the_context_ends_sumo(road):
    with pytest.raises(ZeroDivisionError), SumoSession(SumoSettings()) as session:
        session.reset(road.options(), seed=1)
        pid = session.pid
        raise ZeroDivisionError
    assert not is_running(pid)


def test_a_forgotten_session_ends_its_sumo(road):
    session = SumoSession(SumoSettings())
    session.reset(road.options(), seed=1)
    pid = session.pid
    del session
    assert not is_running(pid)


def test_libsumo_has_no_window():
    with pytest.raises(ConfigError, match="'gui' needs the backend 'traci'"):
        SumoSession(SumoSettings(gui=True, backend="libsumo"))
