"""What a run directory holds beside the policy: configuration, manifest, figures, provenance."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any

from roadsense.artifacts.cost import cost_so_far
from roadsense.artifacts.files import sha256_of, write_json
from roadsense.artifacts.provenance import collect_provenance
from roadsense.evaluation.judgement import Judgement
from roadsense.evaluation.metrics_file import metrics_content
from roadsense.scenario.dataset import Dataset
from roadsense.training.plan import TrainingPlan
from roadsense.training.train import TrainingSummary


def prepare(plan: TrainingPlan) -> None:
    """Write what is known before the first step.

    Raises:
        RunDirectoryError: the directory cannot be written.
    """
    layout = plan.layout
    layout.checkpoints.mkdir(parents=True, exist_ok=True)
    write_json(layout.config, plan.recorded_settings())
    write_json(layout.manifest, _manifest(plan.dataset))
    _write_provenance(plan, artifacts=[])


def _manifest(dataset: Dataset) -> dict[str, Any]:
    """The dataset's manifest; a single configuration has none, so its place and hash stand in."""
    if dataset.manifest is not None:
        return dataset.manifest.model_dump(mode="json")
    return {"sumo_cfg": str(dataset.train[0].sumocfg), "ego_id": dataset.train[0].ego_id, "dataset_hash": dataset.hash}


def write_results(plan: TrainingPlan, summary: TrainingSummary, judgement: Judgement | None) -> None:
    """Write metrics.json, and provenance.json with the hashes of all artifacts.

    Raises:
        RunDirectoryError: they cannot be written.
    """
    layout = plan.layout
    config = plan.settings.model_dump(mode="json") | {
        "dataset_dir": str(plan.dataset_dir) if plan.dataset_dir else None,
        "sumo_cfg": str(plan.sumo_cfg) if plan.sumo_cfg else None,
        "dataset_hash": plan.dataset.hash,
        "emulator_params": str(plan.emulator_params) if plan.emulator_params else "packaged: convoy",
        "emulator_params_hash": plan.emulator_params_hash,
    }
    cost = cost_so_far()
    training = asdict(summary) | ({"cost": cost.as_dict()} if cost is not None else {})
    write_json(layout.metrics, metrics_content(config, training, judgement, plan.run_id))
    _write_provenance(plan, artifacts=[layout.model, layout.metrics, layout.config, layout.manifest, layout.progress, layout.episodes])


def _write_provenance(plan: TrainingPlan, artifacts: list[Path]) -> None:
    inputs = {
        "run_id": plan.run_id,
        "seed": plan.settings.seed,
        "dataset_hash": plan.dataset.hash,
        "emulator_params_hash": plan.emulator_params_hash,
        "artifacts_sha256": {path.name: sha256_of(path) for path in artifacts if path.exists()},
    }
    write_json(plan.layout.provenance, collect_provenance(inputs))
