"""An ablation from the command line: what it leaves, that it goes on where it was, and what it refuses."""

import json

import pytest
from ablation_support import flags

from roadsense.cli import main
from roadsense.model.policy_file import load_policy
from roadsense.training.recipe import RECIPE

pytestmark = pytest.mark.timeout(600)  # the first test of the session pays for both starts of the ablation


def test_it_went_on_where_it_was(ablation):
    said = (ablation / "second.txt").read_text()
    assert "measured_seed_1: trained already" in said
    assert "no_age_seed_1: training" in said
    assert "Difference to `measured`" in said
    first, both = (ablation / "first.csv").read_text(), (ablation / "runs" / "no_age_seed_1" / "progress.csv").read_text()
    timesteps = [int(row.split(",")[0]) for row in both.splitlines()[1:]]
    assert both.startswith(first)
    assert len(first) < len(both)
    assert timesteps == sorted(set(timesteps))
    assert timesteps[-1] >= 800


def test_the_result_holds_every_variant_beside_the_references(ablation):
    content = json.loads((ablation / "ablation.json").read_text())
    assert list(content["variants"]) == ["measured", "no_age"]
    assert list(content["references"]) == ["never_brake", "ttc_radio", "ttc_leader", "ttc_perfect_radio"]
    for entry in content["variants"].values():
        assert list(entry["figures"]["avg_reward"]["by_seed"]) == ["1"]
        low, high = entry["figures"]["avg_reward"]["interval"]
        assert low < entry["figures"]["avg_reward"]["value"] < high
    assert list(content["differences"]) == ["no_age"]
    assert set(content["provenance"]["models_sha256"]) == {"measured_seed_1", "no_age_seed_1"}
    for kind in ("md", "svg", "png"):
        assert (ablation / f"ablation.{kind}").stat().st_size > 500


def test_each_run_is_what_its_variant_says(ablation):
    with_age = load_policy(ablation / "runs" / "measured_seed_1" / "model_final.zip")
    without = load_policy(ablation / "runs" / "no_age_seed_1" / "model_final.zip")
    assert with_age.settings.withheld_peer_features == ()
    assert without.settings.withheld_peer_features == ("age_s",)
    config = json.loads((ablation / "runs" / "no_age_seed_1" / "config.json").read_text())
    assert config["training_action_repeat"] == RECIPE.training_action_repeat > 1
    for name in ("ego_in_encoder", "mirror_peers"):
        assert config["model"][name] is getattr(RECIPE.model, name) is True, "a variant changes one thing of the recipe's network"
    assert config["seed"] == 1


@pytest.mark.parametrize(
    ("change", "line"),
    [
        (["--total_timesteps", "4000"], "was begun with another total_timesteps than now"),
        (["--variants", "measured,deaf"], "there is no variant 'deaf'; known are measured, perfect"),
        (["--variants", "none,none"], "a variant is named twice"),
        (["--seeds", "1,two"], "it is no list of numbers"),
        (["--seeds", "1,1"], "all different"),
        (["--set", "training.seed=3"], "seed is the ablation's own"),
        (["--dataset_dir", "nowhere"], "nowhere"),
    ],
)
def test_what_is_refused(ablation, few_scenarios, capsys, change, line):
    assert main([*flags(few_scenarios, ablation), *change]) == 2
    assert line in capsys.readouterr().err


def test_a_folder_with_something_else_in_it_is_left_alone(few_scenarios, tmp_path, capsys):
    (tmp_path / "letters.txt").write_text("mine")
    assert main(flags(few_scenarios, tmp_path)) == 2
    assert "exists and holds no ablation" in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["letters.txt"]
