"""Submit a managed-spot training job to SageMaker, under the monthly limit.

python deploy/sagemaker_job.py --max_run_hours 2 --max_wait_hours 4 -- total_timesteps=2000000 seed=7
"""

import argparse
import sys
from datetime import UTC, datetime
from pathlib import Path

from roadsense.cloud.account import account_id, ensure_budget
from roadsense.cloud.aws import call
from roadsense.cloud.cluster_file import read_cluster_file
from roadsense.cloud.launch import open_ledger
from roadsense.cloud.sagemaker_request import reserve_training_job, training_job_request
from roadsense.cloud.settings import BUCKET, ROLE, CloudSettings
from roadsense.errors import RoadSenseError, UsageError


def main() -> int:
    """Refuse or reserve, then submit; exit code 3 when the month has not enough left."""
    parser = argparse.ArgumentParser(description="submit a managed-spot SageMaker job")
    parser.add_argument("--max_run_hours", type=float, default=2.0, help="the job is stopped after this long, with a checkpoint")
    parser.add_argument("--max_wait_hours", type=float, help="including the wait for spot capacity (default: twice the run)")
    parser.add_argument("--instance_type", default="ml.c5.9xlarge")
    parser.add_argument("--instance_count", type=int, default=1, help="several hosts form one Ray cluster")
    parser.add_argument("--dataset", help="s3:// address of a dataset (default: the job generates one)")
    parser.add_argument("--bucket", default=BUCKET)
    parser.add_argument("--monthly_limit_usd", type=float, default=20.0)
    parser.add_argument("--email", help="for the AWS Budget, when there is none yet")
    parser.add_argument("--cluster_yaml", type=Path, default=Path("cluster.yaml"), help="where the image's name stands")
    parser.add_argument("--dry_run", action="store_true", help="print the request; submit nothing")
    parser.add_argument("hyperparameters", nargs="*", metavar="NAME=VALUE", help="flags of roadsense pipeline")
    flags = parser.parse_args()
    try:
        return submit(flags)
    except RoadSenseError as problem:
        print(f"sagemaker_job: {problem}", file=sys.stderr)
        return problem.exit_code


def submit(flags: argparse.Namespace) -> int:
    """Build, reserve, submit."""
    pairs = [word.partition("=") for word in flags.hyperparameters]
    if wrong := [name for name, equals, _ in pairs if not equals]:
        raise UsageError(f"{wrong[0]!r} is no NAME=VALUE; write for example total_timesteps=2000000")
    content = read_cluster_file(flags.cluster_yaml)
    region = content["provider"]["region"]
    settings = CloudSettings.parse({"bucket": flags.bucket, "monthly_limit_usd": flags.monthly_limit_usd}, "command line")
    account = account_id()
    request = training_job_request(
        name=f"roadsense-{datetime.now(UTC):%Y%m%d-%H%M%S}",
        image=content["docker"]["image"],
        role_arn=f"arn:aws:iam::{account}:role/{ROLE}",
        bucket=flags.bucket,
        hyperparameters={name: value for name, _, value in pairs},
        max_run_s=round(3600 * flags.max_run_hours),
        max_wait_s=round(3600 * (flags.max_wait_hours or 2 * flags.max_run_hours)),
        instance_type=flags.instance_type,
        instance_count=flags.instance_count,
        dataset_address=flags.dataset,
    )
    if flags.dry_run:
        print(request)
        return 0
    print(ensure_budget(account, settings.budget_usd, flags.email))
    worst_usd = reserve_training_job(open_ledger(settings), request, region, settings.monthly_limit_usd)
    call("submitting the job", lambda session: session.client("sagemaker", region_name=region).create_training_job(**request))
    print(
        f"{request['TrainingJobName']}: at most ${worst_usd:.2f}; aws sagemaker describe-training-job --training-job-name, or the console"
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
