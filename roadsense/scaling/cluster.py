"""Machines as AWS sells them, as the model sees them."""

from __future__ import annotations

import re
from typing import Final

from roadsense.errors import ConfigError
from roadsense.scaling.model import Machines

# Baseline of an m6i.large, the head of cluster.yaml, from AWS's list of instance types (bursts are faster). Not measured.
HEAD_BYTES_PER_S: Final = 0.781e9 / 8
# Spot quotes lie at 30 to 60 % of the on-demand price most of the time; what docs/cloud.md expects. Not measured.
SPOT_SHARE: Final = 0.4
DEFAULT_STEPS_PER_RUNNER: Final = 2048  # TrainSettings.n_steps

_SIZE: Final = re.compile(r"(\d*)(x?)large")


def vcpus(instance_type: str) -> int:
    """Virtual cores of an instance: 2 for `large`, 4 for `xlarge`, 4 n for `<n>xlarge`; raises ConfigError otherwise."""
    size = _SIZE.fullmatch(instance_type.rpartition(".")[2])
    if size is None or (size.group(1) and not size.group(2)):
        raise ConfigError(f"{instance_type}: how many vCPUs it has cannot be told from its name; give a type such as c6i.xlarge")
    return 2 if not size.group(2) else 4 * int(size.group(1) or 1)


def one_machine(
    env_runners: int, *, steps_per_runner: float = DEFAULT_STEPS_PER_RUNNER, sampling_speed: float = 1.0, learning_speed: float = 1.0
) -> Machines:
    """Env runners and learner on one machine: nothing goes over a network."""
    return Machines(
        env_runners=env_runners,
        steps_per_runner=steps_per_runner,
        runners_per_node=env_runners,
        sampling_speed=sampling_speed,
        learning_speed=learning_speed,
    )


def cluster(
    env_runners: int,
    worker_vcpus: int,
    *,
    steps_per_runner: float = DEFAULT_STEPS_PER_RUNNER,
    learning_speed: float = 1.0,
) -> Machines:
    """A head that only learns, and nodes with one env runner per vCPU."""
    return Machines(
        env_runners=env_runners,
        steps_per_runner=steps_per_runner,
        runners_per_node=worker_vcpus,
        head_bytes_per_s=HEAD_BYTES_PER_S,
        learning_speed=learning_speed,
    )
