import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from roadsense.errors import SumoStartError
from roadsense.sumo.installation import SumoProgram, find_program
from roadsense.sumo.ports import PortLease
from roadsense.sumo.process import SumoProcess
from roadsense.sumo.spawner import spawn

LAUNCHER = Path(sys.modules[SumoProcess.__module__].__file__).with_name("launch.py")
SLEEPER = SumoProgram(path=Path("/bin/sleep").resolve(), home=None)


def leased():
    return PortLease.acquire(20000, 29999)


def start(road, program=None, lease=None):
    return SumoProcess(program or find_program("sumo"), road.options(), lease or leased(), 30.0)


def test_life_of_a_process(road):
    process = start(road)
    assert process.exit_code() is None
    assert Path(f"/proc/{process.pid}/fd/0").readlink() == Path("/dev/null")
    assert os.getsid(process.pid) == process.pid  # Ctrl-C on our terminal does not reach it
    files = Path(process.identity).parent
    process.stop(politely=False)
    process.stop(politely=False)
    assert process.exit_description() == "killed by SIGKILL"
    assert not files.exists()
    PortLease.acquire(process.port, process.port).release()


def test_the_process_is_sumo_itself(road):
    process = start(road)
    try:
        wait_until(lambda: Path(f"/proc/{process.pid}/comm").read_text().strip() == "sumo")
        assert Path(f"/proc/{process.pid}/exe").resolve() == find_program("sumo").path
    finally:
        process.stop(politely=False)


def test_sumo_holds_the_lease_without_us(road):
    lease = leased()
    process = start(road, lease=lease)
    lease.release()
    try:
        with pytest.raises(SumoStartError):
            PortLease.acquire(lease.port, lease.port)
    finally:
        process.stop(politely=False)
    PortLease.acquire(lease.port, lease.port).release()


def test_a_program_that_cannot_run_leaves_nothing(road, tmp_path):
    process = start(road, SumoProgram(path=tmp_path / "missing", home=None))
    assert process.exit_code(10.0) == 1
    assert "cannot run" in process.log_tail()
    assert process.exit_description() == "exit code 1"
    process.stop(politely=False)


def test_failing_to_create_the_process_frees_the_port(road, monkeypatch):
    lease = leased()
    monkeypatch.setattr(sys, "executable", "/no/such/python")
    with pytest.raises(SumoStartError, match="cannot create the SUMO process"):
        SumoProcess(find_program("sumo"), road.options(), lease, 30.0)
    PortLease.acquire(lease.port, lease.port).release()


def test_a_forgotten_process_is_killed(road):
    process = start(road)
    pid = process.pid
    del process
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


def test_launcher_refuses_when_its_parent_is_already_gone():
    refused = subprocess.run([sys.executable, "-I", "-S", LAUNCHER, "1", "/bin/echo", "hello"], capture_output=True, check=False)
    if os.getpid() != 1:
        assert (refused.returncode, refused.stdout) == (1, b"")
    accepted = subprocess.run(
        [sys.executable, "-I", "-S", LAUNCHER, str(os.getpid()), "/bin/echo", "hello"], capture_output=True, check=False
    )
    assert (accepted.returncode, accepted.stdout) == (0, b"hello\n")


def test_launched_processes_die_with_their_parent():
    script = (
        "import subprocess, sys, os\n"
        "child = subprocess.Popen([sys.executable, '-I', '-S', sys.argv[1], str(os.getpid()), '/bin/sleep', '60'])\n"
        "print(child.pid, flush=True)\n"
        "input()\n"
    )
    parent = subprocess.Popen([sys.executable, "-c", script, str(LAUNCHER)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    pid = int(parent.stdout.readline())
    wait_until(lambda: Path(f"/proc/{pid}/comm").read_text().strip() == "sleep")
    parent.kill()
    parent.communicate()
    wait_until(lambda: is_gone(pid))


def test_an_interrupted_caller_leaves_no_process():
    started = threading.Event()
    pids = []

    def slow_start():
        time.sleep(0.3)
        process = subprocess.Popen(["/bin/sleep", "60"])
        pids.append(process.pid)
        started.set()
        return process

    with pytest.raises(TimeoutError):
        spawn(slow_start, timeout_s=0.05)
    assert started.wait(5.0)
    wait_until(lambda: is_gone(pids[0]))


def test_exceptions_reach_the_caller_and_the_thread_survives():
    def fail():
        raise MemoryError("no")

    with pytest.raises(MemoryError):
        spawn(fail, timeout_s=5.0)
    process = spawn(lambda: subprocess.Popen(["/bin/true"]), timeout_s=5.0)
    assert process.wait(5.0) == 0


def is_gone(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except (FileNotFoundError, ProcessLookupError):
        return True


def wait_until(condition, timeout_s=10.0):
    deadline_s = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline_s
        time.sleep(0.02)


def test_a_stopped_process_is_ended(road):
    process = start(road)
    os.kill(process.pid, signal.SIGSTOP)
    process.stop(politely=True)
    assert process.exit_description() == "killed by SIGKILL"
