"""Long runs: `make soak`; and a minute of the same in every run of the tests."""

import os
import subprocess
import sys
import time

import numpy as np
import psutil
import pytest

from roadsense.env.convoy_env import ConvoyEnv


def footprint(env) -> dict[str, float]:
    me = psutil.Process()
    simulator = psutil.Process(env.session.pid)
    return {
        "processes": len(me.children(recursive=True)),
        "descriptors": len(os.listdir("/proc/self/fd")),  # noqa: PTH208
        "own_mb": me.memory_info().rss / 1e6,
        "sumo_mb": simulator.memory_info().rss / 1e6,
    }


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_three_thousand_episodes_over_the_whole_dataset(dataset_dir):
    """Environment resets with ten steps each, process replacements included: nothing grows."""
    env = ConvoyEnv(dataset_dir=dataset_dir, scenario_seed=1, sumo={"recycle_every": 1000})
    generator = np.random.default_rng(1)
    seen = []
    for episode in range(3001):
        env.reset()
        for _ in range(10):
            env.step(generator.random(1, dtype=np.float32))
        if episode in (900, 2990):  # both well into the life of a SUMO process
            seen.append(footprint(env))
    env.close()
    first, last = seen
    print(first, last)
    assert (last["processes"], last["descriptors"]) == (first["processes"], first["descriptors"])
    assert last["own_mb"] < 1.05 * first["own_mb"]
    assert last["sumo_mb"] < 1.05 * first["sumo_mb"]


def soak(dataset_dir, *flags):
    command = [sys.executable, "-m", "roadsense", "soak", "--dataset_dir", str(dataset_dir), *map(str, flags)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    print(done.stderr, done.stdout)
    return done


def check(done, least_faults):
    faults = [line for line in done.stderr.splitlines() if "driving again after" in line]
    assert len(faults) >= least_faults
    assert f"{len(faults)} faults survived, nothing lost, nothing left" in done.stdout
    table = {words[0]: words[1:] for line in done.stdout.splitlines() if len(words := line.split()) == 4}
    assert table["processes"] == ["4", "4", "0"] and table["ports"] == ["2", "2", "0"] and table["directories"] == ["2", "2", "0"]
    return table


def test_a_long_soak_is_summed_up_in_lines_that_can_be_searched(capsys):
    """Rich would break them at 80 columns where there is no terminal."""
    from rich.console import Console

    from roadsense.cli.soak import _print
    from roadsense.training.soak import FAULTS, Footprint, SoakResult

    held = Footprint(processes=4, ports=2, descriptors=50, memory_mb=604.0, directories=2)
    recoveries_s = {kind: [1234.5] * 1000 for kind in FAULTS}
    result = SoakResult(first=held, last=held, end=held, episodes=105_459_000, steps=8_434_315_000, recoveries_s=recoveries_s)
    _print(result, Console(width=40))
    printed = capsys.readouterr().out.splitlines()
    assert f"105,459,000 episodes, 8,434,315,000 steps, {1000 * len(FAULTS)} faults survived, nothing lost, nothing left" in printed
    assert sum(line.endswith("driving again after 1234.50 s on average, 1234.50 s at worst") for line in printed) == len(FAULTS)


@pytest.mark.ci
@pytest.mark.timeout(300)
def test_a_minute_of_faults(dataset_dir):
    done = soak(dataset_dir, "--minutes", 1, "--fault_every", 4, "--set", "sumo.timeout_s=2")
    table = check(done, least_faults=8)
    assert abs(int(table["descriptors"][1]) - int(table["descriptors"][0])) <= 6
    assert all(kind in done.stdout for kind in ("simulator killed", "simulator stopped", "worker killed"))


@pytest.mark.timeout(120)
def test_simulators_that_are_being_replaced_are_not_counted_as_lost(dataset_dir):
    """Every episode begins with a new process, so that nearly every look falls between two of them."""
    check(soak(dataset_dir, "--minutes", 0.02, "--fault_every", 60, "--set", "sumo.recycle_every=1"), least_faults=0)


@pytest.mark.slow
@pytest.mark.timeout(2400)
def test_half_an_hour_of_faults(dataset_dir):
    began_s = time.monotonic()
    done = soak(dataset_dir, "--minutes", 30, "--fault_every", 20)
    assert time.monotonic() - began_s > 1800
    check(done, least_faults=60)
