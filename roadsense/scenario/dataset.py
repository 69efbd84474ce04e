"""A dataset on disk, and the scenarios in it.

::

    <dataset>/manifest.json
    <dataset>/train/<scenario_id>/scenario.sumocfg, network.net.xml, vehicles.rou.xml, ...
    <dataset>/eval/<scenario_id>/...
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any, Final

from roadsense.config import DEFAULT_EGO_ID
from roadsense.errors import DatasetError
from roadsense.scenario.base import BaseScenario, plain_name
from roadsense.scenario.manifest import MANIFEST_FILE, Manifest, ScenarioEntry, episodes_digest
from roadsense.scenario.sampler import Split
from roadsense.scenario.sumocfg import ADDITIONAL, NETWORK, ROUTES, input_options
from roadsense.scenario.xml_files import parse_xml
from roadsense.seeding import named_stream

SUMOCFG_FILE: Final = "scenario.sumocfg"


@dataclass(frozen=True, slots=True, kw_only=True)
class Scenario:
    """What one episode drives.

    `peer_ids` are the convoy's cars besides the ego; None means that every other vehicle is equipped with a radio. Of the background
    cars around a convoy the share `background_equipment_rate` is equipped; it is None together with `peer_ids`. `seed` belongs to the
    scenario, not to an episode. `drawn` holds what the generator drew, by quantity.
    """

    scenario_id: str
    split: Split
    directory: Path
    sumocfg: Path
    ego_id: str
    peer_ids: tuple[str, ...] | None
    base: str
    seed: int
    background_equipment_rate: float | None
    drawn: Mapping[str, Any] = field(hash=False, repr=False)

    def is_equipped(self, vehicle_id: str) -> bool:
        """Whether a vehicle carries a radio; the same answer for a vehicle in every episode of the scenario."""
        if self.peer_ids is None or self.background_equipment_rate is None or vehicle_id == self.ego_id or vehicle_id in self.peer_ids:
            return True
        return _equipment_draw(self.seed, vehicle_id) < self.background_equipment_rate

    def options(self) -> tuple[str, ...]:
        """SUMO command-line options for `SumoSession.reset`; read once per process and version of the file."""
        try:
            status = self.sumocfg.stat()
        except OSError as problem:
            raise DatasetError(f"{self.sumocfg}: cannot be read ({problem.strerror}); restore or regenerate the dataset") from None
        return _options(self.sumocfg, status.st_mtime_ns, status.st_size)

    @property
    def network_file(self) -> Path:
        """The network, for `LanePaths`."""
        options = self.options()
        return Path(options[options.index(f"--{NETWORK}") + 1])


@dataclass(frozen=True, slots=True, kw_only=True)
class Dataset:
    """Scenarios of both splits. `hash` names their content; `manifest` is None for a dataset that is a single configuration."""

    directory: Path
    hash: str
    manifest: Manifest | None = field(repr=False)
    train: tuple[Scenario, ...] = field(repr=False)
    eval: tuple[Scenario, ...] = field(repr=False)

    @classmethod
    def load(cls, path: Path, *, verify: bool = True) -> Dataset:
        """Read a dataset; with `verify` every file is hashed and must be the one that was generated.

        Raises:
            DatasetError: the manifest is missing, corrupt, of another format or edited; or a scenario's file is missing or edited.
        """
        directory = path.absolute()
        manifest = read_manifest(directory)
        if verify:
            _verify(directory, manifest)
        return cls(
            directory=directory,
            hash=manifest.episodes_digest(),
            manifest=manifest,
            train=tuple(_generated(directory, "train", entry) for entry in manifest.train_scenarios),
            eval=tuple(_generated(directory, "eval", entry) for entry in manifest.eval_scenarios),
        )

    @classmethod
    def from_sumocfg(cls, path: Path, ego_id: str = DEFAULT_EGO_ID) -> Dataset:
        """A dataset of one configuration, driven in both splits.

        With a `convoy.json` beside it the peers are the vehicles on the convoy's route, and of the others the middle of the range in it
        is equipped; otherwise every other vehicle is.
        Raises DatasetError when the configuration or one of its inputs is missing or malformed.
        """
        base = BaseScenario.load(path, plain_name(path.absolute().parent.name))
        peer_ids = _convoy_peers(base, ego_id)
        entry = ScenarioEntry.parse(
            {
                "scenario_id": plain_name(path.stem), "base": base.name, "ego_id": ego_id,
                "peer_ids": peer_ids, "peer_count": None if peer_ids is None else len(peer_ids), "seed": 0, "drawn": {},
                "background_equipment_rate": None if base.convoy is None else sum(base.convoy.background_equipment_rate) / 2,
                "files": {f"input_{number}": digest for number, (_, digest) in enumerate(sorted(base.sha256.items()))},
            },
            str(path),
            DatasetError,
        )  # fmt: skip
        folder, sumocfg = base.config.path.parent, base.config.path
        train, evaluation = (_scenario(split, entry, directory=folder, sumocfg=sumocfg) for split in _SPLITS)
        digest = episodes_digest({"train": [entry], "eval": [entry]})
        return cls(directory=folder, hash=digest, manifest=None, train=(train,), eval=(evaluation,))


_SPLITS: Final[tuple[Split, Split]] = ("train", "eval")


def read_manifest(directory: Path) -> Manifest:
    """The manifest of a dataset's folder; raises DatasetError when it is missing, corrupt or refused."""
    if not (directory / MANIFEST_FILE).is_file():
        raise DatasetError(f"{directory}: holds no {MANIFEST_FILE}, so it is no dataset; check the path or generate one")
    return Manifest.load_json(directory / MANIFEST_FILE, DatasetError)


def file_problem(path: Path, sha256: str) -> str | None:
    """What is wrong with a scenario's file: None, or one line with a remedy."""
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        return f"{path}: is missing; restore it or regenerate the dataset from its seed"
    except OSError as problem:
        return f"{path}: cannot be read ({problem.strerror}); make it readable or regenerate the dataset"
    if hashlib.sha256(content).hexdigest() != sha256:
        return f"{path}: was changed after generation; restore it or regenerate the dataset from its seed"
    return None


def identity_problem(directory: Path, manifest: Manifest) -> str | None:
    """What is wrong with the manifest's own identity: None, or one line with a remedy."""
    if manifest.dataset_id == manifest.expected_id():
        return None
    return (
        f"{directory / MANIFEST_FILE}: was changed after generation (its content belongs to {manifest.expected_id()}, "
        f"it says {manifest.dataset_id}); restore it or regenerate the dataset"
    )


def _verify(directory: Path, manifest: Manifest) -> None:
    problem = identity_problem(directory, manifest)
    for split, entries in (("train", manifest.train_scenarios), ("eval", manifest.eval_scenarios)):
        for entry in entries:
            for name, sha256 in sorted(entry.files.items()):
                problem = problem or file_problem(directory / split / entry.scenario_id / name, sha256)
    if problem is not None:
        raise DatasetError(problem)


def _generated(dataset_dir: Path, split: Split, entry: ScenarioEntry) -> Scenario:
    folder = dataset_dir / split / entry.scenario_id
    return _scenario(split, entry, directory=folder, sumocfg=folder / SUMOCFG_FILE)


def _scenario(split: Split, entry: ScenarioEntry, *, directory: Path, sumocfg: Path) -> Scenario:
    return Scenario(
        scenario_id=entry.scenario_id,
        split=split,
        directory=directory,
        sumocfg=sumocfg,
        ego_id=entry.ego_id,
        peer_ids=entry.peer_ids,
        base=entry.base,
        seed=entry.seed,
        background_equipment_rate=entry.background_equipment_rate,
        drawn=entry.drawn,
    )


def _convoy_peers(base: BaseScenario, ego_id: str) -> tuple[str, ...] | None:
    if base.convoy is None:
        return None
    paths = [path for name in (ROUTES, ADDITIONAL) for path in base.config.files(name)]
    vehicles = [vehicle for path in paths for vehicle in parse_xml(base.files[path], str(path)).iter("vehicle")]
    convoy = {vehicle.get("id", "") for vehicle in vehicles if vehicle.get("route") == base.convoy.route}
    return tuple(sorted(convoy - {ego_id}))


@lru_cache(maxsize=2**16)
def _equipment_draw(scenario_seed: int, vehicle_id: str) -> float:
    return float(named_stream(scenario_seed, "equipment", vehicle_id).random())


@lru_cache(maxsize=4096)
def _options(sumocfg: Path, _mtime_ns: int, _size: int) -> tuple[str, ...]:
    return input_options(sumocfg)
