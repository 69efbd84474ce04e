"""A radio curve from the command line, and that one drive may stand for every radio where a policy does not listen."""

import json
import shutil

import pytest

from roadsense.ablation.curve import DEAF, HEARING
from roadsense.artifacts.files import sha256_of
from roadsense.cli import main
from roadsense.evaluation.evaluate import EnvironmentSpec, close_environments, evaluate, evaluation_list
from roadsense.radio.parameters import RadioParameters, load_parameters
from roadsense.radio.variations import deaf
from roadsense.scenario.dataset import Dataset

pytestmark = pytest.mark.timeout(600)  # the first test of the session pays for both starts of the ablation


def flags(ablation, root):
    run = ablation / "runs" / "measured_seed_1"
    return [
        "radio-curve",
        "--runs",
        str(run),
        "--output_dir",
        str(root),
        "--rounds",
        "1",
        "--loss_percent",
        "0,100",
        "--latency_ms",
        "450",
        "--num_workers",
        "1",
    ]


@pytest.fixture(scope="module")
def curve(ablation, tmp_path_factory):
    root = tmp_path_factory.mktemp("curve") / "tiny"
    assert main(flags(ablation, root)) == 0
    return root


def test_the_curve_has_every_policy_at_every_point(curve):
    content = json.loads((curve / "radio_curve.json").read_text())
    assert content["points"] == {"loss": [0.0, 100.0], "latency": [450.0]}
    for name in ("learned", "ttc_radio", "ttc_leader"):
        assert [len(content["policies"][name][sweep]) for sweep in ("loss", "latency")] == [2, 1]
    assert content["realised"]["loss"][1] == {"loss": 1.0, "heard_age_s": None}
    assert content["realised"]["latency"][0]["heard_age_s"] == pytest.approx(0.5)
    # Who hears nobody cannot brake for anybody.
    assert content["policies"]["ttc_radio"]["loss"][1]["false_braking_rate"]["value"] == 0
    assert content["policies"]["ttc_radio"]["loss"][0]["false_braking_rate"]["value"] > 0
    for kind in ("md", "svg", "png"):
        assert (curve / f"radio_curve.{kind}").stat().st_size > 500


def test_the_parameter_files_lie_beside_it_and_are_hashed(curve):
    hashes = json.loads((curve / "radio_curve.json").read_text())["provenance"]["emulator_params_hash"]
    assert set(hashes) == {"nominal", "loss_0", "loss_100", "latency_450"}
    for point in ("loss_0", "loss_100", "latency_450"):
        assert sha256_of(curve / "radio" / f"{point}.json") == hashes[point]
    assert set(RadioParameters.load_json(curve / "radio" / "loss_0.json").packet_loss.loss_probabilities) == {0.0, 1.0}


def test_a_second_start_drives_nothing_again_and_says_the_same(ablation, curve, capsys):
    before = {path: path.stat().st_mtime_ns for path in (curve / "episodes").rglob("*.parquet")}
    text = (curve / "radio_curve.md").read_text()
    assert main(flags(ablation, curve)) == 0
    assert {path: path.stat().st_mtime_ns for path in (curve / "episodes").rglob("*.parquet")} == before
    assert (curve / "radio_curve.md").read_text() == text


def test_policies_that_look_at_the_road_drive_the_same_whatever_the_radio(few_scenarios, tmp_path):
    nominal, _ = load_parameters(None)
    silent = tmp_path / "silent.json"
    silent.write_text(deaf(nominal).model_dump_json())
    episodes = evaluation_list(Dataset.load(few_scenarios))[:3]
    driven = {}
    for radio in (None, silent):
        spec = EnvironmentSpec(dataset_dir=few_scenarios, sumo_cfg=None, emulator_params_path=radio, ego_id="V001")
        for policy in (*DEAF, *HEARING):
            driven[radio, policy] = [(one.outcome, one.episode_return, one.actions) for one in evaluate(spec, policy, episodes)]
    close_environments()
    for policy in DEAF:
        assert driven[None, policy] == driven[silent, policy]
    assert driven[None, "ttc_radio"] != driven[silent, "ttc_radio"]


@pytest.mark.parametrize(
    ("change", "line"),
    [
        (["--runs", "nowhere"], "nowhere"),
        (["--loss_percent", "0,120"], "a loss of 120 % does not exist"),
        (["--latency_ms", "0,-3"], "not negative"),
        (["--rounds", "2"], "was begun with another rounds than now"),
    ],
)
def test_what_is_refused(ablation, curve, capsys, change, line):
    assert main([*flags(ablation, curve), *change]) == 2
    assert line in capsys.readouterr().err


def test_a_run_that_is_not_finished_is_refused(ablation, tmp_path, capsys):
    run = shutil.copytree(ablation / "runs" / "measured_seed_1", tmp_path / "run")
    metrics = json.loads((run / "metrics.json").read_text())
    metrics["training"]["training_timesteps"] = 200
    (run / "metrics.json").write_text(json.dumps(metrics))
    assert main(["radio-curve", "--runs", str(run), "--output_dir", str(tmp_path / "out")]) == 2
    assert "its training is not finished" in capsys.readouterr().err
