"""The measurements themselves, made small: real env runners, real learner. No figure is judged, but every one is there and adds up."""

import pytest

from roadsense.bench.scaling import ScalingPlan, measure_scaling


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_everything_is_measured(dataset_dir):
    said = []
    found = measure_scaling(dataset_dir, ScalingPlan(fragments=2, episodes=2, batches=(1, 2), repeats=1), said.append)
    assert len(said) == 4 and found.scenarios == 12
    assert [len(fragments) for fragments in found.fragment_cpu_s] == [2, 2]
    assert len(found.scenario_us_per_step) == 12 and all(len(episodes) == 2 for episodes in found.scenario_us_per_step)
    assert 2048 <= found.learning[0].rows < 2300 and 4096 <= found.learning[1].rows < 4500
    assert 100_000 < found.fragment_bytes < 5_000_000 and 10_000 < found.weights_bytes < 200_000
    assert "command" not in found.provenance and len(found.provenance["load_averages"]) == 3
    costs = found.costs()
    assert 50 < costs.sampling_steps_per_s < 100_000 and 0 < costs.learning_s_per_step < 0.1
