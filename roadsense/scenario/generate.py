"""Generating a dataset: plan, draw, write, publish."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Annotated, Final

from pydantic import Field, StringConstraints

from roadsense import __version__
from roadsense.config import DEFAULT_EGO_ID, Settings, read_json_object
from roadsense.errors import ConfigError, DatasetError
from roadsense.provenance import source_commit
from roadsense.radio.parameters import load_parameters
from roadsense.radio.profiles import DEFAULT_PROFILE, packaged_profile
from roadsense.scenario.base import BaseScenario, find_bases
from roadsense.scenario.compose import compose
from roadsense.scenario.convoy import SIGMA_RANGE, SPAWN_JITTER_S, SPEED_FACTOR_RANGE
from roadsense.scenario.dataset import Dataset
from roadsense.scenario.locate import default_base_dir
from roadsense.scenario.manifest import FORMAT_VERSION, MANIFEST_FILE, Manifest
from roadsense.scenario.publish import publish, staging_folder
from roadsense.scenario.sampler import Plan, plan_split
from roadsense.scenario.traffic import FLOW_FACTOR_RANGE
from roadsense.sumo.installation import SUMO_VERSION

DEFAULT_OUTPUT_PARENT: Final = Path("scenarios", "datasets")
IMAGE_VARIABLE: Final = "ROADSENSE_CONTAINER_IMAGE"
_MOST_SCENARIOS: Final = 100_000


class GenerateSettings(Settings):
    """What is generated from what, and where it goes."""

    base_dir: Path | None = Field(None, description="folder of base scenarios (default: the repository's scenarios/base)")
    output_dir: Path | None = Field(None, description="folder of the dataset (default: scenarios/datasets/<dataset_id>)")
    seed: int = Field(42, ge=0, description="seed of every draw")
    train_count: int = Field(80, ge=1, le=_MOST_SCENARIOS, description="training scenarios")
    eval_count: int = Field(55, ge=0, le=_MOST_SCENARIOS, description="evaluation scenarios; 55 hold every base with every peer count once")
    emulator_params: Path | None = Field(None, description="radio parameters, JSON (default: the packaged convoy profile)")
    ego_id: Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_.#-]+$")] = Field(DEFAULT_EGO_ID, description="id of the ego vehicle")
    force: bool = Field(False, description="replace another dataset at the output folder")


def generate(
    settings: GenerateSettings, *, say: Callable[[str], None] | None = None, progress: Callable[[int, int], None] | None = None
) -> Dataset:
    """Generate a dataset and read it back; the same settings at the same commit give the same bytes.

    Args:
        settings: what to generate.
        say: told in one line where the dataset lies, and whether it was there already.
        progress: called with (scenarios done, scenarios in all).

    Raises:
        DatasetError: a base scenario is missing or unusable, or the output folder holds something else.
        ConfigError: the radio parameters are refused.
    """
    bases = find_bases(settings.base_dir or default_base_dir())
    train = plan_split(bases, "train", settings.train_count, settings.seed)
    evaluation = plan_split(bases, "eval", settings.eval_count, settings.seed)
    provenance = _provenance(settings, bases)
    parent = settings.output_dir.absolute().parent if settings.output_dir is not None else DEFAULT_OUTPUT_PARENT.absolute()
    with staging_folder(parent) as staged:
        entries = {"train": [], "eval": []}  # type: dict[str, list[dict[str, object]]]
        for done, plan in enumerate((*train, *evaluation), start=1):
            entries[plan.split].append(_write_scenario(plan, settings.ego_id, staged))
            if progress is not None:
                progress(done, len(train) + len(evaluation))
        manifest = Manifest.parse(
            {**provenance, "train_scenarios": entries["train"], "eval_scenarios": entries["eval"]}, MANIFEST_FILE, DatasetError
        )
        manifest = manifest.model_copy(update={"dataset_id": manifest.expected_id()})
        (staged / MANIFEST_FILE).write_bytes(manifest.to_bytes())
        target = settings.output_dir.absolute() if settings.output_dir is not None else parent / manifest.dataset_id
        is_new = publish(staged, target, force=settings.force)
    if say is not None:
        say(f"{target}: {len(train)} training and {len(evaluation)} evaluation scenarios{'' if is_new else ', already there, unchanged'}")
    return Dataset.load(target)


def _write_scenario(plan: Plan, ego_id: str, staged: Path) -> dict[str, object]:
    composed = compose(plan, ego_id)
    folder = staged / plan.split / composed.scenario_id
    folder.mkdir(parents=True)
    for name, content in composed.files.items():
        (folder / name).write_bytes(content)
    return {
        "scenario_id": composed.scenario_id,
        "base": plan.base.name,
        "peer_count": plan.peer_count,
        "peer_ids": composed.peer_ids,
        "ego_id": ego_id,
        "seed": plan.seed,
        "background_equipment_rate": _equipment_rate(plan),
        "drawn": composed.drawn,
        "files": {name: hashlib.sha256(content).hexdigest() for name, content in composed.files.items()},
    }


def _equipment_rate(plan: Plan) -> float | None:
    if plan.base.convoy is None:
        return None
    return round(float(plan.streams("background_equipment_rate").uniform(*plan.base.convoy.background_equipment_rate)), 4)


def _provenance(settings: GenerateSettings, bases: Sequence[BaseScenario]) -> dict[str, object]:
    parameters_file = settings.emulator_params or packaged_profile(DEFAULT_PROFILE)
    _, parameters_hash = load_parameters(parameters_file)
    convoys = {base.name: base.convoy for base in bases if base.convoy is not None}
    return {
        "format_version": FORMAT_VERSION,
        "roadsense_version": __version__,
        "dataset_id": "pending",
        "seed": settings.seed,
        "base_scenarios": {base.name: dict(base.sha256) for base in bases},
        "ranges": {
            "speedFactor": SPEED_FACTOR_RANGE,
            "sigma": SIGMA_RANGE,
            "vehsPerHour": FLOW_FACTOR_RANGE,
            "spawn_jitter_s": SPAWN_JITTER_S,
            "peer_count": {name: (0, convoy.most_peers) for name, convoy in convoys.items()},
            "background_equipment_rate": {name: convoy.background_equipment_rate for name, convoy in convoys.items()},
        },
        "sumo_version": SUMO_VERSION,
        "git_commit": source_commit(),
        "emulator_params": {"name": parameters_file.name, "content": read_json_object(parameters_file, ConfigError)},
        "emulator_params_hash": parameters_hash,
        "container_image": os.environ.get(IMAGE_VARIABLE) or None,
    }
