"""The model of an iteration: units, limits, and what every part does to it."""

from dataclasses import replace

import pytest

from roadsense.errors import ConfigError
from roadsense.scaling.cluster import HEAD_BYTES_PER_S, cluster, one_machine, vcpus
from roadsense.scaling.measured import packaged
from roadsense.scaling.model import Costs, Machines, fitted_line, hours_for, iteration, usd_per_million
from roadsense.scaling.slowest import StepCosts

EVEN = StepCosts(by_scenario=(1.0,), episode_deviation=0.0, episode_steps=100.0)
COSTS = Costs(
    sampling_steps_per_s=1000.0,
    steps=EVEN,
    fragment_bytes_per_step=400.0,
    receiving_s_per_step=1e-6,
    call_s_per_runner=1e-3,
    weights_bytes=50_000.0,
    weights_s=2e-3,
    learning_fixed_s=0.1,
    learning_s_per_step=1e-4,
)


def test_every_part_in_its_unit():
    """Eight env runners on two nodes; all by hand."""
    found = iteration(COSTS, Machines(env_runners=8, steps_per_runner=2000, runners_per_node=4, head_bytes_per_s=1e8))
    assert found.batch_steps == 16_000
    assert found.sampling_s == pytest.approx(2.0)  # 2,000 steps at 1,000 a second
    assert found.waiting_s == 0.0
    assert found.transfer_s == pytest.approx(0.064)  # 16,000 x 400 bytes at 100 MB/s
    assert found.receiving_s == pytest.approx(0.016 + 0.008)
    assert found.learning_s == pytest.approx(0.1 + 1.6)
    assert found.synchronising_s == pytest.approx(0.002 + 0.008 + 2 * 50_000 / 1e8)
    assert found.total_s == pytest.approx(3.799)
    assert found.steps_per_s == pytest.approx(16_000 / 3.799)
    assert found.efficiency == pytest.approx(2.0 / 3.799)
    assert found.overlapped_steps_per_s == pytest.approx(8000.0), "sampling takes longer than the head"


def test_on_one_machine_nothing_is_carried():
    found = iteration(COSTS, one_machine(2, steps_per_runner=2000))
    assert found.transfer_s == 0.0 and found.synchronising_s == pytest.approx(0.004)


def test_faster_cores_and_a_faster_learner():
    plain = iteration(COSTS, one_machine(4))
    quick = iteration(COSTS, one_machine(4, sampling_speed=2.0, learning_speed=4.0))
    assert quick.sampling_s == pytest.approx(plain.sampling_s / 2)
    assert quick.learning_s == pytest.approx(plain.learning_s / 4)
    assert quick.receiving_s == pytest.approx(plain.receiving_s / 4)


def test_more_env_runners_are_faster_and_less_busy_up_to_the_learner():
    found = [iteration(packaged().costs(), cluster(count, 4)) for count in (1, 2, 4, 8, 16, 32, 64, 128, 256)]
    rates = [one.steps_per_s for one in found]
    assert rates == sorted(rates)
    shares = [one.efficiency for one in found]
    assert shares == sorted(shares, reverse=True) and 0 < shares[-1] < shares[0] <= 1
    assert rates[-1] < 1 / packaged().costs().learning_s_per_step, "nothing is faster than the learner"
    assert all(one.overlapped_steps_per_s >= one.steps_per_s for one in found)


def test_hours_and_money():
    assert hours_for(3_600_000, 1000.0) == pytest.approx(1.0)
    assert usd_per_million(3.6, 1000.0) == pytest.approx(1.0)  # a thousand seconds at a tenth of a cent


def test_a_line_through_measurements():
    assert fitted_line([(1000.0, 0.3), (2000.0, 0.5), (4000.0, 0.9)]) == pytest.approx((0.1, 2e-4))
    fixed, slope = fitted_line([(1000.0, 0.1), (2000.0, 0.3)])
    assert fixed == 0.0 and slope == pytest.approx((1000 * 0.1 + 2000 * 0.3) / (1000**2 + 2000**2)), "nothing takes less than no time"
    with pytest.raises(ConfigError, match="two batch sizes"):
        fitted_line([(1000.0, 0.1), (1000.0, 0.2)])


@pytest.mark.parametrize(
    ("name", "expected"), [("m6i.large", 2), ("c6i.xlarge", 4), ("c7i.2xlarge", 8), ("c6i.8xlarge", 32), ("ml.c5.9xlarge", 36)]
)
def test_vcpus_by_name(name, expected):
    assert vcpus(name) == expected


@pytest.mark.parametrize("name", ["c6i.metal", "c6i", "", "t3.2large", "c6i.xxlarge"])
def test_a_name_that_tells_no_size_is_refused(name):
    with pytest.raises(ConfigError, match="vCPUs"):
        vcpus(name)


@pytest.mark.parametrize(
    "wrong", [{"env_runners": 0}, {"steps_per_runner": float("nan")}, {"sampling_speed": 0.0}, {"head_bytes_per_s": -1.0}]
)
def test_machines_that_train_nothing_are_refused(wrong):
    with pytest.raises(ConfigError, match="above 0"):
        Machines(**{"env_runners": 1, "steps_per_runner": 10.0} | wrong)


def test_a_cluster_is_nodes_behind_a_network():
    machines = cluster(9, 4)
    assert machines.nodes == 3 and machines.head_bytes_per_s == HEAD_BYTES_PER_S == pytest.approx(97.6e6, rel=1e-3)
    thin = replace(machines, head_bytes_per_s=1e6)
    assert iteration(COSTS, thin).transfer_s == pytest.approx(9 * 2048 * 400 / 1e6)
