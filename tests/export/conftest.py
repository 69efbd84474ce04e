"""A policy with random weights that brakes for about half of what it sees, exported once in every format."""

import shutil
import sys
from pathlib import Path

import pytest

from roadsense.export.export import export_policy
from roadsense.model.policy_file import load_policy

sys.path.insert(0, str(Path(__file__).parent))

from export_support import observations, save_random_policy


@pytest.fixture(scope="session")
def compiler() -> str:
    """gcc, which the exported header is compiled with."""
    if shutil.which("gcc") is None:
        pytest.skip("gcc is not installed (apt-get install gcc libc6-dev)")
    return "gcc"


@pytest.fixture(scope="session")
def policies(tmp_path_factory) -> dict:
    """A policy for each kind of pooling, and one whose encoder is given the ego."""
    folder = tmp_path_factory.mktemp("policies")
    made = {}
    for name, model in {
        "max": {},
        "mean": {"pool": "mean", "peer_width": 16, "peer_layers": 3},
        "max+mean": {"pool": "max+mean", "peer_width": 24, "trunk_layers": 1},
        "beside ego": {"ego_in_encoder": True},
        "mirrored": {"ego_in_encoder": True, "mirror_peers": True},
    }.items():
        save_random_policy(folder / f"{name}.zip", **model)
        made[name] = load_policy(folder / f"{name}.zip")
    return made


@pytest.fixture(scope="session")
def exports(tmp_path_factory, policies, compiler) -> dict[str, Path]:
    """Every format of each of them, int8 included."""
    made = {}
    for pool, policy in policies.items():
        directory = tmp_path_factory.mktemp("exports") / pool
        export_policy(
            policy, ("c", "tflite", "onnx"), directory, calibration=observations(600), held_out=observations(30, seed=1000), int8=True
        )
        made[pool] = directory
    return made
