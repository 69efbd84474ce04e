"""Checking a dataset: its manifest, its files, and every scenario by really driving it. Lists every defect, not only the first."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path

from pydantic import ValidationError

from roadsense.config import SumoSettings, read_json_object
from roadsense.errors import DatasetError
from roadsense.scenario.dataset import Dataset, Scenario, file_problem, identity_problem
from roadsense.scenario.defect import Defect
from roadsense.scenario.drive import DriveTask, drive
from roadsense.scenario.manifest import MANIFEST_FILE, Manifest, ScenarioEntry
from roadsense.scenario.sampler import Split
from roadsense.scenario.sumocfg import INPUT_FILES, read_sumocfg

_SCENARIOS_PER_SESSION = 10

Run = Callable[[Callable[[DriveTask], list[Defect]], Sequence[DriveTask]], Iterable[list[Defect]]]


def check(dataset_dir: Path, *, sumo: SumoSettings, run: Run = map, progress: Callable[[int, int], None] | None = None) -> list[Defect]:
    """Every defect of a dataset, in the order of its manifest; empty when it is sound.

    Args:
        dataset_dir: the folder that holds `manifest.json`.
        sumo: how SUMO is run.
        run: applies a function to tasks, as `map` does; a process pool's `map` drives in parallel.
        progress: called with (scenarios driven, scenarios in all).

    Raises:
        DependencyError: SUMO is missing or has the wrong version.
    """
    directory = dataset_dir.absolute()
    manifest, defects = _check_manifest(directory)
    if manifest is None:
        return defects
    defects += _unlisted(directory, manifest)
    dataset = Dataset.load(directory, verify=False)
    tasks: list[tuple[Scenario, int]] = []
    for scenario, entry in zip((*dataset.train, *dataset.eval), manifest.entries, strict=True):
        found = [*_check_files(scenario, entry), *_check_configuration(scenario)]
        defects += found
        if not any(defect.kind in ("missing", "config") for defect in found):
            tasks.append((scenario, entry.seed))
    defects += _drive_all(tasks, sumo, run, progress)
    order = {entry.scenario_id: place for place, entry in enumerate(manifest.entries)}
    return sorted(defects, key=lambda defect: order.get(defect.scenario_id or "", -1))


def _check_manifest(directory: Path) -> tuple[Manifest | None, list[Defect]]:
    path = directory / MANIFEST_FILE
    try:
        manifest = Manifest.model_validate(read_json_object(path, DatasetError))
    except DatasetError as error:
        return None, [Defect(scenario_id=None, kind="manifest", problem=str(error))]
    except ValidationError as invalid:
        places = [
            (".".join(map(str, detail["loc"])) or "value", detail["msg"].removeprefix("Value error, ")) for detail in invalid.errors()
        ]
        return None, [Defect(scenario_id=None, kind="manifest", problem=f"{path}: {where}: {message}") for where, message in places]
    problem = identity_problem(directory, manifest)
    return manifest, [Defect(scenario_id=None, kind="edited", problem=problem)] if problem else []


def _unlisted(directory: Path, manifest: Manifest) -> Iterator[Defect]:
    """Files and folders that the manifest does not know: nobody verifies them, and SUMO may have written them."""
    listed = {Path(MANIFEST_FILE)}
    splits: tuple[tuple[Split, tuple[ScenarioEntry, ...]], ...] = (("train", manifest.train_scenarios), ("eval", manifest.eval_scenarios))
    for split, entries in splits:
        listed |= {Path(split, entry.scenario_id, name) for entry in entries for name in entry.files}
    owners = {Path(split, entry.scenario_id): entry.scenario_id for split, entries in splits for entry in entries}
    for path in sorted(directory.rglob("*")):
        name = path.relative_to(directory)
        if (path.is_file() or path.is_symlink()) and name not in listed:
            yield Defect(scenario_id=owners.get(name.parent), kind="extra", problem=f"{path}: is not in the manifest; remove it")


def _check_files(scenario: Scenario, entry: ScenarioEntry) -> Iterator[Defect]:
    for name, sha256 in sorted(entry.files.items()):
        path = scenario.directory / name
        problem = file_problem(path, sha256)
        if problem is not None:
            yield Defect(scenario_id=scenario.scenario_id, kind="edited" if path.is_file() else "missing", problem=problem)


def _check_configuration(scenario: Scenario) -> Iterator[Defect]:
    try:
        config = read_sumocfg(scenario.sumocfg)
    except DatasetError as error:
        yield Defect(scenario_id=scenario.scenario_id, kind="config", problem=str(error))
        return
    for option in config.options:
        for path in config.files(option.name) if option.name in INPUT_FILES else ():
            if path.parent != scenario.directory:
                problem = f"{scenario.sumocfg}: {option.name} {str(path)!r} lies outside the scenario's folder; regenerate the dataset"
                yield Defect(scenario_id=scenario.scenario_id, kind="config", problem=problem)


def _drive_all(
    tasks: Sequence[tuple[Scenario, int]], sumo: SumoSettings, run: Run, progress: Callable[[int, int], None] | None
) -> list[Defect]:
    chunks = [tuple(tasks[first : first + _SCENARIOS_PER_SESSION]) for first in range(0, len(tasks), _SCENARIOS_PER_SESSION)]
    defects: list[Defect] = []
    done = 0
    for chunk, found in zip(chunks, run(drive, [DriveTask(scenarios=chunk, sumo=sumo) for chunk in chunks]), strict=True):
        defects += found
        done += len(chunk)
        if progress is not None:
            progress(done, len(tasks))
    return defects
