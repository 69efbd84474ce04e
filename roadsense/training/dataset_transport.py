"""How a dataset reaches a worker on another machine.

On the driver's own machine a worker opens the dataset where it lies. On another node of a cluster that path does not exist; there Ray has
unpacked a copy, content-addressed and cached per node, as the job's working directory (`ray_job_environment`). Either way the worker
compares the hash before it drives.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from roadsense.errors import DatasetError
from roadsense.scenario.dataset import Dataset

_SHIPPED_DATASET = "ROADSENSE_SHIPPED_DATASET"
_SHIPPED_PACKAGE_EXCLUDES = ["**/__pycache__"]


def ray_job_environment(dataset_dir: Path | None) -> dict[str, Any]:
    """The `runtime_env` of a job on a cluster: this very package, and the dataset as working directory."""
    import roadsense

    environment: dict[str, Any] = {
        "py_modules": [str(Path(roadsense.__file__).parent)],
        "excludes": _SHIPPED_PACKAGE_EXCLUDES,
    }
    if dataset_dir is not None:
        environment["working_dir"] = str(dataset_dir)
        environment["env_vars"] = {_SHIPPED_DATASET: "1"}
    return environment


def open_training_dataset(dataset_dir: Path | None, sumo_cfg: Path | None, ego_id: str, expected_hash: str) -> Dataset:
    """The dataset on this machine, wherever it lies here.

    Raises:
        DatasetError: it is not here, or it is not the one that the driver opened.
    """
    if dataset_dir is None and sumo_cfg is not None:
        dataset = Dataset.from_sumocfg(sumo_cfg, ego_id=ego_id)
    else:
        dataset = Dataset.load(_local_directory(dataset_dir), verify=True)
    if dataset.hash != expected_hash:
        raise DatasetError(
            f"the dataset on this node has hash {dataset.hash[:12]}, the driver's has {expected_hash[:12]}; "
            "use the same version of RoadSense and the same files on every node"
        )
    return dataset


def _local_directory(dataset_dir: Path | None) -> Path:
    if dataset_dir is not None and dataset_dir.is_dir():
        return dataset_dir
    if os.environ.get(_SHIPPED_DATASET) == "1":
        return Path.cwd()
    raise DatasetError(
        f"{dataset_dir} does not exist on this node; put the dataset on a path that every node sees, or let the driver ship it"
    )
