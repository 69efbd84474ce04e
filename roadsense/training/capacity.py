"""Room for the env runners on a cluster that starts from nothing: asked for, waited for, and refused in one line when it does not come."""

from __future__ import annotations

import time
from collections.abc import Callable
from importlib import metadata
from typing import Any, Final

import ray

from roadsense.errors import DependencyError

# A head without CPUs of its own says by this resource how many env runners the full cluster holds (cluster.yaml).
ENV_RUNNERS: Final = "env_runners"
_LOOK_EVERY_S: Final = 2.0
# Spot capacity, boot and image take three to six minutes; a head without workers costs money and gets nowhere.
_PATIENCE_S: Final = 900.0
_SAY_EVERY_S: Final = 30.0
_ANSWER_TIMEOUT_S: Final = 60.0
_SAME_EVERYWHERE: Final = ("ray", "numpy", "torch", "gymnasium", "eclipse-sumo", "numba")


def full_capacity() -> int:
    """Env runners that the cluster holds when all its workers are there."""
    resources = ray.cluster_resources()
    return int(resources.get(ENV_RUNNERS) or resources.get("CPU", 1))


def wait_for_workers(num_env_runners: int, say: Callable[[str], None], *, patience_s: float = _PATIENCE_S) -> int:
    """Ask the autoscaler for room and wait for it; returns how many env runners have room, at least 1.

    After `patience_s` seconds a part of the room is taken for all of it.

    Raises:
        DependencyError: no worker came.
    """
    if _cpus() >= num_env_runners:
        return num_env_runners
    from ray.autoscaler.sdk import request_resources

    request_resources(num_cpus=num_env_runners)
    began_s, told_s = time.monotonic(), -_SAY_EVERY_S
    try:
        while (there := _cpus()) < num_env_runners:
            waited_s = time.monotonic() - began_s
            if waited_s > patience_s:
                break
            if waited_s - told_s >= _SAY_EVERY_S:
                told_s = waited_s
                say(f"waiting for workers: room for {there} of {num_env_runners} env runners after {waited_s:.0f} s")
            time.sleep(_LOOK_EVERY_S)
    finally:
        # The request would hold machines for ever; from here on the env runners themselves are the demand.
        request_resources(num_cpus=0)
    if there < 1:
        raise DependencyError(
            f"no worker joined the cluster within {patience_s / 60:.0f} minutes; look at ray monitor cluster.yaml "
            "(no spot capacity, no quota, or an image that cannot be pulled), and end it: roadsense cloud down"
        )
    if there < num_env_runners:
        say(f"going on with room for {there} of {num_env_runners} env runners")
    return min(there, num_env_runners)


def require_same_versions() -> None:
    """Compare the packages that decide what is simulated and learned, on every node.

    Raises:
        DependencyError: a node has another version of one; the line names node, package and both versions.
    """
    here = _versions()
    asked = {
        ray.remote(_versions)
        .options(num_cpus=0, scheduling_strategy=ray.util.scheduling_strategies.NodeAffinitySchedulingStrategy(node["NodeID"], soft=False))
        .remote(): node["NodeManagerAddress"]
        for node in ray.nodes()
        if node["Alive"] and node["Resources"].get("CPU", 0) >= 1
    }
    # A node that drains or dies meanwhile takes no task, and will not be asked to drive either.
    answers, _ = ray.wait(list(asked), num_returns=len(asked), timeout=_ANSWER_TIMEOUT_S) if asked else ([], [])
    for answer in answers:
        address = asked[answer]
        try:
            there: dict[str, Any] = ray.get(answer)
        except ray.exceptions.RayError:
            continue
        for name, version in here.items():
            if there.get(name) != version:
                raise DependencyError(
                    f"node {address} has {name} {there.get(name)}, the driver has {version}; use one image for head and workers "
                    "(docker.image in cluster.yaml), or install the same constraints.txt"
                )


def _cpus() -> int:
    return int(ray.cluster_resources().get("CPU", 0))


def _versions() -> dict[str, str | None]:
    found: dict[str, str | None] = {}
    for name in _SAME_EVERYWHERE:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            found[name] = None
    return found
