"""cluster.yaml without AWS: Ray's schema, botocore's description of RunInstances, our own rules, and Ray's real launcher code against moto."""

import base64
import copy
import re
from datetime import UTC, datetime, timedelta

import boto3
import botocore.exceptions
import pytest
import yaml
from ray.autoscaler._private.aws.config import bootstrap_aws
from ray.autoscaler._private.aws.node_provider import AWSNodeProvider
from ray.autoscaler._private.util import prepare_config, validate_config
from ray.autoscaler.tags import TAG_RAY_NODE_KIND

from roadsense.cloud.cluster_file import money_and_door_problems, read_cluster_file, render, require_sound, shape_problems, with_deadline
from roadsense.cloud.settings import ROLE, SECURITY_GROUP
from roadsense.errors import CloudError, ConfigError

MOTO_AMI = "ami-12c6146b"


@pytest.fixture(scope="session")
def content(repository):
    return read_cluster_file(repository / "cluster.yaml")


def test_ray_accepts_it(content):
    validate_config(prepare_config(copy.deepcopy(content)))


def test_ec2_would_accept_it_and_it_is_sound(content, repository):
    assert shape_problems(content) == []
    assert money_and_door_problems(content) == []
    require_sound(content, repository / "cluster.yaml")


def test_a_typing_error_that_ray_accepts_is_found(content):
    broken = copy.deepcopy(content)
    broken["available_node_types"]["head"]["node_config"]["InstanceTyp"] = "m6i.large"
    validate_config(prepare_config(copy.deepcopy(broken)))
    assert any("InstanceTyp" in line for line in shape_problems(broken))


# Each change costs money or opens a door; each must be found.
BREAKS = [
    (("provider", "cache_stopped_nodes"), True, "cache_stopped_nodes"),
    (("provider", "security_group"), {}, "open to the world"),
    (("setup_commands",), ["pip install ray"], "setup_commands"),
    (("head_start_ray_commands",), ["ray start --head --dashboard-host=0.0.0.0"], "dashboard"),
    (("available_node_types", "worker", "min_workers"), 1, "min_workers"),
    (("idle_timeout_minutes",), 60, "idle_timeout"),
    (("available_node_types", "head", "node_config", "InstanceInitiatedShutdownBehavior"), "stop", "shuts itself down"),
    (("available_node_types", "worker", "node_config", "IamInstanceProfile"), {}, "IamInstanceProfile"),
    (("available_node_types", "worker", "node_config", "MetadataOptions", "HttpTokens"), "optional", "IMDSv1"),
    (("available_node_types", "worker", "node_config", "BlockDeviceMappings"), [], "BlockDeviceMappings"),
    (("available_node_types", "head", "node_config", "BlockDeviceMappings", 0, "Ebs", "Encrypted"), False, "Encrypted"),
    (("available_node_types", "head", "node_config", "BlockDeviceMappings", 0, "Ebs", "VolumeSize"), 500, "at most 50 GB"),
    (("available_node_types", "worker", "node_config", "UserData"), "#!/bin/bash\n", "no deadline"),
    (("available_node_types", "head", "node_config", "InstanceType"), "t3.large", "CpuCredits"),
    (("available_node_types", "worker", "node_config", "InstanceMarketOptions"), {}, "spot"),
    (("available_node_types", "worker", "node_config", "InstanceMarketOptions", "SpotOptions", "SpotInstanceType"), "persistent", "come back"),
    (("available_node_types", "worker", "node_config", "InstanceMarketOptions", "SpotOptions", "InstanceInterruptionBehavior"), "stop", "taken"),
]  # fmt: skip


@pytest.mark.parametrize(("path", "value", "word"), BREAKS, ids=[str(path[-1]) for path, _, _ in BREAKS])
def test_what_costs_money_or_opens_a_door_is_refused(content, repository, path, value, word):
    broken = copy.deepcopy(content)
    place = broken
    for key in path[:-1]:
        place = place[key]
    place[path[-1]] = value
    assert any(word in line for line in money_and_door_problems(broken))
    with pytest.raises(CloudError):
        require_sound(broken, repository / "cluster.yaml")


def test_there_is_no_secret_in_the_boot_script(content):
    for node_type in content["available_node_types"].values():
        boot = node_type["node_config"]["UserData"]
        assert not re.search(r"AKIA|ASIA|token|password|secret|BEGIN", boot.replace("No token, no key, no password", ""), re.IGNORECASE)


def test_a_launch_has_its_own_end_and_machines(content):
    deadline = datetime.now(UTC) + timedelta(hours=2)
    made = render(content, launch_id="l1", deadline=deadline, worker_type="c6i.8xlarge", worker_vcpus=32, max_workers=1)
    require_sound(made, "rendered")
    validate_config(prepare_config(copy.deepcopy(made)))
    for node_type in made["available_node_types"].values():
        assert f"until={int(deadline.timestamp())}\n" in node_type["node_config"]["UserData"]
    assert made["available_node_types"]["worker"]["node_config"]["InstanceType"] == "c6i.8xlarge"
    assert made["available_node_types"]["head"]["node_config"]["InstanceType"] == "m6i.large"
    assert made["available_node_types"]["head"]["resources"]["env_runners"] == 32
    assert content["max_workers"] == 2, "the project's own file must stay as it is"
    with pytest.raises(ConfigError, match="until="):
        with_deadline("#!/bin/bash\n", deadline)


@pytest.fixture
def account(aws):
    """What `deploy/` describes, made in moto."""
    iam, ec2 = boto3.client("iam"), boto3.client("ec2")
    iam.create_role(RoleName=ROLE, AssumeRolePolicyDocument="{}")
    iam.create_instance_profile(InstanceProfileName=ROLE)
    iam.add_role_to_instance_profile(InstanceProfileName=ROLE, RoleName=ROLE)
    vpc = ec2.describe_vpcs()["Vpcs"][0]["VpcId"]
    group = ec2.create_security_group(GroupName=SECURITY_GROUP, Description="test", VpcId=vpc)["GroupId"]
    ec2.authorize_security_group_ingress(GroupId=group, IpPermissions=[{"IpProtocol": "-1", "UserIdGroupPairs": [{"GroupId": group}]}])
    return group


def test_rays_own_launcher_makes_the_machines_that_the_file_describes(content, account, tmp_path, monkeypatch):
    """Bootstrap and node provider unmodified; only the image is one that moto knows. Nothing is reached by ssh."""
    monkeypatch.setenv("HOME", str(tmp_path))  # the key pair goes there
    config = copy.deepcopy(content)
    for node_type in config["available_node_types"].values():
        node_type["node_config"] = dict(node_type["node_config"], ImageId=MOTO_AMI)
    config = bootstrap_aws(prepare_config(config))
    provider = AWSNodeProvider(config["provider"], config["cluster_name"])
    for name, kind in (("head", "head"), ("worker", "worker")):
        provider.create_node(config["available_node_types"][name]["node_config"], {TAG_RAY_NODE_KIND: kind, "ray-user-node-type": name}, 1)
    ec2 = boto3.client("ec2")
    machines = {m["InstanceType"]: m for r in ec2.describe_instances()["Reservations"] for m in r["Instances"]}
    head, worker = machines["m6i.large"], machines["c6i.xlarge"]
    assert worker.get("InstanceLifecycle") == "spot" and head.get("InstanceLifecycle") != "spot"
    for machine in (head, worker):
        assert machine["IamInstanceProfile"]["Arn"].endswith(f"/{ROLE}")
        assert [group["GroupId"] for group in machine["SecurityGroups"]] == [account]
        assert {"Key": "project", "Value": "roadsense"} in machine["Tags"]
        assert machine["MetadataOptions"]["HttpTokens"] == "required"
        boot = ec2.describe_instance_attribute(InstanceId=machine["InstanceId"], Attribute="userData")["UserData"]["Value"]
        assert base64.b64decode(boot).decode() == content["available_node_types"]["head"]["node_config"]["UserData"]
    group = ec2.describe_security_groups(GroupIds=[account])["SecurityGroups"][0]
    assert not [rule for rule in group["IpPermissions"] if rule.get("IpRanges")], "Ray must not open the group"


def test_a_misspelt_request_does_not_reach_aws(content, account, tmp_path, monkeypatch):
    """What the second layer is for: Ray itself would find out only when the head is there."""
    monkeypatch.setenv("HOME", str(tmp_path))
    config = copy.deepcopy(content)
    worker = config["available_node_types"]["worker"]["node_config"] | {"ImageId": MOTO_AMI, "InstanceMarketOption": {}}
    config["available_node_types"]["worker"]["node_config"] = worker
    with pytest.raises(botocore.exceptions.ParamValidationError):
        boto3.client("ec2").run_instances(MinCount=1, MaxCount=1, **worker)
    assert any("InstanceMarketOption" in line for line in shape_problems(config))


def test_deploy_files_are_what_aws_takes(repository):
    """The policies are JSON of the right shape; IAM itself is not enforced by moto, so what they allow was never tried."""
    policy = yaml.safe_load((repository / "deploy" / "iam_policy.json").read_text())
    for statement in policy["Statement"]:
        assert statement["Effect"] == "Allow"
        actions = [statement["Action"]] if isinstance(statement["Action"], str) else statement["Action"]
        assert not any("*" in action for action in actions), f"{statement['Sid']} allows more than it names"
    everything = {s["Sid"] for s in policy["Statement"] if s["Resource"] == "*"}
    assert everything == {"LookAround", "RegistryLogin", "SageMakerMetrics"}, "only what AWS cannot narrow down may be on everything"
