"""Make the bucket of deploy/bucket.json: closed to the public, old runs and half uploads removed by themselves.

python deploy/make_bucket.py
"""

import argparse
import json
import sys
from pathlib import Path

import boto3

TEMPLATE = Path(__file__).with_name("bucket.json")


def main() -> int:
    """Make the bucket or, where it is one's own already, close it and set the lifecycle."""
    wanted = json.loads(TEMPLATE.read_text(encoding="utf-8"))
    parser = argparse.ArgumentParser(description="make RoadSense's bucket")
    parser.add_argument("--bucket", default=wanted["Bucket"])
    parser.add_argument("--region", default="us-east-1")
    flags = parser.parse_args()
    s3 = boto3.client("s3", region_name=flags.region)
    place = {} if flags.region == "us-east-1" else {"CreateBucketConfiguration": {"LocationConstraint": flags.region}}
    try:
        s3.create_bucket(Bucket=flags.bucket, **place)
    except s3.exceptions.BucketAlreadyOwnedByYou:
        pass
    except s3.exceptions.BucketAlreadyExists:
        return 2
    s3.put_public_access_block(Bucket=flags.bucket, PublicAccessBlockConfiguration=wanted["PublicAccessBlockConfiguration"])
    s3.put_bucket_lifecycle_configuration(Bucket=flags.bucket, LifecycleConfiguration=wanted["LifecycleConfiguration"])
    return 0


if __name__ == "__main__":
    sys.exit(main())
