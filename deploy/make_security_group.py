"""Make the security group of deploy/security_group.json: ssh from one address, everything among its own nodes.

python deploy/make_security_group.py --address 203.0.113.7/32
"""

import argparse
import ipaddress
import json
import sys
from pathlib import Path

import boto3

TEMPLATE = Path(__file__).with_name("security_group.json")


def main() -> int:
    """Make the group or, where it exists, add the rules that it lacks."""
    parser = argparse.ArgumentParser(description="make RoadSense's security group")
    parser.add_argument("--address", required=True, help="where ssh may come from, for example 203.0.113.7/32")
    parser.add_argument("--region", default="us-east-1")
    flags = parser.parse_args()
    try:
        network = ipaddress.ip_network(flags.address)
    except ValueError as problem:
        parser.error(f"--address {flags.address}: {problem}")
    if network.num_addresses > 256:
        parser.error(f"--address {flags.address}: {network.num_addresses} addresses are no laptop; give one, ending in /32")
    wanted = json.loads(TEMPLATE.read_text(encoding="utf-8").replace("YOUR_ADDRESS/32", flags.address))
    ec2 = boto3.client("ec2", region_name=flags.region)
    vpcs = ec2.describe_vpcs(Filters=[{"Name": "is-default", "Values": ["true"]}])["Vpcs"]
    if not vpcs:
        return 2
    filters = [{"Name": "group-name", "Values": [wanted["GroupName"]]}, {"Name": "vpc-id", "Values": [vpcs[0]["VpcId"]]}]
    there = ec2.describe_security_groups(Filters=filters)["SecurityGroups"]
    group_id = there[0]["GroupId"] if there else None
    if group_id is None:
        made = ec2.create_security_group(GroupName=wanted["GroupName"], Description=wanted["Description"], VpcId=vpcs[0]["VpcId"])
        group_id = made["GroupId"]
    for rule in wanted["Ingress"]:
        for pair in rule.get("UserIdGroupPairs", []):
            del pair["GroupName"]
            pair["GroupId"] = group_id
        try:
            ec2.authorize_security_group_ingress(GroupId=group_id, IpPermissions=[rule])
        except ec2.exceptions.ClientError as problem:
            if "InvalidPermission.Duplicate" not in str(problem):
                raise
    return 0


if __name__ == "__main__":
    sys.exit(main())
