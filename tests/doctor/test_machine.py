"""Hardware, limits, ports and tools: with the container's files and limits as they would be there."""

import json
import os
import resource
import socket
import subprocess
import sys
from dataclasses import replace

import pytest

from roadsense.cli import main
from roadsense.doctor import simulator, tools
from roadsense.doctor.examine import examine
from roadsense.doctor.hardware import Hardware, hardware
from roadsense.doctor.limits import BASE_GIB, PER_ENV_RUNNER_GIB, Limits, env_runners_that_fit, limit_findings, limits
from roadsense.doctor.simulator import simulator_findings
from roadsense.errors import DependencyError
from roadsense.findings import exit_code_of
from roadsense.sumo.installation import SumoProgram
from roadsense.sumo.ports import PortLease

AMPLE = Hardware(
    processor="a processor", cores=4, cpu_quota=None, load=0.1, memory_gib=16.0, memory_free_gib=12.0, disk_free_gib=50.0,
    shared_memory_gib=8.0, gpus=(),
)  # fmt: skip
FREE = Limits(open_files=65536, threads_left=None)


def found_by_name(machine, allowed):
    return {finding.what: finding for finding in limit_findings(machine, allowed)}


def test_this_machine_in_figures(tmp_path):
    machine = hardware(tmp_path / "not" / "there" / "yet")
    assert machine.cores == len(os.sched_getaffinity(0)) and machine.processor
    assert 0.1 < machine.memory_free_gib <= machine.memory_gib < 10_000
    assert 0 < machine.disk_free_gib < 1e6 and machine.usable_cores >= 1


@pytest.mark.parametrize(
    ("files", "quota", "memory_gib", "free_gib"),
    [
        ({"cpu.max": "150000 100000", "memory.max": str(2**30), "memory.current": str(2**29), "memory.stat": f"file 5\ninactive_file {2**28}"}, 1.5, 1.0, 0.75),
        ({"cpu.max": "max 100000", "memory.max": "max"}, None, None, None),
        ({"cpu/cpu.cfs_quota_us": "50000", "cpu/cpu.cfs_period_us": "100000", "memory/memory.limit_in_bytes": str(2**29), "memory/memory.usage_in_bytes": "0"}, 0.5, 0.5, 0.5),
        ({"cpu/cpu.cfs_quota_us": "-1", "cpu/cpu.cfs_period_us": "100000", "memory/memory.limit_in_bytes": "9223372036854771712"}, None, None, None),
        ({}, None, None, None),
        ({"cpu.max": "nonsense", "memory.max": ""}, None, None, None),
    ],
)  # fmt: skip
def test_a_containers_limits_count(tmp_path, files, quota, memory_gib, free_gib):
    """Control groups of both versions."""
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    machine, bare = hardware(tmp_path, cgroup=tmp_path), hardware(tmp_path, cgroup=tmp_path / "none")
    assert machine.cpu_quota == quota
    assert machine.memory_gib == pytest.approx(bare.memory_gib if memory_gib is None else memory_gib)
    if free_gib is not None:
        assert machine.memory_free_gib == pytest.approx(free_gib)


@pytest.mark.parametrize(("quota", "usable"), [(None, 4), (2.5, 2), (0.5, 1), (64.0, 4)])
def test_a_quota_leaves_fewer_env_runners(quota, usable):
    assert replace(AMPLE, cpu_quota=quota).usable_cores == usable


def test_ample_is_fine():
    assert all(finding.ok and not finding.remedy for finding in limit_findings(AMPLE, FREE))


def test_memory_says_how_many_env_runners_fit():
    assert env_runners_that_fit(BASE_GIB + 2.5 * PER_ENV_RUNNER_GIB) == 2 and env_runners_that_fit(0.5) == 0
    tight = found_by_name(replace(AMPLE, memory_free_gib=BASE_GIB + 2.5 * PER_ENV_RUNNER_GIB), FREE)["memory"]
    assert not tight.ok and tight.exit_code == 0 and tight.remedy.endswith("--num_env_runners 2")
    none = found_by_name(replace(AMPLE, memory_free_gib=0.5), FREE)["memory"]
    assert none.exit_code == 1 and none.problem == "TOO LOW"


@pytest.mark.parametrize(
    ("machine", "allowed", "what", "exit_code", "remedy"),
    [
        ({"disk_free_gib": 1.0}, {}, "disk", 0, "--output_dir"),
        ({"disk_free_gib": 0.1}, {}, "disk", 1, "--output_dir"),
        ({"shared_memory_gib": 0.0625}, {}, "shared memory", 0, "--shm-size"),
        ({}, {"open_files": 2048}, "open files", 0, "nofile"),
        ({}, {"open_files": 256}, "open files", 1, "nofile"),
        ({}, {"threads_left": 300}, "processes", 0, "--pids-limit"),
        ({}, {"threads_left": 50}, "processes", 1, "--pids-limit"),
    ],
)
def test_low_limits(machine, allowed, what, exit_code, remedy):
    found = found_by_name(replace(AMPLE, **machine), replace(FREE, **allowed))
    assert [name for name, finding in found.items() if not finding.ok] == [what]
    assert found[what].exit_code == exit_code and remedy in found[what].remedy


def test_pids_of_a_container(tmp_path):
    (tmp_path / "pids.max").write_text("500\n")
    (tmp_path / "pids.current").write_text("120\n")
    assert limits(tmp_path).threads_left <= 380
    (tmp_path / "pids.max").write_text("max\n")
    assert limits(tmp_path).threads_left is None or os.geteuid() != 0


def test_a_low_limit_of_files_ends_the_command_with_1(tmp_path):
    """The limit is real, of a process of its own."""

    def low():
        resource.setrlimit(resource.RLIMIT_NOFILE, (256, 256))

    done = subprocess.run(
        [sys.executable, "-m", "roadsense", "doctor", "--quick"], capture_output=True, text=True, timeout=120, preexec_fn=low
    )
    assert done.returncode == 1, done.stdout + done.stderr
    assert "TOO LOW  open files: at most 256" in done.stdout and "no training can run as it is" in done.stdout


def test_sumo_is_started_and_the_ports_are_looked_at():
    findings = {finding.what: finding for finding in simulator_findings(8)}
    assert findings["sumo"].ok and findings["netconvert"].ok and "1.28.0" in findings["sumo"].seen
    assert findings["ports for SUMO"].ok


@pytest.mark.parametrize(
    ("script", "seen", "remedy"),
    [
        ("echo 'Eclipse SUMO sumo Version 1.20.0'", "1.20.0", "eclipse-sumo==1.28.0"),
        ("echo 'sumo: error while loading shared libraries: libXft.so.2: cannot open shared object file' >&2; exit 127", "libXft.so.2", "libXft.so.2"),
        ("exit 1", "no answer", "install SUMO again"),
    ],
)  # fmt: skip
def test_a_sumo_that_does_not_answer_as_it_should(tmp_path, monkeypatch, script, seen, remedy):
    program = tmp_path / "sumo"
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(0o755)
    monkeypatch.setattr(simulator, "find_program", lambda _: SumoProgram(path=program, home=None))
    finding = next(simulator_findings(8))
    assert not finding.ok and finding.exit_code == DependencyError.exit_code
    assert seen in finding.seen and remedy in finding.remedy and "\n" not in finding.seen


def test_ports_that_are_taken_are_counted():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        port = listener.getsockname()[1]
        assert "0 of 1 free" not in simulator._ports(port, port, 0).seen and not simulator._ports(port, port, 0).ok
        found = simulator._ports(port - 1, port, 2)
        assert not found.ok and "1 of 2 free" in found.seen and "2 are needed" in found.seen and "--sumo.first_port" not in found.seen
    lease = PortLease.acquire(21000, 21009)
    try:
        assert lease.port in simulator._leased()
        assert "9 of 10 free" in simulator._ports(21000, 21009, 9).seen
    finally:
        lease.release()


def test_a_band_that_the_system_hands_out_is_only_a_note(monkeypatch, tmp_path):
    (tmp_path / "range").write_text("15000\t60999\n")
    monkeypatch.setattr(simulator, "_EPHEMERAL", tmp_path / "range")
    found = simulator._ports(20000, 29999, 8)
    assert not found.ok and found.exit_code == 0 and "15000-60999" in found.seen


def test_tools_are_looked_for_where_daemons_lie(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    found = {finding.what: finding for finding in tools.tool_findings()}
    assert not found["gcc"].ok and found["gcc"].remedy == "apt-get install gcc libc6-dev" and found["gcc"].exit_code == 0
    assert all(finding.exit_code == 0 for finding in found.values())


@pytest.mark.parametrize(("build", "ok"), [("2.13.0+cpu", False), ("2.13.0", True)])
def test_a_gpu_that_this_torch_cannot_use(monkeypatch, build, ok):
    monkeypatch.setattr("roadsense.doctor.examine.installed_version", lambda _: build)
    gpu = next(finding for finding in examine(replace(AMPLE, gpus=("NVIDIA X, 16 GiB",)), FREE) if finding.what == "GPU")
    assert gpu.ok is ok and gpu.exit_code == 0 and build in gpu.seen


def test_the_quick_command(tmp_path, capsys):
    path = tmp_path / "doctor.json"
    assert main(["doctor", "--quick", "--json", str(path), "--total_timesteps", "1000000"]) == 0
    out = capsys.readouterr().out
    assert "a training can run" in out and "hours for 1,000,000" in out and "no calibration" in out
    content = json.loads(path.read_text())
    assert content["can_train"] and content["calibration"] is None
    here, *there = content["predictions"]
    assert here["usd"] is None and here["hours"] == pytest.approx(1_000_000 / here["steps_per_s"] / 3600)
    assert len(there) == 3 and all(0 < one["usd"] < one["usd_on_demand"] for one in there)
    assert exit_code_of([]) == 0


def test_bad_input_is_one_line(capsys, tmp_path):
    assert main(["doctor", "--quick", "--json", str(tmp_path)]) == 2
    assert main(["doctor", "--total_timesteps", "0"]) == 2
    assert len(capsys.readouterr().err.strip().splitlines()) == 2
