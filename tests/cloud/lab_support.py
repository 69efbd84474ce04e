"""cluster.yaml as the lab can run it: the differences, each with its reason, and a proof that there are no others."""

import copy
from pathlib import Path

from roadsense.cloud.cluster_file import read_cluster_file

# Path in the file -> value in the lab.
DIFFERENCES = {
    ("docker",): {},  # no Docker engine in the lab: the machines see this Python environment instead of the image
    ("auth", "ssh_user"): "root",  # the lab's machines know no ec2-user
    ("provider", "use_internal_ips"): True,  # public addresses of a fake EC2 belong to somebody: they must never be tried
    ("available_node_types", "head", "node_config", "ImageId"): "ami-12c6146b",  # one that moto knows; it does not resolve ssm:
    ("available_node_types", "worker", "node_config", "ImageId"): "ami-12c6146b",
    ("available_node_types", "worker", "resources", "CPU"): 1,  # all of it runs on two cores
    ("available_node_types", "head", "resources", "env_runners"): 2,
}  # fmt: skip
_STORE = " --object-store-memory=200000000"  # appended to `ray start`: three machines share the memory of one


def lab_cluster(repository: Path) -> dict:
    """The project's cluster.yaml with the allowed differences."""
    content = copy.deepcopy(read_cluster_file(repository / "cluster.yaml"))
    for node_type in content["available_node_types"].values():
        node_type["node_config"] = dict(node_type["node_config"])
    for path, value in DIFFERENCES.items():
        place = content
        for key in path[:-1]:
            place = place[key]
        place[path[-1]] = value
    for name in ("head_start_ray_commands", "worker_start_ray_commands"):
        content[name] = [line + _STORE if "ray start" in line else line for line in content[name]]
    return content


def differences(one, other, path=()) -> set[tuple]:
    """Paths at which two YAML structures differ."""
    if isinstance(one, dict) and isinstance(other, dict):
        keys = set(one) | set(other)
        return set().union(*(differences(one.get(key), other.get(key), (*path, key)) for key in keys)) if keys else set()
    if isinstance(one, list) and isinstance(other, list) and len(one) == len(other):
        return set().union(*(differences(a, b, (*path, i)) for i, (a, b) in enumerate(zip(one, other, strict=True)))) if one else set()
    return set() if one == other else {path}
