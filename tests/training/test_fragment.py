"""Our inner loop against RLlib's own, over the real environment: the same episodes, piece by piece."""

from itertools import chain

import numpy as np
import pytest
from ray.rllib.core.columns import Columns

from roadsense.errors import ConfigError
from roadsense.features import EGO_COLUMN
from roadsense.scenario.dataset import Dataset
from roadsense.training.algorithm import ppo_config
from roadsense.training.env_runner import ConvoyEnvRunner, RolloutSettings
from roadsense.training.fragment import DRAWN
from roadsense.training.generations import Generations
from roadsense.training.settings import TrainSettings

SHORT = {  # episodes with crashes
    "warm_up_s": 2.0,
    "horizon_s": 7.0,
    "hazard": {"probability": 0.7, "onset_s": {"low": 0.5, "high": 1.0}, "resolve_probability": 0.0},
    "distraction": {"reaction_s": {"low": 6.0, "high": 6.0}},
}
FRAGMENTS = (350, 70, 1, 230)


@pytest.fixture
def make_runner(dataset_dir, tmp_path):
    runners = []

    def make(model=None, action_repeat=1, **config):
        settings = TrainSettings(num_envs_per_env_runner=3, model={"initial_brake_probability": 0.1, **(model or {})})
        rollout = RolloutSettings(
            dataset_dir=dataset_dir,
            sumo_cfg=None,
            dataset_hash=Dataset.load(dataset_dir).hash,
            ego_id="V001",
            emulator_params=None,
            sumo={},
            task=SHORT,
            run_seed=5,
            generation=1,
            num_workers=1,
            action_repeat=action_repeat,
        )
        built = ppo_config(settings, rollout, 0, Generations(tmp_path / f"generations_{len(runners)}"))
        if config:
            built.callbacks(**config)
        runners.append(ConvoyEnvRunner(config=built, worker_index=0))
        return runners[-1]

    yield make
    for runner in runners:
        runner.stop()


def all_of(fragments):
    return list(chain.from_iterable(fragments))


def sampled(runner, explore):
    return [runner.sample(num_timesteps=steps, explore=explore) for steps in FRAGMENTS]


@pytest.mark.parametrize(("explore", "model"), [(True, {}), (False, {}), (True, {"ego_in_encoder": True}), (True, {"mirror_peers": True})])
def test_episodes_are_those_of_rllibs_own_loop(make_runner, monkeypatch, explore, model):
    ours = make_runner(model)
    episodes = sampled(ours, explore)
    theirs = make_runner(model)
    monkeypatch.setattr(ConvoyEnvRunner, "_has_episode_callbacks", lambda self: True)
    expected = sampled(theirs, explore)
    assert theirs._collector is None and ours._collector is not None
    assert [[len(episode) for episode in fragment] for fragment in episodes] == [[len(episode) for episode in part] for part in expected]
    assert any(episode.is_terminated for episode in all_of(expected))
    assert any(episode.is_truncated for episode in all_of(expected))
    names = {}
    for one, other in zip(all_of(episodes), all_of(expected), strict=True):
        assert names.setdefault(other.id_, one.id_) == one.id_, "pieces of one episode carry one name"
        assert (one.is_terminated, one.is_truncated, one.t_started, one.t) == (
            other.is_terminated,
            other.is_truncated,
            other.t_started,
            other.t,
        )
        assert np.abs(one.get_observations()["privileged"]).max() > 0.1
        for name in ("ego", "privileged"):
            np.testing.assert_array_equal(one.get_observations()[name], other.get_observations()[name])
        assert list(one.get_observations()["peers"]) == list(other.get_observations()["peers"])
        for get in ("get_actions", "get_rewards"):
            found, wanted = getattr(one, get)(), getattr(other, get)()
            np.testing.assert_array_equal(found, wanted)
            assert found.dtype == wanted.dtype
        np.testing.assert_array_equal(
            one.get_extra_model_outputs(Columns.ACTION_DIST_INPUTS), other.get_extra_model_outputs(Columns.ACTION_DIST_INPUTS)
        )
        if explore:  # RLlib gives a density of 0 to what was not drawn
            np.testing.assert_allclose(
                one.get_extra_model_outputs(Columns.ACTION_LOGP), other.get_extra_model_outputs(Columns.ACTION_LOGP), rtol=0, atol=1e-5
            )
    assert len(set(names.values())) == len(names) > 3
    assert [record.identity for record in ours.pop_report().records] == [record.identity for record in theirs.pop_report().records]
    found, wanted = ours.get_metrics(), theirs.get_metrics()
    for key in ("num_env_steps_sampled", "num_episodes", "episode_return_mean", "episode_len_mean"):
        assert found[key].peek() == pytest.approx(wanted[key].peek())


def whole_episodes(fragments):
    """Actions (T,) and whether they were drawn (T,), piece behind piece, by the name of the episode."""
    whole = {}
    for episode in all_of(fragments):
        actions, drawn = whole.setdefault(episode.id_, ([], []))
        assert episode.t_started == len(actions)
        actions += episode.get_actions()[:, 0].tolist()
        drawn += episode.get_extra_model_outputs(DRAWN).tolist()
    return whole


@pytest.mark.parametrize("repeat", [2, 3])
def test_an_action_that_was_drawn_is_kept(make_runner, repeat):
    episodes = whole_episodes(sampled(make_runner({"initial_brake_probability": 0.5}, action_repeat=repeat), explore=True))
    assert len(episodes) > 3 and any(len(actions) > 60 for actions, _ in episodes.values())
    for actions, drawn in episodes.values():
        assert drawn == [step % repeat == 0 for step in range(len(actions))]
        assert actions == [actions[step - step % repeat] for step in range(len(actions))]
    first = next(actions for actions, _ in episodes.values() if len(actions) > 60)
    assert len(set(first[::repeat])) > len(first) / repeat / 4, "drawn anew every time"


def test_what_was_kept_is_what_was_driven(make_runner):
    """The action of the step before is an entry of the observation, so it is what the environment was given."""
    runner = make_runner({"initial_brake_probability": 0.5}, action_repeat=2)
    for episode in all_of(sampled(runner, explore=True)):
        seen = episode.get_observations()["ego"][1:, EGO_COLUMN["previous_action"]]
        np.testing.assert_array_equal(seen, episode.get_actions()[:, 0])


def test_the_trained_policy_decides_in_every_step(make_runner):
    episodes = all_of(sampled(make_runner(action_repeat=2), explore=False))
    assert all(DRAWN not in episode.extra_model_outputs for episode in episodes)


def test_callbacks_with_episodes_and_kept_actions_exclude_each_other(make_runner):
    runner = make_runner(action_repeat=2, on_episode_end=lambda **_: None)
    with pytest.raises(ConfigError, match=r"training_action_repeat is 2, .* leave the callbacks out, or set training_action_repeat to 1"):
        runner.sample(num_timesteps=30, explore=True)


def test_callbacks_with_episodes_are_made(make_runner):
    """Who wants to be called with episodes in the making gets RLlib's own loop."""
    seen = []
    runner = make_runner(on_episode_end=lambda *, episode, **_: seen.append(len(episode)))
    runner.sample(num_timesteps=300, explore=True)
    assert seen and runner._collector is None


def test_whole_episodes_and_random_actions_can_still_be_asked_for(make_runner):
    runner = make_runner()
    runner.sample(num_timesteps=30, explore=True)
    assert sum(len(episode) for episode in runner.sample(num_timesteps=12, random_actions=True)) >= 12
    runner.sample(num_timesteps=30, explore=True)
    whole = runner.sample(num_episodes=2, explore=False)
    assert len(whole) == 2 and all(episode.is_done and episode.t_started == 0 for episode in whole)
    after = runner.sample(num_timesteps=30, explore=True)
    assert all(episode.t_started == 0 for episode in after), "fresh episodes after somebody else has driven"
