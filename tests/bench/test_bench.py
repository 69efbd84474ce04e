"""The benchmark's own honesty: its road, its refusals, its comparisons. Speeds themselves are never tested."""

import json
import math

import numpy as np
import pytest
import torch
from rich.console import Console

from roadsense.bench import benchmark
from roadsense.bench.benchmark import QUICK, Benchmark, BenchmarkPlan
from roadsense.bench.column import write_column
from roadsense.bench.environment import CALM, environment_speed
from roadsense.bench.learner import padded, padded_forward
from roadsense.bench.radio import radio_step_us
from roadsense.bench.report import print_result, read_result, slower_ratios
from roadsense.bench.yardstick import advancing_steps_per_s, loops
from roadsense.cli import main
from roadsense.env.convoy_env import ConvoyEnv
from roadsense.errors import ConfigError, RestlessMachineError
from roadsense.model.deep_sets import DeepSets
from roadsense.model.packing import pack
from roadsense.model.settings import ModelSettings
from roadsense.peer_set import PeerSet


def figures(**ratios):
    return {"ratios": ratios}


@pytest.mark.parametrize("peers", [0, 5, 20])
def test_the_column_keeps_its_peers_for_the_whole_episode(tmp_path, peers):
    env = ConvoyEnv(sumo_cfg=write_column(tmp_path / "column", peers), task=CALM)
    try:
        env.reset()
        counts = set()
        done = False
        while not done:
            counts.add(len(env.state.vehicles) - 1)
            *_, terminated, truncated, info = env.step(np.zeros(1, np.float32))
            done = terminated or truncated
        assert counts == {peers} and info["outcome"] == "safe" and info["record"].steps == 400
    finally:
        env.close()


@pytest.mark.parametrize("mirrors", [False, True])
def test_the_padded_network_is_the_same_network(mirrors):
    rng = np.random.default_rng(0)
    network = DeepSets(ModelSettings(mirror_peers=mirrors))
    sets = [PeerSet(rng.normal(size=(int(rng.integers(0, 6)), 6))) for _ in range(40)]
    ego = torch.tensor(rng.normal(size=(40, 3)), dtype=torch.float32)
    for ragged, dense in zip(network(ego, *pack(sets)), padded_forward(network, ego, *padded(sets)), strict=True):
        torch.testing.assert_close(ragged, dense, rtol=1e-5, atol=1e-6)


def yardsticks(monkeypatch, values):
    readings = iter(values)
    monkeypatch.setattr(benchmark, "loops", lambda *_: next(readings))


def test_a_measurement_counts_between_equal_yardsticks(monkeypatch, tmp_path):
    said, measured = [], iter(["first", "second"])
    yardsticks(monkeypatch, [100.0, 150.0, 145.0])
    result = Benchmark(BenchmarkPlan(), said.append)._beside("a thing", tmp_path, [0], lambda: next(measured))
    assert result == ("second", 147.5), "the first one lay between 100 and 150"
    assert said == ["a thing", "again: the yardstick moved by 40%", "a thing"]


def test_a_restless_machine_gets_no_figures(monkeypatch, tmp_path):
    yardsticks(monkeypatch, [100.0, 120.0, 100.0, 120.0])
    with pytest.raises(RestlessMachineError, match="moved by 18% in the last of 3 attempts"):
        Benchmark(BenchmarkPlan(attempts=3), lambda _: None)._beside("a thing", tmp_path, [0], lambda: None)


def test_slower_is_told_in_both_directions():
    before = figures(env_vs_T=1.0, learner_ragged_vs_padded_time=0.6, training_vs_sb3=None, scaling_1_to_2=1.9)
    assert list(slower_ratios(before, before)) == []
    now = figures(env_vs_T=0.8, learner_ragged_vs_padded_time=0.8, training_vs_sb3=3.0, scaling_1_to_2=1.8)
    assert list(slower_ratios(now, before)) == ["env_vs_T was 1.00 and is 0.80", "learner_ragged_vs_padded_time was 0.60 and is 0.80"]
    assert list(slower_ratios(before, now)) == [], "faster is no defect"


@pytest.mark.parametrize("content", [None, "no json", "[]", "{}", '{"ratios": {"env_vs_T": "fast"}}', '{"ratios": 3}'])
def test_what_is_no_result_is_refused_before_anything_is_measured(tmp_path, capsys, content):
    path = tmp_path / "result.json"
    if content is not None:
        path.write_text(content)
    with pytest.raises(ConfigError, match=r"result\.json: .*roadsense bench"):
        read_result(path)
    assert main(["bench", "--compare_with", str(path)]) == 2
    assert len(capsys.readouterr().err.splitlines()) == 1


def test_growth_is_the_exponent():
    assert benchmark._growth({5: {"vs_T": 1.0}, 50: {"vs_T": 0.1}}) == pytest.approx(1.0)
    assert benchmark._growth({5: {"vs_T": 1.0}, 50: {"vs_T": 10 ** (-0.5)}}) == pytest.approx(0.5)
    assert benchmark._growth({5: {"vs_T": 1.0}}) is None


def test_the_parts_measure_something(tmp_path):
    """Each part once, for a moment: no figure is judged, but every figure is there and adds up."""
    road = write_column(tmp_path / "column", 5)
    assert loops(road, 0.1, [0]) > 100
    assert advancing_steps_per_s(road, 0.05, 0) > loops(road, 0.1, [0])
    speed = environment_speed(road, "traci", 0.3, [0])
    assert speed.steps_per_s > 10 and speed.reset_ms > 0
    assert set(speed.part_us) == {"session", "radio and observation", "reward", "rest"} and min(speed.part_us.values()) > 0
    whole_us = 1e6 / speed.steps_per_s
    assert sum(speed.part_us.values()) < 4 * whole_us
    assert math.isfinite(radio_step_us(6, 1)) and radio_step_us(50, 1) > radio_step_us(6, 1)


@pytest.mark.slow
def test_the_whole_benchmark(tmp_path, capsys, monkeypatch):
    """What is committed under benchmarks/results is made like this. The machine's restlessness is not what is tested here."""
    monkeypatch.setattr(benchmark, "LARGEST_DRIFT", 10.0)
    path = tmp_path / "result.json"
    assert main(["bench", "--quick", "--json", str(path)]) == 0
    result = json.loads(path.read_text())
    assert result["reset_ms"] > 0
    assert {"env_vs_T", "training_vs_2T", "training_vs_sb3", "scaling_1_to_2"} <= set(result["ratios"])
    assert set(result["environment"]) == {str(peers) for peers in QUICK.peers}
    for figures_ in result["training"].values():
        assert sum(figures_["shares"].values()) == pytest.approx(1.0, abs=0.1)
        assert figures_["peak_mb"]["simulators"] > 0
    assert "Stable-Baselines3" in capsys.readouterr().out
    print_result(read_result(path), Console())
