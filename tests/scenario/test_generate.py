"""Generating datasets: the same bytes twice, no draw shared, convoys in order, nothing half-written."""

import filecmp
import json
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import pytest

from roadsense.errors import ConfigError, DatasetError, RoadSenseError, UsageError
from roadsense.provenance import source_commit
from roadsense.scenario.base import find_bases
from roadsense.scenario.dataset import Dataset
from roadsense.scenario.generate import GenerateSettings, generate
from roadsense.scenario.sampler import plan_split

BASES = ("arterial_stop_and_go", "highway_fast", "highway_merge", "rural_curve", "urban_intersection")
MANIFEST_KEYS = {
    "dataset_id", "seed", "base_scenarios", "ranges", "sumo_version", "git_commit", "emulator_params", "emulator_params_hash",
    "container_image", "train_scenarios", "eval_scenarios", "format_version", "roadsense_version",
}  # fmt: skip


def small(output_dir: Path, **changes) -> Dataset:
    return generate(GenerateSettings(**{"output_dir": output_dir, "seed": 5, "train_count": 6, "eval_count": 3, **changes}))


def files(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_same_seed_gives_the_same_bytes_in_another_process(tmp_path: Path):
    small(tmp_path / "a")
    code = (
        "from pathlib import Path; from roadsense.scenario.generate import *; "
        "generate(GenerateSettings(output_dir=Path('b'), seed=5, train_count=6, eval_count=3))"
    )
    subprocess.run([sys.executable, "-c", code], cwd=tmp_path, check=True, env={**os.environ, "PYTHONHASHSEED": "77"})
    assert files(tmp_path / "a") == files(tmp_path / "b")
    assert not filecmp.dircmp(tmp_path / "a", tmp_path / "b").diff_files


def test_another_seed_differs_everywhere(tmp_path: Path):
    one, two = small(tmp_path / "a"), small(tmp_path / "b", seed=6)
    assert one.hash != two.hash and one.manifest.dataset_id != two.manifest.dataset_id
    hashes = [{entry.files["vehicles.rou.xml"] for entry in dataset.manifest.entries} for dataset in (one, two)]
    assert not hashes[0] & hashes[1]


def test_more_scenarios_do_not_change_the_first(tmp_path: Path):
    few, many = small(tmp_path / "a"), small(tmp_path / "b", train_count=9, eval_count=5)
    assert many.manifest.train_scenarios[:6] == few.manifest.train_scenarios
    assert many.manifest.eval_scenarios[:3] == few.manifest.eval_scenarios


def test_manifest_holds_what_was_promised(large: Dataset, repository: Path):
    manifest = json.loads((large.directory / "manifest.json").read_text())
    assert set(manifest) == MANIFEST_KEYS
    assert manifest["ranges"] == {
        "speedFactor": [0.8, 1.2], "sigma": [0, 0.5], "vehsPerHour": [0.7, 1.3], "spawn_jitter_s": [0, 2],
        "peer_count": {base: [0, 10] for base in BASES}, "background_equipment_rate": {base: [0, 0.5] for base in BASES},
    }  # fmt: skip
    assert manifest["seed"] == 11 and manifest["dataset_id"].startswith("ds_11_")
    assert manifest["sumo_version"] == "1.28.0" and manifest["git_commit"] == source_commit() and len(source_commit()) == 40
    assert manifest["emulator_params"]["content"]["latency"]["base_ms"] == 3.84
    profile = repository / "roadsense" / "radio" / "profiles" / "emulator_params_convoy.json"
    digest = subprocess.run(["sha256sum", profile], check=True, capture_output=True, text=True).stdout.split()[0]
    assert manifest["emulator_params_hash"] == digest
    base = manifest["base_scenarios"]["rural_curve"]
    assert set(base) == {"scenario.sumocfg", "network.net.xml", "vehicles.rou.xml", "convoy.json"}
    text = (large.directory / "manifest.json").read_text()
    assert str(large.directory) not in text and str(repository) not in text, "no absolute paths"
    for entry in (*manifest["train_scenarios"], *manifest["eval_scenarios"]):
        assert set(entry["files"]) == {"scenario.sumocfg", "network.net.xml", "vehicles.rou.xml"}
        assert entry["peer_count"] == len(entry["peer_ids"])


def test_bases_and_peer_counts_are_balanced(large: Dataset):
    pairs = Counter((scenario.base, len(scenario.peer_ids)) for scenario in large.eval)
    assert pairs == {(base, count): 1 for base in BASES for count in range(11)}
    assert set(Counter((scenario.base, len(scenario.peer_ids)) for scenario in large.train).values()) == {2}
    order = [len(scenario.peer_ids) for scenario in large.train]
    assert order != sorted(order) and order[:55] != order[55:], "shuffled, and drawn anew"


def test_default_counts_cover_every_pair_in_both_splits(tmp_path: Path):
    dataset = generate(GenerateSettings(output_dir=tmp_path / "ds"))
    for scenarios in (dataset.train, dataset.eval):
        assert len({(scenario.base, len(scenario.peer_ids)) for scenario in scenarios}) == 55
    assert len(dataset.eval) == 55, "equally often"


@pytest.mark.parametrize("bases", [1, 2, 3, 11, 22])
def test_every_pair_comes_once_for_any_number_of_bases(base_dir: Path, bases: int):
    one = find_bases(base_dir / "rural_curve")[0]
    plans = plan_split([one] * bases, "eval", 11 * bases, seed=3)
    pairs = {(index % bases, plan.peer_count) for index, plan in enumerate(plans)}
    assert len(pairs) == 11 * bases


def test_road_that_is_too_short_is_refused(grid_network: Path, base_dir: Path, tmp_path: Path):
    base = tmp_path / "short"
    base.mkdir()
    (base / "grid.net.xml").write_bytes(grid_network.read_bytes())
    for name in ("vehicles.rou.xml", "scenario.sumocfg", "convoy.json"):
        (base / name).write_text(
            (base_dir / "rural_curve" / name).read_text().replace("network.net.xml", "grid.net.xml").replace("to_forest", "A0A1")
        )
    with pytest.raises(DatasetError, match="too short"):
        small(tmp_path / "out", base_dir=base)
    assert not (tmp_path / "out").exists()
    (base / "convoy.json").write_text('{"route": "convoy", "ego_type": "ego", "peer_types": ["tank"]}')
    with pytest.raises(DatasetError, match="vType 'tank'"):
        small(tmp_path / "out", base_dir=base)
    (base / "convoy.json").write_text('{"route": "convoi", "ego_type": "ego", "peer_types": ["compact"]}')
    with pytest.raises(DatasetError, match="route 'convoi'"):
        small(tmp_path / "out", base_dir=base)
    (base / "convoy.json").write_text('{"route": "convoy", "headways_s": [1, 2], "ego_type": "ego", "peer_types": ["compact"]}')
    with pytest.raises(DatasetError, match="did you mean 'headway_s'"):
        small(tmp_path / "out", base_dir=base)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"train_count": 0}, "'train_count' is 0"),
        ({"train_count": -3}, "'train_count' is -3"),
        ({"eval_count": -1}, "'eval_count' is -1"),
        ({"seed": -1}, "'seed' is -1"),
        ({"ego_id": "../x"}, "'ego_id' is"),
        ({"trian_count": 3}, "did you mean 'train_count'"),
    ],
)
def test_nonsense_settings_are_one_line(changes: dict, message: str):
    with pytest.raises(UsageError, match=message) as caught:
        GenerateSettings.parse(changes, "flags", UsageError)
    assert "\n" not in str(caught.value)


def test_missing_bases_and_parameters(tmp_path: Path):
    with pytest.raises(DatasetError, match="no such folder"):
        small(tmp_path / "out", base_dir=tmp_path / "none")
    with pytest.raises(ConfigError, match="no such file"):
        small(tmp_path / "out", emulator_params=tmp_path / "none.json")
    assert list(tmp_path.iterdir()) == [], "nothing is written before everything is known to be there"


def test_default_folder_is_named_after_the_content(tmp_path: Path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    dataset = small(None)
    assert dataset.directory == tmp_path / "scenarios" / "datasets" / dataset.manifest.dataset_id
    assert list((tmp_path / "scenarios" / "datasets").iterdir()) == [dataset.directory], "no leftovers"
    assert small(None, eval_count=0).eval == ()


def test_existing_folders_are_respected(tmp_path: Path):
    said: list[str] = []
    target = tmp_path / "ds"
    plan = GenerateSettings(output_dir=target, seed=5, train_count=6, eval_count=3)
    generate(plan, say=said.append)
    before = files(target)
    generate(plan, say=said.append)
    assert "already there" not in said[0] and "already there" in said[1]
    with pytest.raises(DatasetError, match="replace it with --force"):
        generate(plan.model_copy(update={"seed": 6}))
    assert files(target) == before
    generate(plan.model_copy(update={"seed": 6, "force": True}))
    assert files(target) != before
    for number, foreign in enumerate((tmp_path / "notes", tmp_path / "file")):
        foreign.mkdir() if number == 0 else foreign.write_text("x")
        (foreign / "keep.txt").write_text("mine") if number == 0 else None
        with pytest.raises(DatasetError, match="holds no dataset"):
            generate(plan.model_copy(update={"output_dir": foreign, "force": True}))
    assert (tmp_path / "notes" / "keep.txt").read_text() == "mine"
    (tmp_path / "empty").mkdir()
    generate(plan.model_copy(update={"output_dir": tmp_path / "empty"}))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["ds", "empty", "file", "notes"]


def test_failure_halfway_leaves_nothing(tmp_path: Path):
    def fail(done: int, total: int) -> None:
        assert total == 9
        if done == 4:
            raise RoadSenseError("enough")

    with pytest.raises(RoadSenseError, match="enough"):
        generate(GenerateSettings(output_dir=tmp_path / "x" / "ds", train_count=6, eval_count=3), progress=fail)
    assert list((tmp_path / "x").iterdir()) == []


def test_interrupt_leaves_nothing(tmp_path: Path):
    code = (
        # A background job inherits an ignored SIGINT; then Python would not turn it into KeyboardInterrupt.
        "import signal; signal.signal(signal.SIGINT, signal.default_int_handler)\n"
        "from pathlib import Path; import sys, time; from roadsense.scenario.generate import *\n"
        "def slow(done, total): print(done, flush=True); time.sleep(0.2)\n"
        "generate(GenerateSettings(output_dir=Path(sys.argv[1]), train_count=50), progress=slow)"
    )
    process = subprocess.Popen([sys.executable, "-c", code, tmp_path / "ds"], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    process.stdout.readline()
    assert [path.name for path in tmp_path.iterdir()] == [f".generating-{process.pid}"], "the folder itself appears only when it is whole"
    time.sleep(0.3)
    process.send_signal(signal.SIGINT)
    process.wait(timeout=20)
    process.stdout.close()
    assert list(tmp_path.iterdir()) == []


def test_commit_is_from_the_source_tree_or_the_environment(monkeypatch, tmp_path: Path, repository: Path):
    import roadsense.provenance as provenance

    monkeypatch.setenv("GIT_DIR", str(tmp_path))
    head = subprocess.run(
        ["git", "-C", repository, "rev-parse", "HEAD"], check=True, capture_output=True, text=True,
        env={name: value for name, value in os.environ.items() if name != "GIT_DIR"},
    ).stdout.strip()  # fmt: skip
    assert source_commit() == head
    monkeypatch.setattr(provenance, "_SOURCE_ROOT", tmp_path)
    assert source_commit() == "unknown"
    monkeypatch.setenv("GIT_COMMIT", "0123abc")
    assert source_commit() == "0123abc"
