"""After a restore every env runner holds the learner's weights before it samples its first step."""

import os

import pytest
import ray

from roadsense.artifacts.layout import RunLayout
from roadsense.model.weights import weights_sha256
from roadsense.training import checkpoint as checkpoints
from roadsense.training.algorithm import build, ppo_config
from roadsense.training.cluster import ray_cluster
from roadsense.training.env_runner import RolloutSettings
from roadsense.training.generations import Generations
from roadsense.training.settings import TrainSettings


def algorithm_for(dataset_dir, root, seed, runners=2):
    from roadsense.scenario.dataset import Dataset

    settings = TrainSettings(dataset_dir=dataset_dir, seed=seed, n_steps=40, num_envs_per_env_runner=1, total_timesteps=10_000)
    rollout = RolloutSettings(
        dataset_dir=dataset_dir,
        sumo_cfg=None,
        dataset_hash=Dataset.load(dataset_dir).hash,
        ego_id="V001",
        emulator_params=None,
        sumo=settings.sumo,
        task=settings.task,
        run_seed=seed,
        generation=0,
        num_workers=runners,
    )
    return build(ppo_config(settings, rollout, runners, Generations(root / "generations.json")))


def runner_weights(algorithm) -> set[str]:
    return set(algorithm.env_runner_group.foreach_env_runner(lambda runner: weights_sha256(runner.module.network), local_env_runner=False))


@pytest.mark.timeout(200)
def test_runners_hold_the_restored_weights(dataset_dir, tmp_path, monkeypatch):
    monkeypatch.setenv("RAY_ADDRESS", "local")
    assert os.environ["RAY_USAGE_STATS_ENABLED"] == "0"
    state = checkpoints.TrainingState(timesteps=80, iteration=1, elapsed_s=1.0, episodes=0, faults=0, worker_restarts=0, dataset_hash="")
    with ray_cluster(2, None, dashboard=False):
        trained = algorithm_for(dataset_dir, tmp_path, seed=1)
        trained.train()
        wanted = weights_sha256(trained.get_module().network)
        saved = checkpoints.save(trained, state, RunLayout(tmp_path), keep=1)
        trained.stop()
        fresh = algorithm_for(dataset_dir, tmp_path, seed=2)
        assert runner_weights(fresh) != {wanted}
        checkpoints.restore(fresh, saved)
        assert runner_weights(fresh) == {wanted}
        # And the push by itself, against runners that were left with other weights.
        fresh.env_runner_group.foreach_env_runner(_scramble, local_env_runner=False)
        assert runner_weights(fresh) != {wanted}
        checkpoints.push_weights(fresh)
        assert runner_weights(fresh) == {wanted}
        fresh.stop()
    assert not ray.is_initialized()


def _scramble(runner) -> None:
    import torch

    with torch.no_grad():
        for parameter in runner.module.network.parameters():
            parameter.add_(1.0)
