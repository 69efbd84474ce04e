"""The measurements in the package, the tables made of them, and that everybody predicts the same."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from roadsense.bench.calibration import calibrate
from roadsense.bench.predicted import comparisons
from roadsense.cli import doctor, main, prediction
from roadsense.cloud.estimate import AROUND_TRAINING_HOURS, estimate, listed_usd_per_hour, predicted_iteration
from roadsense.cloud.prices import Price
from roadsense.cloud.settings import PRESETS, CloudSettings
from roadsense.errors import BudgetError, ConfigError
from roadsense.scaling.cluster import cluster
from roadsense.scaling.measured import Calibration, packaged, read_measured
from roadsense.scaling.model import iteration


def newest(repository: Path, pattern: str) -> Path:
    return sorted((repository / "benchmarks" / "results").glob(pattern))[-1]


def test_the_package_holds_the_newest_committed_measurements(repository):
    assert read_measured(newest(repository, "*_scaling.json")) == packaged()


def test_the_model_describes_the_fragments_that_were_measured():
    """Spread as the model says, to a third; the batch's learning time on the line, to a tenth."""
    measured, costs = packaged(), packaged().costs()
    for time in measured.learning:
        assert costs.learning_fixed_s + time.rows * costs.learning_s_per_step == pytest.approx(time.cpu_s, rel=0.1)
    assert sum(costs.steps.by_scenario) / measured.scenarios == pytest.approx(1.0)
    assert len(measured.scenario_us_per_step) == measured.scenarios == 80


def test_the_page_holds_the_tables_that_the_command_prints(repository, capsys):
    """Made again by: roadsense scaling --bench benchmarks/results/<newest>_bench_quick.json"""
    page = (repository / "docs" / "scaling.md").read_text()
    assert main(["scaling", "--bench", str(newest(repository, "*_bench_quick.json"))]) == 0
    rows = [line.strip() for line in capsys.readouterr().out.splitlines() if line.startswith("|")]
    assert len(rows) > 50
    assert [row for row in rows if row not in page] == []


def test_everybody_predicts_the_same(monkeypatch):
    """doctor, cloud plan and the tables: one model, one set of measurements."""
    monkeypatch.setattr(
        "roadsense.cloud.estimate.look_up", lambda name, *_: Price(instance_type=name, on_demand_usd_per_hour=1.0, source="x")
    )
    found = estimate(CloudSettings(total_timesteps=5_000_000), "us-east-1")
    there = iteration(packaged().costs(), cluster(8, 4))
    assert found.predicted_hours == pytest.approx(5_000_000 / there.steps_per_s / 3600 + AROUND_TRAINING_HOURS)
    assert predicted_iteration(8, 4) == there
    single = estimate(CloudSettings(total_timesteps=5_000_000, single=True), "us-east-1")
    assert single.predicted_hours == pytest.approx(5_000_000 / predicted_iteration(4, None).steps_per_s / 3600 + AROUND_TRAINING_HOURS)


def test_figures_of_ones_own_replace_the_measured_ones(monkeypatch):
    monkeypatch.setattr(
        "roadsense.cloud.estimate.look_up", lambda name, *_: Price(instance_type=name, on_demand_usd_per_hour=1.0, source="x")
    )
    hours = [
        estimate(CloudSettings(total_timesteps=50_000_000, **flags), "us-east-1").predicted_hours
        for flags in ({}, {"steps_per_s_per_runner": 1e5}, {"steps_per_s_per_runner": 1e5, "learning_s_per_1000_steps": 0.0})
    ]
    assert hours[0] > hours[1] > hours[2]


def test_money_of_the_presets():
    spot, on_demand = listed_usd_per_hour(PRESETS["c6i.xlarge"])
    around = 3 * (50 * 0.08 / 730 + 0.005)
    assert on_demand == pytest.approx(0.096 + 2 * 0.17 + around) and spot == pytest.approx(0.096 + 0.4 * 2 * 0.17 + around)
    unknown = replace(PRESETS["c6i.xlarge"], worker_type="c99.mega")
    with pytest.raises(BudgetError, match=r"c99\.mega"):
        listed_usd_per_hour(unknown)


def test_a_calibration_scales_sampling_and_learning():
    reference = packaged().calibration
    twice = Calibration(
        sampling_steps_per_cpu_s=2 * reference.sampling_steps_per_cpu_s, learner_rows_per_cpu_s=4 * reference.learner_rows_per_cpu_s
    )
    plain, quick = prediction.here_iteration(2, None), prediction.here_iteration(2, twice)
    assert quick.sampling_s == pytest.approx(plain.sampling_s / 2) and quick.learning_s == pytest.approx(plain.learning_s / 4)
    assert prediction.here_iteration(2, reference) == plain


def test_a_calibration_measures_something():
    """How much is never tested."""
    found = calibrate(0.05)
    assert 100 < found.sampling_steps_per_cpu_s < 1e6 and 1000 < found.learner_rows_per_cpu_s < 1e8


def test_what_cannot_be_imported_ends_the_doctor_with_4(monkeypatch, capsys):
    monkeypatch.setattr(doctor, "_IMPORTED", ("roadsense_of_mars",))
    assert main(["doctor"]) == 4
    out = capsys.readouterr().out
    assert "BROKEN" in out and "roadsense_of_mars" in out and "no training can run" in out


def test_the_benchmark_beside_the_model():
    """A machine whose only overhead are a tenth of a second for the weights: all by hand."""
    result = {
        "sampling_steps_per_s": {"one_runner": 4096.0},
        "training": {"1": {"steps_per_s": 2048.0, "shares": {"learning": 0.5}}, "2": {"steps_per_s": 3000.0, "shares": {}}},
    }
    costs = replace(packaged().costs(), receiving_s_per_step=0.0, call_s_per_runner=0.0, weights_s=0.1)
    one, two = comparisons(result, costs)
    assert one.predicted_steps_per_s == pytest.approx(8192 / (2.0 + 2.0 + 0.1))
    assert two.predicted_steps_per_s == pytest.approx(8192 / (1.0 + 2.0 + 0.1))
    assert one.error == pytest.approx(4.0 / 4.1 - 1) and two.error == pytest.approx(8192 / 3.1 / 3000.0 - 1)
    with pytest.raises(ConfigError, match="measure again"):
        list(comparisons({"training": {}}, costs))


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (["--env_runners", "4,many"], "--env_runners 4,many"),
        (["--env_runners", "0"], "from 1 to"),
        (["--worker_types", "c99.xlarge"], "c99.xlarge"),
        (["--head_type", "t3.nano"], "t3.nano"),
        (["--measured", "nowhere.json"], "nowhere.json"),
        (["--bench", "nowhere.json"], "nowhere.json"),
        (["--spot_share", "1.5"], "spot_share"),
    ],
)
def test_bad_input_is_one_line(capsys, flags, words):
    assert main(["scaling", *flags]) in (2, 3)
    error = capsys.readouterr().err
    assert words in error and len(error.strip().splitlines()) == 1


def test_a_file_that_holds_no_measurements_is_refused(tmp_path, capsys):
    content = packaged().model_dump(mode="json")
    for change in ({"fragment_cpu_s": [[]]}, {"scenario_us_per_step": []}, {"weights_s": -1.0}, {"learning": content["learning"][:1]}):
        path = tmp_path / "measured.json"
        path.write_text(json.dumps(content | change))
        assert main(["scaling", "--measured", str(path)]) == 2
    assert len(capsys.readouterr().err.strip().splitlines()) == 4


def test_a_model_that_is_far_off_says_so(tmp_path, capsys, repository):
    """The stated factor; which machine and which speeds is the committed result's matter."""
    result = json.loads(newest(repository, "*_bench_quick.json").read_text())
    result["training"]["2"]["steps_per_s"] /= 2
    path = tmp_path / "bench.json"
    path.write_text(json.dumps(result))
    assert main(["scaling", "--bench", str(path)]) == 1
    captured = capsys.readouterr()
    assert "Extrapolated" in captured.out
    assert "with 2 env runners" in captured.err and "with 1 env" not in captured.err and len(captured.err.strip().splitlines()) == 1
