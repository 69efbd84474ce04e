"""What a run will do, checked completely before anything starts or is written."""

from __future__ import annotations

import os
import shutil
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from roadsense.artifacts.layout import RunLayout
from roadsense.artifacts.provenance import decisive_versions
from roadsense.env.convoy_env import open_dataset
from roadsense.errors import DependencyError, RunDirectoryError, UsageError
from roadsense.radio.parameters import load_parameters
from roadsense.scenario.dataset import Dataset
from roadsense.scenario.locate import default_scenario
from roadsense.training.checkpoint import Checkpoint, TrainingState, latest
from roadsense.training.settings import TrainSettings


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainingPlan:
    """A checked run. Paths are absolute."""

    settings: TrainSettings
    run_id: str
    layout: RunLayout
    dataset: Dataset
    dataset_dir: Path | None
    eval_dataset: Dataset
    eval_dir: Path | None
    sumo_cfg: Path | None
    emulator_params: Path | None
    emulator_params_hash: str
    checkpoint: Checkpoint | None

    @property
    def local(self) -> bool:
        """Whether everything runs in this process."""
        return self.settings.local or self.settings.gui or self.settings.num_env_runners == 0

    def recorded_settings(self) -> dict[str, Any]:
        """The settings as config.json and checkpoints keep them: paths absolute, and nothing of how a resume was asked for."""
        described = {
            "run_id": self.run_id,
            "output_dir": self.layout.root,
            "dataset_dir": self.dataset_dir,
            "sumo_cfg": self.sumo_cfg,
            "eval_dir": self.eval_dir if self.settings.eval_dir is not None else None,
            "emulator_params": self.emulator_params,
            "resume": None,
            "resume_anyway": False,
        }
        return self.settings.model_copy(update=described).model_dump(mode="json")

    def starting_state(self) -> TrainingState:
        """Where the run begins: at nothing, or at its checkpoint."""
        described = {
            "dataset_hash": self.dataset.hash,
            "versions": decisive_versions(),
            "config": self.recorded_settings(),
        }
        if self.checkpoint is None:
            nothing = {"timesteps": 0, "iteration": 0, "elapsed_s": 0.0, "episodes": 0, "faults": 0, "worker_restarts": 0}
            return TrainingState.parse(nothing | described, "a new run")
        return self.checkpoint.state.model_copy(update=described)


def plan_training(settings: TrainSettings, place: tuple[str, Path] | None = None) -> TrainingPlan:
    """Open every input of a run and check its output directory; writes nothing.

    Args:
        settings: the run.
        place: name and directory of a run that somebody else looks after (a sweep), instead of what the settings say; not checked.

    Raises:
        RoadSenseError: an input is missing or refused, or the output directory holds something else.
        DependencyError: a GPU is asked for, and there is none that torch can use.
    """
    sumo_cfg = settings.sumo_cfg
    if settings.dataset_dir is None and sumo_cfg is None:
        sumo_cfg = default_scenario()
    dataset_dir = settings.dataset_dir.resolve() if settings.dataset_dir is not None else None
    sumo_cfg = sumo_cfg.resolve() if sumo_cfg is not None else None
    dataset = open_dataset(dataset_dir, sumo_cfg, settings.ego_id)
    if not dataset.train:
        raise UsageError(f"{dataset_dir}: the dataset has no training scenarios; generate one with --train_count of at least 1")
    eval_dir = settings.eval_dir.resolve() if settings.eval_dir is not None else dataset_dir
    eval_dataset = dataset if eval_dir == dataset_dir else open_dataset(eval_dir, None)
    if not eval_dataset.eval and not settings.skip_eval:
        raise UsageError(f"{eval_dir}: the dataset has no evaluation scenarios; give another --eval_dir, or --skip_eval")
    parameters, emulator_params_hash = load_parameters(settings.emulator_params)
    if settings.training_radio_factor is not None:
        parameters.randomized_by(settings.training_radio_factor)  # refused now, not in every worker
    if settings.learner_on_gpu:
        _check_gpu()
    run_id, root = _run_directory(settings) if place is None else place
    checkpoint = None
    if settings.resume is not None:
        checkpoint = latest(RunLayout(root))
        if not settings.resume_anyway:
            _check_sameness(root, checkpoint.state, dataset)
    return TrainingPlan(
        settings=settings,
        run_id=run_id,
        layout=RunLayout(root),
        dataset=dataset,
        dataset_dir=dataset_dir,
        eval_dataset=eval_dataset,
        eval_dir=eval_dir,
        sumo_cfg=sumo_cfg,
        emulator_params=settings.emulator_params.resolve() if settings.emulator_params is not None else None,
        emulator_params_hash=emulator_params_hash,
        checkpoint=checkpoint,
    )


def _check_sameness(root: Path, state: TrainingState, dataset: Dataset) -> None:
    """A resumed run is the same run, or the user has said that it need not be."""
    if state.dataset_hash != dataset.hash:
        raise RunDirectoryError(
            f"{root}: was trained on dataset {state.dataset_hash[:12]}, this one is {dataset.hash[:12]}; "
            "give the run's own dataset to --resume, or --resume_anyway"
        )
    for name, version in decisive_versions().items():
        if state.versions.get(name) != version:
            raise RunDirectoryError(
                f"{root}: was trained with {name} {state.versions.get(name, 'of an unknown version')}, this is {version}; "
                "install that version, or give --resume_anyway"
            )


def _check_gpu() -> None:
    import torch

    if not torch.cuda.is_available():
        raise DependencyError(
            f"--learner_on_gpu: torch {torch.__version__} sees no CUDA device; leave it out, or see roadsense doctor for what is missing"
        )


def _run_directory(settings: TrainSettings) -> tuple[str, Path]:
    if settings.resume is not None:
        root = settings.resume.resolve()
        if not root.is_dir():
            raise RunDirectoryError(f"{root}: no such run directory; give the directory that holds config.json to --resume")
        return settings.run_id or root.name, root
    run_id = settings.run_id or datetime.now().strftime("run_%Y%m%d_%H%M%S")
    root = (settings.output_dir or Path("runs") / run_id).resolve()
    if root.exists() and (not root.is_dir() or any(root.iterdir())):
        raise RunDirectoryError(f"{root}: exists and is not empty; give another --output_dir, or --resume {root} to go on with it")
    if not os.access(_existing(root), os.W_OK):
        raise RunDirectoryError(f"{root}: cannot be written (permissions, or a read-only file system); give another --output_dir")
    if shutil.disk_usage(_existing(root)).free < 100 * 1024**2:
        raise RunDirectoryError(f"{root}: less than 100 MB are free there; free some space or give another --output_dir")
    return run_id, root


def _existing(path: Path) -> Path:
    while not path.exists():
        path = path.parent
    return path
