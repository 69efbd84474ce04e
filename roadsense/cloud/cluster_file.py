"""cluster.yaml: read, checked for everything that could cost money or open a door, and rendered for one launch.

Ray checks the file's own shape when `ray up` reads it, but takes any mistake inside `node_config`; those would only come out as an error of
AWS, after the head is there. So `node_config` is checked here against botocore's description of RunInstances.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from copy import deepcopy
from datetime import datetime
from pathlib import Path
from typing import Any, Final

import yaml

from roadsense.cloud.settings import ROLE, SECURITY_GROUP
from roadsense.errors import CloudError, ConfigError

DISK_GB: Final = 50
HEAD: Final = "head"
WORKER: Final = "worker"
_UNTIL: Final = re.compile(r"^until=\d+$", re.MULTILINE)
_MINUTES: Final = re.compile(r"^minutes=\d+$", re.MULTILINE)
_RAY_OWN_KEYS: Final = frozenset({"SubnetIds", "SecurityGroupIds"})


def read_cluster_file(path: Path) -> dict[str, Any]:
    """The content of a cluster file.

    Raises:
        ConfigError: it is missing, no YAML, or no mapping with the two node types of ours.
    """
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as problem:
        raise ConfigError(f"{path}: cannot be read ({problem.strerror}); give --cluster_yaml") from None
    except yaml.YAMLError as problem:
        raise ConfigError(f"{path}: no valid YAML ({' '.join(str(problem).split())[:200]}); correct it") from None
    types = content.get("available_node_types") if isinstance(content, dict) else None
    if not isinstance(types, dict) or set(types) != {HEAD, WORKER} or content.get("head_node_type") != HEAD:
        raise ConfigError(f"{path}: needs available_node_types {HEAD!r} and {WORKER!r} with {HEAD!r} as head_node_type")
    return dict(content)


def money_and_door_problems(content: Mapping[str, Any]) -> list[str]:
    """What in a cluster file could cost money or open a door, one line each with what to write instead; empty for a sound one."""
    return list(_problems(content))


def shape_problems(content: Mapping[str, Any]) -> list[str]:
    """What EC2 would refuse in the `node_config`s: names it does not know, values of the wrong kind."""
    import botocore.session
    from botocore.validate import ParamValidator

    service = botocore.session.get_session().get_service_model("ec2")
    shape = service.operation_model("RunInstances").input_shape
    found = []
    for name, node_type in content["available_node_types"].items():
        request = {key: value for key, value in node_type["node_config"].items() if key not in _RAY_OWN_KEYS}
        report = ParamValidator().validate(request | {"MinCount": 1, "MaxCount": 1}, shape)
        found += [f"{name}: {line}" for line in report.generate_report().splitlines() if line]
    return found


def worker_cpus(content: Mapping[str, Any], worker_type: str, vcpus: int) -> int:
    """Env runners of one worker: what the file says of its own machine type, else the type's vCPUs."""
    worker = content["available_node_types"][WORKER]
    own = worker["node_config"].get("InstanceType") == worker_type
    return int(worker.get("resources", {}).get("CPU", vcpus)) if own else vcpus


def render(
    content: Mapping[str, Any],
    *,
    launch_id: str,
    deadline: datetime,
    worker_type: str,
    worker_vcpus: int,
    max_workers: int,
    image: str | None = None,
) -> dict[str, Any]:
    """The cluster file of one launch: its machines, its name in the tags, and its own absolute end in every boot script.

    Raises:
        ConfigError: a boot script has no line for the deadline.
    """
    made = deepcopy(dict(content))
    made["max_workers"] = max_workers
    worker, head = made["available_node_types"][WORKER], made["available_node_types"][HEAD]
    worker["max_workers"] = max_workers
    worker["resources"] = {"CPU": worker_vcpus}
    worker["node_config"]["InstanceType"] = worker_type
    head["resources"]["env_runners"] = max_workers * worker_vcpus
    if image is not None:
        made["docker"]["image"] = image
    for node_type in (head, worker):
        # Anchors in the file make both types share parts; each gets its own.
        config = node_type["node_config"] = deepcopy(node_type["node_config"])
        config["UserData"] = with_deadline(config.get("UserData", ""), deadline)
        for tags in config["TagSpecifications"]:
            tags["Tags"] = [*tags["Tags"], {"Key": "roadsense-launch", "Value": launch_id}]
    return made


def with_deadline(user_data: str, deadline: datetime) -> str:
    """A boot script whose machine ends at a point in time, however late it starts.

    Raises:
        ConfigError: the script has no line `until=0`, so it would know no end.
    """
    text, replaced = _UNTIL.subn(f"until={int(deadline.timestamp())}", user_data)
    if replaced != 1:
        raise ConfigError(
            f"the boot script has {replaced} lines until=..., expected one; take UserData from the project's own cluster.yaml"
        )
    # The number of minutes is for a bare `ray up`; here the point in time decides alone.
    return _MINUTES.sub("minutes=100000", text)


def require_sound(content: Mapping[str, Any], path: Path) -> None:
    """Raises CloudError with the first problem of a cluster file and the number of the others."""
    problems = [*money_and_door_problems(content), *shape_problems(content)]
    if problems:
        more = f" (and {len(problems) - 1} more: roadsense cloud doctor)" if len(problems) > 1 else ""
        raise CloudError(f"{path}: {problems[0]}{more}")


def _problems(content: Mapping[str, Any]) -> Iterator[str]:
    provider = content.get("provider", {})
    if provider.get("cache_stopped_nodes", True) is not False:
        yield "provider.cache_stopped_nodes is not false: stopped machines keep billing disks; write false"
    if provider.get("security_group", {}).get("GroupName") != SECURITY_GROUP:
        yield f"provider.security_group.GroupName is not {SECURITY_GROUP}: Ray would make one that is open to the world; write it"
    for name in ("setup_commands", "head_setup_commands", "worker_setup_commands"):
        if content.get(name) != []:
            yield f"{name} is not []: Ray's default installs another version of Ray; write []"
    start = " ".join(content.get("head_start_ray_commands", []))
    if "--dashboard-host=127.0.0.1" not in start:
        yield "head_start_ray_commands lack --dashboard-host=127.0.0.1: the dashboard would be open; add it"
    workers = content["available_node_types"][WORKER]
    if workers.get("min_workers", 0) != 0:
        yield "worker.min_workers is not 0: machines would run without work; write 0"
    if not 0 <= content.get("idle_timeout_minutes", 5) <= 10:
        yield "idle_timeout_minutes is above 10: idle machines would bill; write 3"
    for name, node_type in content["available_node_types"].items():
        for problem in _node_problems(name, node_type.get("node_config", {})):
            yield f"{name}: {problem}"


def _node_problems(name: str, config: Mapping[str, Any]) -> Iterator[str]:
    if config.get("InstanceInitiatedShutdownBehavior") != "terminate":
        yield "InstanceInitiatedShutdownBehavior is not terminate: a machine that shuts itself down would keep its disk; write terminate"
    if config.get("IamInstanceProfile", {}).get("Name") != ROLE:
        yield f"IamInstanceProfile is not {ROLE}: Ray would give the head full rights; write it"
    metadata = config.get("MetadataOptions", {})
    if metadata.get("HttpTokens") != "required":
        yield "MetadataOptions.HttpTokens is not required: credentials would be had by IMDSv1; write required"
    disks = [mapping.get("Ebs", {}) for mapping in config.get("BlockDeviceMappings", [])]
    if not disks:
        yield "BlockDeviceMappings are missing: the disk would be the image's, unencrypted; write them"
    for disk in disks:
        if disk.get("VolumeSize", DISK_GB + 1) > DISK_GB or disk.get("VolumeType") != "gp3":
            yield f"the disk is not gp3 of at most {DISK_GB} GB: the worst case is reckoned with that; write it"
        if disk.get("Encrypted") is not True or disk.get("DeleteOnTermination") is not True:
            yield "the disk is not Encrypted with DeleteOnTermination; write both"
    boot = config.get("UserData", "")
    if not (_UNTIL.search(boot) and _MINUTES.search(boot) and "shutdown -h" in boot and "roadsense-guard" in boot):
        yield "UserData arms no deadline and no guard; take it from the project's own cluster.yaml"
    if "ImageId" not in config:
        yield "ImageId is missing: Ray's default is an Ubuntu 18.04; name one"
    if not str(config.get("InstanceType", "")).startswith("t") or config.get("CreditSpecification", {}).get("CpuCredits") == "standard":
        pass
    else:
        yield "a T machine without CreditSpecification.CpuCredits standard bills for credits; write standard"
    spot = config.get("InstanceMarketOptions", {})
    if name == WORKER:
        options = spot.get("SpotOptions", {})
        if spot.get("MarketType") != "spot" or options.get("SpotInstanceType") != "one-time":
            yield "InstanceMarketOptions is not one-time spot: on-demand costs more, persistent requests come back after ray down; write it"
        if options.get("InstanceInterruptionBehavior") != "terminate":
            yield "SpotOptions.InstanceInterruptionBehavior is not terminate: a taken machine would keep its disk; write terminate"
