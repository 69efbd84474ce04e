"""Who goes on, how much room there is, when it ends, and whether the differences are worth anything. No Ray is started."""

import pickle
from types import SimpleNamespace

import numpy as np
import pytest

from roadsense.artifacts.cost import cost_environment
from roadsense.errors import UsageError
from roadsense.sweep.table import verdict
from roadsense.training.cluster import Cluster
from roadsense.training.stop import StopSignals
from roadsense.training.sweep import room as rooms
from roadsense.training.sweep.files import Measurement, RungEpisodes, SweepFile, SweepLayout, TakenOver, TrialFile, draw_trials
from roadsense.training.sweep.live import set_live
from roadsense.training.sweep.room import find_room
from roadsense.training.sweep.schedulers import scheduler_of
from roadsense.training.sweep.settings import SweepSettings
from roadsense.training.sweep.spread import Spread, expected_best
from roadsense.training.sweep.watch import Watch, before, keep_copy, newest_state, reason_of


class Trial:
    """As Tune's, for schedulers."""

    checkpoint = None

    def __init__(self, name):
        self.trial_id = self._name = name

    def __str__(self):
        return self._name


def sweep(**settings):
    return SweepSettings.parse({"total_timesteps": 900} | settings, "test")


def reports(scheduler, name, timesteps, objective):
    return scheduler.on_trial_result(None, Trial(name), {"timesteps": timesteps, "objective": objective})


def halving(names, **settings):
    scheduler = scheduler_of(sweep(reduction=2, first_rung=100, **settings), 0)
    for name in names:
        scheduler.on_trial_add(None, Trial(name))
    return scheduler


def test_the_worse_half_is_stopped_at_a_rung_and_the_base_configuration_never():
    scheduler = halving(["trial_000", "trial_001", "trial_002", "base_seed_42"])
    assert reports(scheduler, "trial_000", 120, 0.3) == "CONTINUE"
    assert reports(scheduler, "trial_001", 120, 0.4) == "STOP"
    assert reports(scheduler, "trial_002", 110, 0.2) == "CONTINUE"
    assert reports(scheduler, "base_seed_42", 100, 0.9) == "CONTINUE"
    assert scheduler.on_trial_result(None, Trial("trial_000"), {"timesteps": 150}) == "CONTINUE", "between rungs nothing is decided"


def test_rungs_outlive_the_driver(tmp_path):
    """Tune's snapshot alone would forget who has been at a rung, and everybody would go on."""
    settings = sweep(reduction=2, first_rung=100)
    first = Watch(settings, SweepLayout(tmp_path), print, StopSignals())
    first.scheduler = halving(["trial_000", "trial_001"])
    reports(first.scheduler, "trial_000", 120, 0.3)
    state = pickle.loads(pickle.dumps(first.get_state()))  # noqa: S301
    second = Watch(settings, SweepLayout(tmp_path), print, StopSignals())
    second.scheduler = halving([])
    second.set_state(state)
    second.scheduler.on_trial_add(None, Trial("trial_001"))
    assert reports(second.scheduler, "trial_001", 120, 0.4) == "STOP"
    assert second.session == 1
    set_live(watch=second, scheduler=second.scheduler)
    assert pickle.loads(pickle.dumps(first)) is second, "what Tune kept of the first driver comes back as what is there now"  # noqa: S301
    assert pickle.loads(pickle.dumps(first.scheduler)) is second.scheduler  # noqa: S301


def test_half_a_snapshot_gives_way_to_the_one_before(tmp_path):
    layout = SweepLayout(tmp_path)
    layout.tune.mkdir()
    state = layout.tune / "experiment_state-1.json"
    state.write_text('{"trial_data": []}')
    (layout.tune / "callback-states-1.pkl").write_bytes(pickle.dumps({}))
    (layout.tune / "basic-variant-state-1.json").write_bytes(pickle.dumps({}))
    keep_copy(layout.tune)
    state.write_text('{"trial_da')
    assert newest_state(layout.tune) is None
    assert newest_state(before(layout.tune)).read_text() == '{"trial_data": []}'
    keep_copy(layout.tune)
    assert newest_state(before(layout.tune)) is not None, "a damaged one is not copied"
    state.write_text('{"trial_data": []}')
    (layout.tune / "callback-states-1.pkl").write_bytes(pickle.dumps({"a": 1})[:-1])
    assert newest_state(layout.tune) is None, "half of the callbacks' states"


def test_why_a_trial_failed_is_the_last_thing_that_was_raised(tmp_path):
    (tmp_path / "t").mkdir()
    assert reason_of(tmp_path, "t") == "for an unknown reason"
    (tmp_path / "t" / "error.txt").write_text("Failure # 1\nTraceback:\nroadsense.errors.SumoError: SUMO died; look\n  at its log\n\n")
    assert reason_of(tmp_path, "t") == "roadsense.errors.SumoError: SUMO died; look"


def watch(tmp_path, lines, **settings):
    return Watch(sweep(**settings), SweepLayout(tmp_path), lines.append, StopSignals())


def rung(name, timesteps, objective):
    return {
        "timesteps": timesteps, "objective": objective, "objective_critical_crashes": objective, "objective_false_braking": 0.0,
    }  # fmt: skip


def test_steps_are_counted_over_all_trials_and_end_the_sweep(tmp_path):
    lines = []
    looking = watch(tmp_path, lines, stop_after_steps=500)
    for name, timesteps in (("trial_000", 200), ("trial_001", 200), ("trial_000", 400)):
        looking.on_trial_result(0, [], Trial(name), {"timesteps": timesteps})
    assert looking.steps == 600
    looking.on_trial_start(0, [], Trial("trial_001"))  # begins anew: what it did counts all the same
    looking.on_trial_result(0, [], Trial("trial_001"), {"timesteps": 200})
    assert looking.steps == 800
    assert looking._reason_to_stop() == "--stop_after_steps 500"
    assert watch(tmp_path, [], stop_after_steps=801)._reason_to_stop() is None


def test_minutes_of_earlier_sessions_count(tmp_path):
    looking = watch(tmp_path, [], stop_after_minutes=10)
    assert looking._reason_to_stop() is None
    looking.set_state({"elapsed_s": 601.0, "session": 0, "driven": {}, "by_rung": {}})
    assert looking._reason_to_stop() == "--stop_after_minutes 10"


def test_money_ends_the_sweep(tmp_path, monkeypatch):
    from datetime import UTC, datetime, timedelta

    looking = watch(tmp_path, [], stop_after_usd=1.5)
    assert looking._reason_to_stop() is None
    for name, value in cost_environment(datetime.now(UTC) - timedelta(hours=2), 1.0, 2.0).items():
        monkeypatch.setenv(name, value)
    assert looking._reason_to_stop() == "--stop_after_usd 1.5"


def test_the_spread_over_seeds_is_told_as_soon_as_it_is_known(tmp_path):
    lines = []
    looking = watch(tmp_path, lines, base_seeds=2, trials=8)
    looking.on_trial_result(0, [], Trial("base_seed_42"), rung("base_seed_42", 100, 0.1))
    assert "at 100 steps" not in "".join(lines)
    looking.on_trial_result(0, [], Trial("base_seed_43"), rung("base_seed_43", 100, 0.5))
    assert "NOT STABLE" in lines[-1]
    steady = []
    looking = watch(tmp_path, steady, base_seeds=2, trials=8)
    for name, value in (("base_seed_42", 0.30), ("base_seed_43", 0.31)):
        looking.on_trial_result(0, [], Trial(name), rung(name, 100, value))
    assert "standard deviation 0.7" in steady[-1]
    assert "NOT STABLE" not in steady[-1]


def test_the_best_of_equals_is_as_lucky_as_simulated():
    drawn = np.random.default_rng(1).standard_normal((20_000, 16))
    assert expected_best(16) == pytest.approx(-drawn.min(axis=1).mean(), abs=0.03)
    assert expected_best(1) == 0.0
    assert Spread.of([0.0, 0.0], 8).stable
    assert "NOTHING LEARNED" in Spread.of([1.0, 1.0], 8).describe()


def judged(name, value, trial=True):
    objective = SimpleNamespace(objective=value)
    return SimpleNamespace(name=name, trial=TrialFile(name=name, seed=1, drawn={}) if trial else None, objective=objective)


def test_the_verdict_tells_luck_from_a_gain():
    settings = sweep(trials=8, base_seeds=3)
    file = SweepFile(
        settings=settings, trials=tuple(draw_trials(settings)), rung=RungEpisodes(episodes=(), critical=frozenset()), dataset_hash="0"
    )
    seeds = [judged("base_seed_42", 0.10), judged("base_seed_43", 0.12), judged("base_seed_44", 0.11)]
    lucky = verdict(file, [], [judged("trial_000", 0.10), *seeds, judged("never_brake", 1.0, trial=False)])
    assert (lucky["stable"], lucky["better_than_luck"]) == (True, False)
    assert "NO MORE THAN LUCK" in lucky["text"]
    better = verdict(file, [], [judged("trial_000", 0.02), *seeds])
    assert better["better_than_luck"]
    worse = verdict(file, [], [judged("trial_000", 0.2), *seeds])
    assert not worse["better_than_luck"]
    assert "above the base" in worse["text"]
    noisy = verdict(file, [], [judged("trial_000", 0.02), judged("base_seed_42", 0.1), judged("base_seed_43", 0.5)])
    assert "NOT STABLE" in noisy["text"]
    assert "nobody knows" in verdict(file, [], [judged("trial_000", 0.02), seeds[0]])["text"]


def test_room_is_counted_in_cpus_memory_and_simulators(monkeypatch):
    monkeypatch.setattr(rooms.psutil, "virtual_memory", lambda: SimpleNamespace(available=64 * 2**30))
    here = Cluster(address=None, cpus=16)
    room = find_room(sweep(num_env_runners=3, num_envs_per_env_runner=4), here, 19)
    assert (room.cpus, room.sumo_processes, room.at_once, room.limited_by) == (3, 12, 5, "CPUs")
    assert "5 at once on 16 CPUs (limited by CPUs), 60 SUMO processes in all" in room.describe()
    assert find_room(sweep(), here, 4).at_once == 4
    assert find_room(sweep(trials_at_once=2), here, 19).limited_by == "--trials_at_once"
    monkeypatch.setattr(rooms.psutil, "virtual_memory", lambda: SimpleNamespace(available=3 * 2**30))
    room = find_room(sweep(), here, 19)
    assert (room.at_once, room.limited_by) == (2, "memory")
    with pytest.raises(UsageError, match="takes 17 CPUs and there are 16"):
        find_room(sweep(num_env_runners=17), here, 19)


def test_what_was_measured_after_a_checkpoint_is_forgotten():
    measured = Measurement(
        timesteps=100, objective=0.5, objective_interval=None, critical_hazard_collision_rate=0.5, false_braking_rate=0, critical_hazards=2,
        episodes=4, measuring_s=1.0,
    )  # fmt: skip
    later = measured.model_copy(update={"timesteps": 300})
    trial = TrialFile(name="t", seed=1, drawn={}, rungs=(measured, later), taken_over=(TakenOver(timesteps=200, trial="u", drawn={}),))
    assert trial.until(200).rungs == (measured,)
    assert trial.until(199).taken_over == ()
    assert trial.until(300) == trial
