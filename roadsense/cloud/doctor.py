"""What a launch needs in the account, what of it is there, and how to make what is not. Looks only; changes nothing."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any

from roadsense.cloud.account import BUDGET_NAME, account_id
from roadsense.cloud.aws import found
from roadsense.cloud.cluster_file import money_and_door_problems, read_cluster_file, shape_problems
from roadsense.cloud.settings import BUCKET, REPOSITORY, ROLE, SECURITY_GROUP, CloudSettings
from roadsense.errors import RoadSenseError
from roadsense.findings import Finding

_PLACEHOLDER_ACCOUNT = "123456789012"
_WORLD = ("0.0.0.0/0", "::/0")


def examine(settings: CloudSettings) -> list[Finding]:
    """Look at everything; without credentials only at what lies on this machine."""
    findings = list(_cluster_file(settings))
    try:
        account = account_id()
    except RoadSenseError as problem:
        return [*findings, Finding(what="credentials", ok=False, seen=str(problem), remedy="aws configure")]
    findings.append(Finding(what="credentials", ok=True, seen=f"account {account}"))
    region = _region(settings)
    looks: list[Callable[[], Finding]] = [
        _role,
        _profile,
        lambda: _security_group(region),
        lambda: _bucket(settings.bucket),
        lambda: _lifecycle(settings.bucket),
        lambda: _image(region),
        lambda: _budget(account, settings),
    ]
    for look in looks:
        try:
            findings.append(look())
        except RoadSenseError as problem:
            findings.append(Finding(what="AWS", ok=False, seen=str(problem), remedy="ask for the right to look, docs/cloud.md lists them"))
    return findings


def _cluster_file(settings: CloudSettings) -> Iterator[Finding]:
    path = settings.cluster_yaml
    try:
        content = read_cluster_file(path)
    except RoadSenseError as problem:
        yield Finding(what="cluster.yaml", ok=False, seen=str(problem), remedy="run this in the project's folder, or give --cluster_yaml")
        return
    problems = [*money_and_door_problems(content), *shape_problems(content)]
    yield Finding(
        what="cluster.yaml",
        ok=not problems,
        seen="; ".join(problems) or "saves money and closes doors",
        remedy="correct it, or git checkout cluster.yaml" if problems else "",
    )
    if _PLACEHOLDER_ACCOUNT in content.get("docker", {}).get("image", ""):
        yield Finding(
            what="image name", ok=False, seen="cluster.yaml names no account yet", remedy="deploy/push_image.sh builds, pushes and names it"
        )


def _region(settings: CloudSettings) -> str:
    return str(read_cluster_file(settings.cluster_yaml)["provider"]["region"])


def _role() -> Finding:
    def look(session: Any) -> Any:
        return session.client("iam").get_role(RoleName=ROLE)

    there = found(look, "reading the role")
    return Finding(
        what=f"role {ROLE}",
        ok=there is not None,
        seen="there" if there else "missing",
        remedy=""
        if there
        else f"aws iam create-role --role-name {ROLE} --assume-role-policy-document file://deploy/trust_policy.json && "
        f"aws iam put-role-policy --role-name {ROLE} --policy-name roadsense --policy-document file://deploy/iam_policy.json",
    )


def _profile() -> Finding:
    def look(session: Any) -> Any:
        return session.client("iam").get_instance_profile(InstanceProfileName=ROLE)["InstanceProfile"]

    there = found(look, "reading the instance profile")
    holds = there is not None and any(role["RoleName"] == ROLE for role in there["Roles"])
    make = f"aws iam create-instance-profile --instance-profile-name {ROLE} && " if there is None else ""
    return Finding(
        what="instance profile",
        ok=holds,
        seen="holds the role" if holds else "missing" if there is None else "holds no role",
        remedy="" if holds else f"{make}aws iam add-role-to-instance-profile --instance-profile-name {ROLE} --role-name {ROLE}",
    )


def _security_group(region: str) -> Finding:
    def look(session: Any) -> Any:
        filters = [{"Name": "group-name", "Values": [SECURITY_GROUP]}]
        return session.client("ec2", region_name=region).describe_security_groups(Filters=filters)["SecurityGroups"]

    what = f"security group {SECURITY_GROUP}"
    there = found(look, "reading the security group")
    if not there:
        return Finding(what=what, ok=False, seen="missing", remedy="python deploy/make_security_group.py --address YOUR_ADDRESS/32")
    rules = there[0]["IpPermissions"]
    open_rules = [rule for rule in rules for place in _places(rule) if place in _WORLD]
    if open_rules:
        seen = f"open to the world on {', '.join(str(rule.get('FromPort', 'every port')) for rule in open_rules)}"
        revoke = json.dumps(open_rules)
        remedy = f"aws ec2 revoke-security-group-ingress --group-id {there[0]['GroupId']} --ip-permissions '{revoke}'"
        return Finding(what=what, ok=False, seen=seen, remedy=remedy)
    if not rules:
        return Finding(
            what=what, ok=False, seen="empty: Ray would fill it with its own rules, port 22 open to the world",
            remedy="python deploy/make_security_group.py --address YOUR_ADDRESS/32",
        )  # fmt: skip
    return Finding(what=what, ok=True, seen=f"{len(rules)} rules, none open to the world")


def _places(rule: dict[str, Any]) -> list[str]:
    return [each["CidrIp"] for each in rule.get("IpRanges", [])] + [each["CidrIpv6"] for each in rule.get("Ipv6Ranges", [])]


def _bucket(name: str) -> Finding:
    def look(session: Any) -> Any:
        return session.client("s3").head_bucket(Bucket=name)

    def block(session: Any) -> Any:
        return session.client("s3").get_public_access_block(Bucket=name)["PublicAccessBlockConfiguration"]

    if found(look, f"looking for the bucket {name}") is None:
        note = "" if name != BUCKET else "; if somebody else has the name, give --bucket and change it in deploy/iam_policy.json"
        return Finding(what=f"bucket {name}", ok=False, seen="missing", remedy=f"python deploy/make_bucket.py --bucket {name}{note}")
    try:
        blocked = found(block, "reading the bucket's public access block")
    except RoadSenseError:
        blocked = None
    closed = bool(blocked) and all(blocked.values()) if isinstance(blocked, dict) else False
    return Finding(
        what=f"bucket {name}",
        ok=closed,
        seen="there, closed to the public" if closed else "there, but not closed to the public",
        remedy="" if closed else f"python deploy/make_bucket.py --bucket {name}",
    )


def _lifecycle(name: str) -> Finding:
    def look(session: Any) -> Any:
        return session.client("s3").get_bucket_lifecycle_configuration(Bucket=name)["Rules"]

    try:
        rules = found(look, "reading the lifecycle")
    except RoadSenseError:
        rules = None
    return Finding(
        what="lifecycle",
        ok=bool(rules),
        seen=f"{len(rules)} rules" if rules else "missing: old runs and half uploads would bill for ever",
        remedy="" if rules else f"python deploy/make_bucket.py --bucket {name}",
    )


def _image(region: str) -> Finding:
    def look(session: Any) -> Any:
        return session.client("ecr", region_name=region).describe_images(repositoryName=REPOSITORY)["imageDetails"]

    images = found(look, "reading the registry")
    return Finding(
        what=f"image {REPOSITORY}",
        ok=bool(images),
        seen=f"{len(images)} images" if images else "missing",
        remedy="" if images else "deploy/push_image.sh",
    )


def _budget(account: str, settings: CloudSettings) -> Finding:
    def look(session: Any) -> Any:
        return session.client("budgets", region_name="us-east-1").describe_budget(AccountId=account, BudgetName=BUDGET_NAME)["Budget"]

    there = found(look, "reading the AWS Budget")
    return Finding(
        what=f"AWS Budget {BUDGET_NAME}",
        ok=there is not None,
        seen=f"${float(there['BudgetLimit']['Amount']):.0f} a month" if there else "missing",
        remedy="" if there else f"the first roadsense cloud run --email YOU makes it (${settings.budget_usd:.0f})",
    )
