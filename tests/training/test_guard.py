"""The guard: what a killed driver started is ended, what a driver leaves on purpose is not."""

import contextlib
import os
import signal
import subprocess
import sys

import psutil

SLEEPER = "import subprocess, sys; print(subprocess.Popen(['sleep', '300'], start_new_session=True, stdout=subprocess.DEVNULL, stdin=subprocess.DEVNULL).pid, flush=True)"
DRIVER = f"""
import subprocess, sys, time
from roadsense.training.guard import guarded
with guarded():
    child = subprocess.Popen([sys.executable, '-c', {SLEEPER!r}])  # it ends, its own child is an orphan
    child.wait()
    sys.stdin.readline()
"""


def launch():
    driver = subprocess.Popen([sys.executable, "-c", DRIVER], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    return driver, psutil.Process(int(driver.stdout.readline()))


def guards_of(driver):
    found = []
    for child in psutil.Process(driver.pid).children():
        with contextlib.suppress(psutil.NoSuchProcess):  # the sleeper's parent ends meanwhile
            found += [child] if "guard.py" in " ".join(child.cmdline()) else []
    return found


def test_an_orphan_of_a_killed_driver_is_ended():
    driver, sleeper = launch()
    guards = guards_of(driver)
    os.kill(driver.pid, signal.SIGKILL)
    driver.communicate()
    assert psutil.wait_procs([sleeper, *guards], timeout=10)[1] == []


def test_after_a_goodbye_nothing_is_touched():
    driver, sleeper = launch()
    guards = guards_of(driver)
    driver.communicate("\n", timeout=20)
    assert driver.returncode == 0
    assert psutil.wait_procs(guards, timeout=10)[1] == []
    assert sleeper.status() == psutil.STATUS_SLEEPING  # a killed orphan may linger as a zombie
    sleeper.kill()
