"""What `inspect` says of a dataset: all scenarios, all drawn quantities, and what the splits share."""

import numpy as np
import pytest
from scipy.stats import ks_2samp

from roadsense.cli import main
from roadsense.errors import DatasetError
from roadsense.report.dataset.drawn import categories, quantities, shared
from roadsense.report.dataset.page import write_dataset_page
from roadsense.report.dataset.sheet import cards
from roadsense.report.dataset.window import some_scenarios
from roadsense.scenario.dataset import Dataset, read_manifest


@pytest.fixture(scope="module")
def manifest(dataset_dir):
    return read_manifest(dataset_dir)


def test_every_drawn_number_is_counted(manifest):
    found = {quantity.name: quantity for quantity in quantities(manifest)}
    cars = {
        split: sum(entry.peer_count + 1 for entry in entries)
        for split, entries in (("train", manifest.train_scenarios), ("eval", manifest.eval_scenarios))
    }
    for name in ("convoy.headway_s", "convoy.speed_factor", "convoy.sigma", "convoy.tau_s", "convoy.position_m"):
        assert {split: len(values) for split, values in found[name].values.items()} == cars, name
    one = manifest.eval_scenarios[2]
    for car, value in one.drawn["convoy"]["headway_s"].items():
        assert value in found["convoy.headway_s"].values["eval"], car
    assert found["convoy.speed_factor"].limits == (0.8, 1.2) and found["peer_count"].limits == (0.0, 10.0)
    assert len(found["vehs_per_hour_factor"].values["train"]) == 12


def test_drawn_words_are_counted(manifest):
    types = categories(manifest)["convoy.type"]
    assert types["ego"] == {"train": 12, "eval": 6}
    assert sum(counts["train"] for counts in types.values()) == sum(entry.peer_count + 1 for entry in manifest.train_scenarios)


def test_the_distance_is_that_of_kolmogorov_and_smirnov(manifest):
    for quantity in quantities(manifest):
        expected = ks_2samp(quantity.values["train"], quantity.values["eval"]).statistic
        assert quantity.distance == pytest.approx(expected)
        assert 0 <= quantity.overlap <= 1


def test_equal_splits_overlap_fully_and_disjoint_ones_not_at_all(manifest):
    quantity = quantities(manifest)[0]
    same = type(quantity)(name="x", values={"train": np.arange(5.0), "eval": np.arange(5.0)}, limits=None)
    apart = type(quantity)(name="x", values={"train": np.arange(5.0), "eval": np.arange(5.0) + 9}, limits=None)
    empty = type(quantity)(name="x", values={"train": np.arange(5.0), "eval": np.array([])}, limits=None)
    assert (same.overlap, same.distance) == (1.0, 0.0)
    assert (apart.overlap, apart.distance) == (0.0, 1.0)
    assert (empty.overlap, empty.distance, empty.usual_distance) == (None, None, None)


def test_a_generated_dataset_shares_nothing_and_a_leak_is_found(manifest):
    assert not shared(manifest).is_leak
    trained_on = manifest.train_scenarios[4].model_copy(update={"scenario_id": "eval_000_stolen"})
    leaky = manifest.model_copy(update={"eval_scenarios": (trained_on, *manifest.eval_scenarios)})
    found = shared(leaky)
    assert found.is_leak and (found.seeds, found.route_files, found.draws) == (1, 1, 1)


def test_pairs_that_training_lacks_are_named(manifest):
    found = shared(manifest.model_copy(update={"train_scenarios": ()}))
    assert found.kinds == len(found.unseen_kinds) == len({(entry.base, entry.peer_count) for entry in manifest.eval_scenarios})


def test_every_scenario_has_a_card_with_its_convoy_in_order(dataset_dir):
    dataset = Dataset.load(dataset_dir)
    made = cards(dataset)
    assert [card.scenario for card in made] == [*dataset.train, *dataset.eval]
    for card in made:
        peers = len(card.scenario.peer_ids)
        assert len(card.cars) == peers + 1
        assert [car.role for car in card.cars] == ["ahead"] * card.peers_ahead + ["ego"] + ["behind"] * (peers - card.peers_ahead)
        assert next(car.x for car in card.cars if car.role == "ego") == 0
        assert card.road.edges.startswith("M") and card.road.route.startswith("M")
        x, y = card.start
        assert 0 <= x <= card.road.width and 0 <= y <= card.road.height
    assert len({card.road.key for card in made}) == 5  # one picture per base


def test_a_foreign_dataset_without_a_convoy_has_cards_too(tmp_path, repository):
    """Vehicles that the base brings along and nothing drawn for them: roads alone."""
    base = tmp_path / "bases" / "plain"
    base.mkdir(parents=True)
    source = repository / "scenarios" / "base" / "highway_fast"
    for name in ("network.net.xml", "scenario.sumocfg", "vehicles.rou.xml"):
        (base / name).write_bytes((source / name).read_bytes())
    assert main(["generate", "--base_dir", str(base), "--output_dir", str(tmp_path / "d"), "--train_count", "2", "--eval_count", "1"]) == 0
    assert main(["inspect", str(tmp_path / "d"), "--output", str(tmp_path / "page.html")]) == 0
    text = (tmp_path / "page.html").read_text()
    assert "every other vehicle is a peer" in text and text.count('data-split="train"') == 2


def test_a_single_configuration_is_refused(repository, tmp_path):
    dataset = Dataset.from_sumocfg(repository / "scenarios" / "base" / "highway_fast" / "scenario.sumocfg")
    with pytest.raises(DatasetError, match="single configuration"):
        write_dataset_page(dataset, tmp_path / "page.html")


def test_random_scenarios_are_different_and_repeat(dataset_dir):
    dataset = Dataset.load(dataset_dir)
    chosen = some_scenarios(dataset, 3, seed=1)
    assert len({scenario.scenario_id for scenario in chosen}) == 3
    assert len({scenario.scenario_id for scenario in some_scenarios(dataset, 18, seed=1)}) == 18
    assert chosen == some_scenarios(dataset, 3, seed=1) != some_scenarios(dataset, 3, seed=2)
