"""The whole job on one spot machine: started by its boot script, ended by it."""

from __future__ import annotations

import shlex
import time
from collections.abc import Callable, Mapping, Sequence
from copy import deepcopy
from functools import partial
from pathlib import Path
from typing import Any, Final

from roadsense.cloud.account import LAUNCH_TAG, machines
from roadsense.cloud.aws import call
from roadsense.cloud.cluster_file import WORKER, with_deadline
from roadsense.cloud.launch_file import LAUNCH_FILE, UPLOAD_FAILED, Launch
from roadsense.cloud.settings import Preset
from roadsense.errors import CloudError

_LOOK_EVERY_S: Final = 10.0
# In the boot script of cluster.yaml this line begins what waits for a raylet; a single job has its own end.
_GUARD_BEGINS: Final = "# Ends the machine when its raylet"
_GUARD_ENDS: Final = "command -v docker"


def single_boot_script(cluster_boot: str, launch: Launch, image: str, words: Sequence[str]) -> str:
    """Deadline first, then the container with the job, then the end; without a secret in it.

    Raises:
        CloudError, ConfigError: the cluster file's boot script is not the project's.
    """
    armed = with_deadline(cluster_boot, launch.deadline)
    before, guard, rest = armed.partition(_GUARD_BEGINS)
    _, docker, after = rest.partition(_GUARD_ENDS)
    if not guard or not docker:
        raise CloudError("UserData in the cluster file is not the project's own, so --single cannot build on it; take it from there")
    job = " ".join(shlex.quote(word) for word in ("pipeline", "--recipe", "--job", f"/launch/{LAUNCH_FILE}", *words))
    registry = image.split("/")[0]
    return (
        f"{before}{docker}{after}"
        f"mkdir -p /var/lib/roadsense/launch /var/lib/roadsense/work && chmod 777 /var/lib/roadsense/work\n"
        f"cat > /var/lib/roadsense/launch/{LAUNCH_FILE} <<'LAUNCH'\n{launch.model_dump_json(indent=2)}\nLAUNCH\n"
        f"aws ecr get-login-password --region {launch.region} | docker login --username AWS --password-stdin {registry}\n"
        f"docker run --rm --name roadsense --network host --shm-size 2g --ulimit nofile=65536:65536 --cap-drop=ALL"
        f" --security-opt=no-new-privileges -v /var/lib/roadsense/launch:/launch:ro -v /var/lib/roadsense/work:/work -w /work"
        f" {image} roadsense {job} > /var/log/roadsense_job.log 2>&1\n"
        f"# Ended by itself, well or not; only where the results could not be uploaded the machine stays until its deadline.\n"
        f"[ $? -eq {UPLOAD_FAILED} ] || shutdown -h now\n"
    )


def single_request(
    content: Mapping[str, Any], launch: Launch, preset: Preset, words: Sequence[str], zone: str, group_id: str, image: str
) -> dict[str, Any]:
    """What EC2 is asked for: the cluster's worker, with a job of its own in the boot script."""
    request = deepcopy(dict(content["available_node_types"][WORKER]["node_config"]))
    request["InstanceType"] = preset.worker_type
    request["UserData"] = single_boot_script(request["UserData"], launch, image, words)
    for tags in request["TagSpecifications"]:
        tags["Tags"] = [*tags["Tags"], {"Key": LAUNCH_TAG, "Value": launch.launch_id}, {"Key": "Name", "Value": "roadsense-single"}]
    return request | {"MinCount": 1, "MaxCount": 1, "Placement": {"AvailabilityZone": zone}, "SecurityGroupIds": [group_id]}


def start_single(content: Mapping[str, Any], launch: Launch, preset: Preset, words: Sequence[str], folder: Path) -> str:
    """Ask for the machine, zone by zone; returns a line about it.

    Raises:
        CloudError: no zone has one, or AWS refuses for another reason.
    """
    provider = content["provider"]
    name = provider["security_group"]["GroupName"]

    def group(session: Any) -> str:
        filters = [{"Name": "group-name", "Values": [name]}]
        found = session.client("ec2", region_name=launch.region).describe_security_groups(Filters=filters)["SecurityGroups"]
        if not found:
            raise CloudError(f"there is no security group {name}; roadsense cloud doctor says how to make it")
        return str(found[0]["GroupId"])

    group_id = call("looking for the security group", group)
    refusals = []
    for zone in provider["availability_zone"].split(","):
        request = single_request(content, launch, preset, words, zone, group_id, content["docker"]["image"])
        (folder / "boot.sh").write_text(request["UserData"], encoding="utf-8")
        try:
            made = call(f"starting {preset.worker_type} in {zone}", partial(_run_instances, launch.region, request))
        except CloudError as problem:
            if not any(word in str(problem) for word in ("InsufficientInstanceCapacity", "MaxSpotInstanceCountExceeded", "Unsupported")):
                raise
            refusals.append(zone)
            continue
        return f"{made['Instances'][0]['InstanceId']}: {preset.worker_type} on spot in {zone}"
    raise CloudError(f"no spot {preset.worker_type} in {', '.join(refusals)} at the moment; try again later, or another --preset")


def _run_instances(region: str, request: Mapping[str, Any], session: Any) -> Any:
    return session.client("ec2", region_name=region).run_instances(**request)


def wait_for_single(region: str, launch: Launch, ended: Callable[[], bool], say: Callable[[str], None]) -> None:
    """Wait until the job has left its result or the machine is gone."""
    say("the machine works by itself; this command only waits, and may be ended with SIGKILL at no cost")
    while not ended():
        if not [machine for machine in machines(region, launch.launch_id) if machine.state in ("pending", "running")]:
            return
        time.sleep(_LOOK_EVERY_S)
