"""A run goes on where its generated dataset is not: on a new machine, in a new container, or after somebody has tidied up."""

from __future__ import annotations

from pathlib import Path

from rich.console import Console

from roadsense.artifacts.layout import RunLayout
from roadsense.config import read_json_object
from roadsense.errors import DatasetError, RunDirectoryError
from roadsense.scenario.generate import GenerateSettings, generate
from roadsense.scenario.manifest import Manifest
from roadsense.training.settings import TrainSettings


def generate_again(run: Path, recorded: TrainSettings) -> Path:
    """Generate the dataset of a run anew, from the manifest that the run directory keeps.

    Args:
        run: the run directory.
        recorded: the run's settings, whose dataset is missing.

    Raises:
        DatasetError: this installation generates another dataset (other base scenarios, another version), or the run's was none of ours.
    """
    layout = RunLayout(run)
    missing = f"{recorded.dataset_dir}: the run's dataset is no longer there"
    content = read_json_object(layout.manifest, RunDirectoryError)
    if "train_scenarios" not in content:
        raise DatasetError(f"{missing}, and {layout.manifest} does not describe one; give its place to --dataset_dir")
    manifest = Manifest.load_json(layout.manifest, DatasetError)
    values = {"seed": manifest.seed, "train_count": len(manifest.train_scenarios), "eval_count": len(manifest.eval_scenarios)}
    settings = GenerateSettings.parse(
        values | {"ego_id": recorded.ego_id, "emulator_params": recorded.emulator_params}, str(layout.manifest)
    )
    console = Console(stderr=True, highlight=False)
    dataset = generate(settings, say=lambda line: console.print(f"generated again: {line}", soft_wrap=True))
    if dataset.manifest is None or dataset.manifest.episodes_digest() != manifest.episodes_digest():
        raise DatasetError(
            f"{missing}, and what this installation generates from its seed is another one; give the run's own to --dataset_dir"
        )
    return dataset.directory
