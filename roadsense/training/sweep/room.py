"""What a trial takes, and how many trials there is room for at once."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import psutil
import ray
from ray.tune import PlacementGroupFactory

from roadsense.errors import UsageError
from roadsense.training.cluster import Cluster
from roadsense.training.sweep.settings import SweepSettings

# Resident memory of the processes of a trial, measured (docs/sweep.md); SUMO's grows with the number of cars.
TRIAL_MB: Final = 650
ENV_RUNNER_MB: Final = 600
SUMO_MB: Final = 50
_PRECISION: Final = 10_000  # Ray counts resources to four digits


@dataclass(frozen=True, slots=True, kw_only=True)
class Room:
    """The share of a trial, and how many run at once."""

    env_runners: int
    sumo_processes: int  # of one trial
    cpus: int  # of one trial
    at_once: int
    limited_by: str
    machine_cpus: int

    @property
    def memory_mb(self) -> int:
        """Of one trial, wherever its processes are."""
        return TRIAL_MB + self.env_runners * ENV_RUNNER_MB + self.sumo_processes * SUMO_MB

    def describe(self) -> str:
        """One line."""
        drives = f"{self.env_runners} env runners" if self.env_runners > 1 else "1 env runner" if self.env_runners else "in its own process"
        all_simulators = self.at_once * self.sumo_processes
        return (
            f"a trial takes {_counted(self.cpus, 'CPU', 'CPUs')} ({drives}, "
            f"{_counted(self.sumo_processes, 'SUMO process', 'SUMO processes')}, about {self.memory_mb:,} MB): "
            f"{self.at_once} at once on {_counted(self.machine_cpus, 'CPU', 'CPUs')} (limited by {self.limited_by}), "
            f"{_counted(all_simulators, 'SUMO process', 'SUMO processes')} in all"
        )


def _counted(number: int, one: str, many: str) -> str:
    return f"{number} {one if number == 1 else many}"


def find_room(settings: SweepSettings, cluster: Cluster, trials: int) -> Room:
    """How many trials go at once: as CPUs, memory, their number and `--trials_at_once` allow.

    A trial takes a CPU per env runner and none for its learner: while the learner works, its env runners wait. The SUMO processes of an env
    runner take turns with it on that CPU.

    Raises:
        UsageError: not even one trial has room.
    """
    runners = settings.env_runners
    cpus = max(1, runners)
    here = cluster.address is None
    sumo = max(1, runners) * settings.num_envs_per_env_runner
    # On a cluster the env runners are elsewhere; the learners are all on this machine.
    needed_mb = TRIAL_MB + (runners * ENV_RUNNER_MB + sumo * SUMO_MB if here or not runners else 0)
    available_mb = psutil.virtual_memory().available // 2**20
    limits = {
        "CPUs": cluster.cpus // cpus,
        "memory": available_mb // needed_mb,
        "the number of trials": trials,
        "--trials_at_once": settings.trials_at_once or trials,
    }
    by = min(limits, key=lambda name: limits[name])
    if limits["CPUs"] < 1:
        raise UsageError(f"a trial takes {cpus} CPUs and there are {cluster.cpus}; lower --num_env_runners")
    if not runners and not here and not _cpus_here():
        raise UsageError("--num_env_runners 0: this node of the cluster has no CPU for Ray, so no trial can drive here; give 1 or more")
    return Room(
        env_runners=runners,
        sumo_processes=sumo,
        cpus=cpus,
        at_once=max(1, limits[by]),
        limited_by=by,
        machine_cpus=cluster.cpus,
    )


def _cpus_here() -> float:
    address = ray.util.get_node_ip_address()
    return sum(float(node["Resources"].get("CPU", 0)) for node in ray.nodes() if node["Alive"] and node["NodeManagerAddress"] == address)


def bundles(room: Room) -> Any:
    """The placement group of a trial: its own process on this node, where the sweep's directory is, its env runners anywhere.

    Of the node's own resource, of which there is 1, each takes so much that no more than `at_once` fit: Tune's limit on concurrent trials
    would keep population based training from knowing those that wait.
    """
    this_node = {f"node:{ray.util.get_node_ip_address()}": (_PRECISION // room.at_once) / _PRECISION}
    if not room.env_runners:
        return PlacementGroupFactory([this_node | {"CPU": 1.0}])
    return PlacementGroupFactory([this_node, *({"CPU": 1.0} for _ in range(room.env_runners))], strategy="PACK")
