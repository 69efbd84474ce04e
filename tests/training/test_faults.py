"""A worker among failures: killed and stopped simulators, exceptions of anybody's code, scenarios that always fail. No Ray cluster is needed."""

import os
import signal
import time
from pathlib import Path

import psutil
import pytest

from roadsense.env.convoy_env import ConvoyEnv
from roadsense.env.episodes import Assignment, TrainingEpisodes
from roadsense.errors import DatasetError, SumoError, UsageError
from roadsense.scenario.dataset import Dataset
from roadsense.sumo.session import SumoSession
from roadsense.training.algorithm import ppo_config
from roadsense.training.env_runner import ConvoyEnvRunner, RolloutSettings
from roadsense.training.environment import TrainingEnv
from roadsense.training.faults import ScenarioFaults
from roadsense.training.generations import Generations
from roadsense.training.settings import TrainSettings

SHORT = {"warm_up_s": 2.0, "horizon_s": 4.0}


@pytest.fixture
def make_runner(dataset_dir, tmp_path):
    runners = []

    def make(*, sumo=None, task=None, quarantined=None, environments=2):
        settings = TrainSettings(num_envs_per_env_runner=environments)
        rollout = RolloutSettings(
            dataset_dir=dataset_dir,
            sumo_cfg=None,
            dataset_hash=Dataset.load(dataset_dir).hash,
            ego_id="V001",
            emulator_params=None,
            sumo=sumo or {},
            task=SHORT | (task or {}),
            run_seed=5,
            generation=1,
            num_workers=1,
            quarantined=quarantined or {},
        )
        runners.append(ConvoyEnvRunner(config=ppo_config(settings, rollout, 0, Generations(tmp_path / "generations.json")), worker_index=0))
        return runners[-1]

    yield make
    for runner in runners:
        runner.stop()


def simulator_of(runner, number) -> psutil.Process:
    return psutil.Process(runner._training_envs[number]._convoy.session.pid)


def failing_scenario(monkeypatch, *failing, error=None):
    """SUMO dies whenever it is to load one of these scenarios: its own process, for real."""
    reset = SumoSession.reset

    def sabotaged(self, options, *, seed):
        if any(f"/{name}/" in option for option in options for name in failing):
            if error is not None:
                raise error
            options = [*options, "--no-such-option"]
            self.close()
        return reset(self, options, seed=seed)

    monkeypatch.setattr(SumoSession, "reset", sabotaged)


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSTOP])
def test_a_simulator_that_dies_or_hangs_costs_one_episode(make_runner, number):
    runner = make_runner(sumo={"timeout_s": 1.0})
    runner.sample(num_timesteps=20, explore=True)
    victim = simulator_of(runner, 1)
    os.kill(victim.pid, number)
    began_s = time.monotonic()
    fragment = runner.sample(num_timesteps=60, explore=True)
    assert time.monotonic() - began_s < 20.0
    assert sum(map(len, fragment)) >= 60
    report = runner.pop_report()
    assert (report.faults, [record.outcome for record in report.records].count("fault"), report.quarantined) == (1, 1, {})
    assert psutil.wait_procs([victim], timeout=5)[1] == []
    assert runner.pop_report().faults == 0


def test_a_scenario_that_always_crashes_sumo_is_left_out(make_runner, dataset_dir, monkeypatch):
    names = [scenario.scenario_id for scenario in Dataset.load(dataset_dir).train]
    failing_scenario(monkeypatch, names[0], names[5])
    runner = make_runner()
    while len(runner._faults.quarantined) < 2:
        assert sum(map(len, runner.sample(num_timesteps=160, explore=True))) >= 160
    report = runner.pop_report()
    assert set(report.quarantined) == {names[0], names[5]}
    assert report.faults == 6, "three attempts each, and no more"
    assert all("3 failures in a row" in why and "SumoStartError" in why for why in report.quarantined.values())
    runner.sample(num_timesteps=400, explore=True)
    report = runner.pop_report()
    assert report.faults == 0 and not {record.scenario_id for record in report.records} & {names[0], names[5]}


def test_left_out_scenarios_change_only_the_draws_that_would_have_met_them(dataset_dir):
    dataset = Dataset.load(dataset_dir)
    left_out = {dataset.train[3].scenario_id, dataset.train[7].scenario_id}
    plans = [
        [source.next() for _ in range(200)]
        for source in (TrainingEpisodes(dataset, Assignment(run_seed=3), left_out=out) for out in ((), left_out, left_out))
    ]
    assert plans[1] == plans[2]
    for free, bound in zip(plans[0], plans[1], strict=True):
        assert bound.identity == free.identity
        assert bound.scenario.scenario_id not in left_out
        assert (bound.scenario == free.scenario) or free.scenario.scenario_id in left_out
    assert {plan.scenario.scenario_id for plan in plans[1]} == {scenario.scenario_id for scenario in dataset.train} - left_out


def test_a_worker_without_scenarios_of_its_own_takes_others_and_ends_when_there_are_none(dataset_dir):
    dataset = Dataset.load(dataset_dir)
    own = {scenario.scenario_id for scenario in dataset.train[0::2]}
    helper = TrainingEpisodes(dataset, Assignment(worker=0, num_workers=2), left_out=own)
    assert {helper.next().scenario.scenario_id for _ in range(100)} == {scenario.scenario_id for scenario in dataset.train[1::2]}
    nothing = TrainingEpisodes(dataset, Assignment(), left_out={scenario.scenario_id for scenario in dataset.train})
    with pytest.raises(DatasetError, match="all 12 training scenarios are left out"):
        nothing.next()


def test_when_every_scenario_fails_the_worker_says_so_instead_of_trying_for_ever(make_runner, dataset_dir, monkeypatch):
    failing_scenario(monkeypatch, *(scenario.scenario_id for scenario in Dataset.load(dataset_dir).train), error=SumoError("broken"))
    runner = make_runner()
    for _ in range(20):
        with pytest.raises((SumoError, DatasetError)) as raised:
            runner.sample(num_timesteps=10, explore=True)
        if isinstance(raised.value, DatasetError):
            break
    assert "all 12 training scenarios are left out" in runner.pop_failure()
    assert runner.pop_failure() is None
    assert len(runner.pop_report().quarantined) == 12


def test_what_the_driver_knows_is_left_out_from_the_first_episode_on(make_runner, dataset_dir):
    names = [scenario.scenario_id for scenario in Dataset.load(dataset_dir).train]
    runner = make_runner(quarantined=dict.fromkeys(names[1:], "known"))
    runner.sample(num_timesteps=200, explore=True)
    assert {record.scenario_id for record in runner.pop_report().records} == {names[0]}


def test_an_exception_in_a_step_costs_one_episode(make_runner, monkeypatch):
    runner = make_runner()
    runner.sample(num_timesteps=20, explore=True)
    convoy = runner._training_envs[0]._convoy
    conclude, calls = ConvoyEnv.conclude_step, []

    def fail_once(self):
        if self is convoy and not calls:
            calls.append(1)
            raise ZeroDivisionError("a user's reward term")
        return conclude(self)

    monkeypatch.setattr(ConvoyEnv, "conclude_step", fail_once)
    assert sum(map(len, runner.sample(num_timesteps=100, explore=True))) >= 100
    report = runner.pop_report()
    assert report.faults == 1 and "fault" in [record.outcome for record in report.records]


def test_an_exception_in_every_step_reaches_the_driver(make_runner, monkeypatch):
    runner = make_runner()
    runner.sample(num_timesteps=20, explore=True)

    def fail(self):
        raise ZeroDivisionError("a user's reward term")

    with monkeypatch.context() as broken:
        broken.setattr(ConvoyEnv, "conclude_step", fail)
        with pytest.raises(ZeroDivisionError, match="reward term"):
            runner.sample(num_timesteps=100, explore=True)
    assert runner.pop_failure() == "ZeroDivisionError: a user's reward term"
    # And the worker is none the worse for it.
    fragment = runner.sample(num_timesteps=40, explore=True)
    assert sum(map(len, fragment)) >= 40 and all(episode.t_started == 0 for episode in fragment)


def test_a_step_without_an_episode_is_the_callers_mistake_and_no_fault(dataset_dir):
    faults = ScenarioFaults()
    env = TrainingEnv(ConvoyEnv(dataset_dir=dataset_dir), faults)
    with pytest.raises(UsageError, match="reset"):
        env.step(env.action_space.sample())
    assert faults.collect() == (0, None)


def test_failures_count_only_in_a_row():
    faults = ScenarioFaults()
    for _ in range(10):
        faults.failed("a", SumoError("x"))
        faults.failed("a", SumoError("x"))
        faults.finished("a")
    faults.failed(None, DatasetError("y"))
    for _ in range(5):
        faults.failed("a", ZeroDivisionError("own code"))
    assert (faults.collect(), faults.quarantined) == ((26, "ZeroDivisionError: own code"), {})
    for _ in range(3):
        faults.failed("a", SumoError("first line\nsecond line" + 300 * "x"))
    assert dict(faults.quarantined) == {"a": "3 failures in a row, the last: SumoError: first line"}


def test_generations_survive_the_loss_of_their_file(tmp_path):
    path = Path(tmp_path / "generations.json")
    first = Generations(path)
    assert [first.next(), first.next()] == [0, 1]
    path.unlink()
    assert first.next() == 2
    path.unlink()
    assert Generations(path, used=2).next() == 3
