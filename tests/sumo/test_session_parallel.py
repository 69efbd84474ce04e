"""Many sessions, threads, forks and resets."""

import gc
import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import numpy as np
import psutil
import pytest

from roadsense.state import SpeedCommand

PROCESSES, SESSIONS = 8, 8

# Starts its sessions at once when told to, holds all of them, and says what each of them drives.
WORKER = """
import json, sys
from concurrent.futures import ThreadPoolExecutor
from roadsense.config import SumoSettings
from roadsense.sumo.session import SumoSession

def run(job):
    session = SumoSession(SumoSettings(), ego_id=job["ego"])
    state = session.reset(job["options"], seed=job["seed"])
    for _ in range(20):
        state = session.step()
    return session, state

jobs = json.loads(sys.stdin.readline())
print("ready", flush=True)
sys.stdin.readline()
with ThreadPoolExecutor(len(jobs)) as pool:
    results = list(pool.map(run, jobs))
print(json.dumps([
    {"port": session.port, "pid": session.pid, "starts": session.restarts, "ids": state.vehicles.ids, "x_m": state.vehicles.x_m.tolist()}
    for session, state in results
]), flush=True)
sys.stdin.readline()
for session, _ in results:
    session.close()
"""


def test_two_sessions_are_independent(make_session, road):
    one, other = make_session(), make_session(ego_id="A")
    one.reset(road.options(), seed=1)
    other.reset(road.options("other", departures={"A": 0.0, "B": 0.0}), seed=2)
    assert one.pid != other.pid and one.port != other.port
    for _ in range(5):
        one.step([SpeedCommand(vehicle_id="V001", speed_mps=5.0)])
        other.step([SpeedCommand(vehicle_id="A", speed_mps=15.0)])
    other.close()
    state = one.step()
    assert state.vehicles.speed_mps[0] == pytest.approx(5.0)
    assert state.time_s == pytest.approx(0.7)


def test_64_sessions_that_start_at_once_drive_their_own_scenarios(road, make_session):
    jobs = [
        [
            {
                "ego": f"E{worker}{slot}",
                "options": road.options(f"many_{worker}{slot}", departures={f"E{worker}{slot}": 0.0, f"P{worker}{slot}": 0.0}),
                "seed": 100 * worker + slot,
            }
            for slot in range(SESSIONS)
        ]
        for worker in range(PROCESSES)
    ]
    workers = [
        subprocess.Popen([sys.executable, "-c", WORKER], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) for _ in range(PROCESSES)
    ]
    try:
        for worker, own in zip(workers, jobs, strict=True):
            say(worker, json.dumps(own))
        assert [worker.stdout.readline() for worker in workers] == ["ready\n"] * PROCESSES
        for worker in workers:
            say(worker, "go")
        answers = [json.loads(worker.stdout.readline()) for worker in workers]
        for worker in workers:
            say(worker, "close")
            assert worker.wait(60) == 0
    finally:
        for worker in workers:
            worker.kill()
            worker.communicate()
    flat = [answer for own in answers for answer in own]
    assert len({answer["port"] for answer in flat}) == len({answer["pid"] for answer in flat}) == PROCESSES * SESSIONS
    assert all(answer["starts"] == 1 for answer in flat)
    for job, answer in zip((job for own in jobs for job in own), flat, strict=True):
        assert answer["ids"] == [job["ego"], job["ego"].replace("E", "P")]
    # The seed is the job's own, too: a lone session with the same job drives exactly the same way.
    for worker, slot in ((0, 0), (3, 5), (7, 7)):
        job = jobs[worker][slot]
        session = make_session(ego_id=job["ego"])
        session.reset(job["options"], seed=job["seed"])
        for _ in range(20):
            state = session.step()
        assert state.vehicles.x_m.tolist() == answers[worker][slot]["x_m"]


# One start after the other on each of its threads, in a band that is nearly used up: every start meets leases and dying simulators.
STARTER = """
import json, sys
from concurrent.futures import ThreadPoolExecutor
from roadsense.config import SumoSettings
from roadsense.sumo.session import SumoSession

jobs = json.loads(sys.stdin.readline())
settings = SumoSettings(first_port=17000, last_port=17031, start_timeout_s=120)

def run(job):
    with SumoSession(settings, ego_id=job["ego"]) as session:
        session.reset(job["options"], seed=job["seed"])
        state = session.step()
        return {"ids": state.vehicles.ids, "port": session.port, "starts": session.restarts}

with ThreadPoolExecutor(3) as pool:
    print(json.dumps(list(pool.map(run, jobs))), flush=True)
"""


def test_200_starts_from_8_processes_drive_their_own_scenarios(road):
    jobs = [
        [
            {
                "ego": f"E{worker}x{start}",
                "options": road.options(f"start_{worker}_{start}", departures={f"E{worker}x{start}": 0.0, f"P{worker}x{start}": 0.0}),
                "seed": 100 * worker + start,
            }
            for start in range(25)
        ]
        for worker in range(8)
    ]
    workers = [subprocess.Popen([sys.executable, "-c", STARTER], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) for _ in jobs]
    try:
        for worker, own in zip(workers, jobs, strict=True):
            say(worker, json.dumps(own))
        answers = [json.loads(worker.stdout.readline()) for worker in workers]
        assert [worker.wait(30) for worker in workers] == [0] * 8
    finally:
        for worker in workers:
            worker.kill()
            worker.communicate()
    for job, answer in zip((job for own in jobs for job in own), (answer for own in answers for answer in own), strict=True):
        assert answer["ids"] == [job["ego"], job["ego"].replace("E", "P")] and answer["starts"] == 1
    assert len({answer["port"] for own in answers for answer in own}) > 16


def say(worker, line):
    worker.stdin.write(line + "\n")
    worker.stdin.flush()


def test_a_session_outlives_the_thread_that_created_it(session, road):
    thread = threading.Thread(target=session.reset, args=(road.options(),), kwargs={"seed": 1})
    thread.start()
    thread.join()
    pid = session.pid
    time.sleep(0.2)
    for _ in range(5):
        session.step()
    assert session.pid == pid


def test_a_forked_child_leaves_the_parents_simulator_alone(road):
    script = """
import os, sys
from roadsense.config import SumoSettings
from roadsense.sumo.session import SumoSession
options = sys.argv[1:]
session = SumoSession(SumoSettings())
forgotten = SumoSession(SumoSettings())
for one in (session, forgotten):
    one.reset(options, seed=1)
pid, port = session.pid, session.port
child = os.fork()
if child == 0:
    del forgotten
    session.reset(options, seed=2)
    assert session.pid != pid and session.port != port
    session.step()
    sys.exit(7)  # runs finalizers
assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7
for one in (session, forgotten):
    for _ in range(5):
        state = one.step()
    assert abs(state.time_s - 0.6) < 1e-9
    one.reset(options, seed=3)  # a reload: the log files are still there
    assert one.restarts == 1
assert session.pid == pid
"""
    done = subprocess.run([sys.executable, "-c", script, *road.options()], capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize("backend", ["traci", "libsumo"])
def test_nothing_is_printed_or_left_behind(road, backend, tmp_path, monkeypatch):
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    script = """
import builtins, sys
from roadsense.config import SumoSettings
from roadsense.state import SpeedCommand
from roadsense.sumo.session import SumoSession
session = builtins.kept = SumoSession(SumoSettings(backend=sys.argv[1]))  # alive until the very end
for seed in (1, 2):
    session.reset(sys.argv[2:], seed=seed)
    session.limit_emergency_decel(["V001"], 2.0)
    for _ in range(60):
        session.step([SpeedCommand(vehicle_id="V001", speed_mps=30.0)])
"""
    command = [sys.executable, "-c", script, backend, *road.options()]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert list(tmp_path.iterdir()) == []


def test_importing_a_session_loads_no_client():
    script = "import sys, roadsense.sumo.session; print(sorted({'traci', 'libsumo', 'sumolib'} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", script], check=True, capture_output=True, text=True).stdout.strip() == "[]"


def test_a_thousand_resets_leak_nothing(make_session, road):
    session = make_session(recycle_every=10_000)
    scenarios = [road.options(f"leak_{size}", departures={f"V{number:03d}": 0.0 for number in range(1, size)}) for size in (4, 7)]
    ours = psutil.Process()

    def figures():
        gc.collect()
        sumo = psutil.Process(session.pid)
        children = len(ours.children())
        return (ours.num_fds(), sumo.num_fds(), ours.num_threads(), children), (ours.memory_info().rss, sumo.memory_info().rss)

    def play(resets):
        for seed in range(resets):
            session.reset(scenarios[seed % 2], seed=seed)
            session.step([SpeedCommand(vehicle_id="V001", speed_mps=10.0)])

    play(200)
    counts, memory = figures()
    port = session.port
    play(800)
    counts_after, memory_after = figures()
    assert session.restarts == 1 and session.port == port
    assert counts_after == counts
    np.testing.assert_array_less(memory_after, np.multiply(memory, 1.05))


def test_restarts_leak_nothing(make_session, road):
    session = make_session(recycle_every=1)
    options = road.options()
    session.reset(options, seed=0)
    ours = psutil.Process()

    def figures():
        own_files = list(Path(tempfile.gettempdir()).glob(f"roadsense-sumo-*-{os.getpid()}-*"))
        return ours.num_fds(), ours.num_threads(), len(ours.children()), len(own_files)

    before = figures()
    for seed in range(12):
        session.reset(options, seed=seed)
    assert session.restarts == 13
    assert figures() == before
