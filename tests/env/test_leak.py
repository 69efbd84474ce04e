"""Nothing in `ego` announces a hazard: a probe trained on the ego's own sensors predicts the onset no better than chance.

If the driver's distraction were visible in the ego's own motion, "brake when my own acceleration is flat" would avoid every crash without
any radio. The probe sees the ego's entries of the last second, over episodes in which nobody brakes the ego. It is asked of every step before
the onset whether a hazard has begun in the last second, and is tested on episodes that it was not trained on.
"""

import numpy as np
import pytest

from roadsense.env.convoy_env import ConvoyEnv

NOTHING = np.zeros(1, np.float32)
TASK = {"horizon_s": 14.0, "hazard": {"onset_s": {"low": 3.0, "high": 12.0}}}
EPISODES, FOLDS, HISTORY, AFTER_ONSET_S = 130, 5, 10, 1.0


def collect(env):
    """Features (S, F), whether a hazard has just begun (S,), episode of each step (S,)."""
    features, labels, episodes = [], [], []
    for episode in range(EPISODES):
        observation, _ = env.reset()
        hazard = env.episode.script.hazard
        if not env.episode.plan.scenario.drawn["convoy"]["peers_ahead"]:
            continue  # nobody is ahead, so no hazard can come: not at risk
        history, info = [], {}
        while "record" not in info:
            time_s = env.episode.elapsed_s(env.state)
            if time_s > (12.0 if hazard is None else hazard.onset_s) + AFTER_ONSET_S:
                break
            history.append(observation["ego"])
            if len(history) >= HISTORY:
                features.append(summary(np.array(history[-HISTORY:])))
                labels.append(hazard is not None and time_s > hazard.onset_s)
                episodes.append(episode)
            observation, *_, info = env.step(NOTHING)
    return np.array(features), np.array(labels), np.array(episodes)


def summary(ego):
    """Speed and acceleration now, and how flat and how noisy both were over the last second."""
    speed, accel = ego[:, 0], ego[:, 1]
    trend = speed[5:].mean() - speed[:5].mean()
    return [speed[-1], accel[-1], abs(accel[-1]), accel.mean(), abs(accel.mean()), accel.std(), speed.std(), trend, abs(trend)]


def held_out_scores(features, labels, episodes):
    """Log odds for every step, by logistic regression on the features and their squares over the episodes of the other folds."""
    scaled = (features - features.mean(0)) / features.std(0)
    inputs = np.hstack((np.ones((len(labels), 1)), scaled, scaled**2))
    scores = np.zeros(len(labels))
    for fold in range(FOLDS):
        held_out = episodes % FOLDS == fold
        seen, wanted = inputs[~held_out], labels[~held_out]
        coefficients = np.zeros(inputs.shape[1])
        for _ in range(12):  # Newton's method with a little ridge
            chances = 1 / (1 + np.exp(-np.clip(seen @ coefficients, -30, 30)))
            curvature = (seen * (chances * (1 - chances))[:, None]).T @ seen + np.eye(inputs.shape[1])
            coefficients += np.linalg.solve(curvature, seen.T @ (wanted - chances) - coefficients)
        scores[held_out] = inputs[held_out] @ coefficients
    return scores


def area_under_curve(scores, labels):
    ranks = scores.argsort().argsort() + 1
    positives = labels.sum()
    return (ranks[labels].sum() - positives * (positives + 1) / 2) / (positives * (len(labels) - positives))


def area_with_limits(features, labels, episodes):
    """Area under the curve of the probe, and its 99 % interval by bootstrap over episodes."""
    scores = held_out_scores(features, labels, episodes)
    rng, names = np.random.default_rng(0), np.unique(episodes)
    rows = {name: np.flatnonzero(episodes == name) for name in names}
    areas = []
    for _ in range(200):
        chosen = np.concatenate([rows[name] for name in rng.choice(names, len(names))])
        areas.append(area_under_curve(scores[chosen], labels[chosen]))
    return area_under_curve(scores, labels), *np.quantile(areas, [0.005, 0.995])


@pytest.fixture(scope="module")
def steps(dataset_dir):
    env = ConvoyEnv(dataset_dir=dataset_dir, scenario_seed=5, task=TASK)
    try:
        return collect(env)
    finally:
        env.close()


def test_ego_alone_predicts_the_onset_no_better_than_chance(steps):
    features, labels, episodes = steps
    assert len(np.unique(episodes[labels])) > 40
    area, low, high = area_with_limits(features, labels, episodes)
    assert low < 0.5 < high or area < 0.5, f"area under the curve {area:.3f} ({low:.3f} to {high:.3f})"


def test_the_probe_finds_a_leak_where_there_is_one(steps):
    """The same probe on the same steps, with a driver that is perfectly flat after the onset, as a naive hold would be."""
    features, labels, episodes = steps
    leaking = features.copy()
    leaking[labels, 1:7] *= 0.5
    area, low, _ = area_with_limits(leaking, labels, episodes)
    assert low > 0.6, f"area under the curve {area:.3f}"
