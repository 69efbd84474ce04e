"""The environment's contract, on real SUMO."""

import warnings

import gymnasium
import numpy as np
import psutil
import pytest
from gymnasium.utils.env_checker import check_env

import roadsense  # noqa: F401  (registers the environment)
from roadsense.env.convoy_env import ConvoyEnv
from roadsense.env.episodes import Assignment
from roadsense.env.outcome import Outcome
from roadsense.errors import EgoNeverAppearedError, UsageError

NOTHING = np.zeros(1, np.float32)
FULL = np.ones(1, np.float32)


@pytest.fixture
def make(dataset_dir):
    opened = []

    def open_env(**options) -> ConvoyEnv:
        env = ConvoyEnv(**({"dataset_dir": dataset_dir} | options))
        opened.append(env)
        return env

    yield open_env
    for env in opened:
        env.close()


def play(env, action=NOTHING, **reset):
    """(observations, rewards, record) of one episode with a constant action."""
    observation, _ = env.reset(**reset)
    observations, rewards = [observation], []
    while True:
        observation, reward, terminated, truncated, info = env.step(action)
        observations.append(observation)
        rewards.append(reward)
        if terminated or truncated:
            return observations, rewards, info["record"]


def same(one, other) -> bool:
    return all(np.array_equal(a["ego"], b["ego"]) and a["peers"] == b["peers"] for a, b in zip(one, other, strict=True))


@pytest.mark.parametrize("mode", ["train", "eval"])
def test_gymnasium_accepts_it(dataset_dir, mode):
    env = gymnasium.make("RoadSense-Convoy-v0", dataset_dir=dataset_dir, scenario_mode=mode, scenario_seed=3)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        # Gymnasium warns about every Box that is not bounded; speeds and distances have no bound that means anything.
        warnings.filterwarnings("ignore", message=".*infinity.*")
        check_env(env.unwrapped, skip_render_check=True)
    env.close()


def test_the_constructor_starts_nothing(make):
    before = len(psutil.Process().children())
    env = make()
    assert len(psutil.Process().children()) == before
    assert env.session is None
    env.reset()
    assert len(psutil.Process().children()) == before + 1


def test_two_environments_with_the_same_seed_are_exactly_equal(make):
    one, other = make(scenario_seed=5), make(scenario_seed=5)
    for _ in range(2):
        (seen, rewards, record), (seen_too, rewards_too, record_too) = play(one), play(other)
        assert same(seen, seen_too) and rewards == rewards_too and record == record_too


def test_seed_on_reset_begins_anew(make):
    env = make(scenario_seed=5)
    first = play(env, seed=9)[2]
    play(env)
    assert play(env, seed=9)[2] == first
    assert play(env, seed=10)[2].identity != first.identity


def test_observations_share_no_memory(make):
    env = make()
    first, _ = env.reset(seed=1)
    kept = first["ego"].copy(), first["peers"].values.copy()
    for _ in range(5):
        env.step(FULL)
    assert np.array_equal(first["ego"], kept[0]) and np.array_equal(first["peers"].values, kept[1])
    assert not first["peers"].values.flags.writeable


def test_a_place_in_a_run_decides_the_draws(make):
    def first_identity(**place):
        env = make(assignment=Assignment(run_seed=4, num_workers=2, **place))
        _, info = env.reset(seed=77)  # RLlib seeds as it likes; the place wins
        return info["identity"], info["scenario_id"]

    assert first_identity(worker=0) == first_identity(worker=0)
    assert first_identity(worker=0)[0] == "train:4/0/0/0/0"
    assert first_identity(worker=1, sub_environment=2, generation=3)[0] == "train:4/3/1/2/0"


def test_evaluation_walks_the_fixed_list(make, dataset_dir):
    env = make(scenario_mode="eval")
    listed = [scenario.scenario_id for scenario in env.dataset.eval]
    seen = [env.reset()[1] for _ in range(len(listed) + 1)]
    assert [info["scenario_id"] for info in seen] == [*listed, listed[0]]
    assert seen[0]["identity"].endswith("/0") and seen[-1]["identity"].endswith("/1")


def test_one_evaluation_episode_can_be_asked_for(make):
    env = make(scenario_mode="eval")
    wanted = env.dataset.eval[2].scenario_id
    one = play(env, options={"scenario_id": wanted, "round": 1})[2]
    assert one.scenario_id == wanted
    assert play(env, options={"scenario_id": wanted, "round": 1})[2] == one
    assert play(env, options={"scenario_id": wanted, "round": 2})[2].identity != one.identity


def test_always_braking_stands_and_never_crashes(make):
    env = make(scenario_mode="eval")
    for _ in range(3):
        _, _, record = play(env, FULL)
        assert record.outcome in (Outcome.SAFE, Outcome.EGO_REAR_ENDED)
        assert record.false_braking_steps == record.steps_outside_hazard
        assert record.progress_m < 100


def test_closing_and_resetting_again_works(make):
    env = make(scenario_seed=2)
    first = play(env, seed=2)[2]
    env.close()
    env.close()
    assert env.session is None
    assert play(env, seed=2)[2] == first


def test_a_killed_sumo_is_an_error_and_the_next_reset_works(make):
    from roadsense.errors import SumoError

    env = make()
    env.reset(seed=1)
    psutil.Process(env.session.pid).kill()
    with pytest.raises(SumoError, match="sumo"):
        for _ in range(3):
            env.step(NOTHING)
    env.reset()
    env.step(NOTHING)


def test_libsumo_gives_the_same_episode(dataset_dir):
    """In a process of its own: libsumo holds one simulation per process."""
    import subprocess
    import sys

    code = (
        "import numpy as np\nfrom roadsense.env.convoy_env import ConvoyEnv\n"
        f"env = ConvoyEnv(dataset_dir={str(dataset_dir)!r}, scenario_seed=5, sumo={{'backend': BACKEND}})\n"
        "env.reset()\ntotal = sum(env.step(np.zeros(1, np.float32))[1] for _ in range(60))\nprint('TOTAL', repr(float(total)))\nenv.close()\n"
    )
    totals = [
        subprocess.run(
            [sys.executable, "-c", code.replace("BACKEND", repr(backend))], capture_output=True, text=True, check=True
        ).stdout.split("TOTAL")[1]
        for backend in ("traci", "libsumo")
    ]
    assert totals[0] == totals[1]


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda make: make(dataset_dir=None), "neither"),
        (lambda make: make(sumo_cfg="x.sumocfg"), "both"),
        (lambda make: make(scenario_mode="test"), "scenario_mode"),
        (lambda make: make().step(NOTHING), "reset"),
        (lambda make: make().reset(options={"scenario": 1}), "scenario"),
        (lambda make: make(scenario_mode="eval").reset(options={"scenario_id": "nowhere"}), "nowhere"),
        (lambda make: make().reset(options={"identity": "train:1/2"}), "identity"),
    ],
)
def test_wrong_use_is_refused_in_one_line(make, call, message):
    with pytest.raises(UsageError, match=message) as caught:
        call(make)
    assert len(str(caught.value).splitlines()) == 1


@pytest.mark.parametrize("action", [np.array([np.nan], np.float32), np.zeros(2, np.float32)])
def test_actions_that_are_no_number_are_refused(make, action):
    env = make()
    env.reset()
    with pytest.raises(UsageError, match="action"):
        env.step(action)


def test_an_ego_that_never_comes(make, dataset_dir):
    config = next((dataset_dir / "eval").iterdir()) / "scenario.sumocfg"
    env = make(dataset_dir=None, sumo_cfg=config, ego_id="V999", sumo={"ego_wait_s": 1.0})
    with pytest.raises(EgoNeverAppearedError, match="V999"):
        env.reset()
