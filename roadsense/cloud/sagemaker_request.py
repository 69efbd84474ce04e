"""A managed-spot training job as SageMaker is asked for it, under the same monthly limit as a cluster."""

from __future__ import annotations

import math
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from roadsense.cloud.ledger import Ledger, LedgerEntry
from roadsense.cloud.prices import look_up
from roadsense.cloud.sagemaker import DATASET_CHANNEL, metric_definitions
from roadsense.cloud.settings import PROJECT_TAG
from roadsense.errors import UsageError

_DISK_GB: Final = 50


def training_job_request(
    *,
    name: str,
    image: str,
    role_arn: str,
    bucket: str,
    hyperparameters: Mapping[str, str],
    max_run_s: int,
    max_wait_s: int,
    instance_type: str = "ml.c5.9xlarge",
    instance_count: int = 1,
    dataset_address: str | None = None,
) -> dict[str, Any]:
    """The arguments of CreateTrainingJob. Seconds are wall-clock; `max_wait_s` includes waiting for spot capacity.

    Raises:
        UsageError: times that SageMaker would refuse, or a dataset that is not in S3.
    """
    if not 0 < max_run_s <= max_wait_s:
        raise UsageError(f"max_run {max_run_s} s and max_wait {max_wait_s} s: the wait includes the run, so give at least as much")
    if dataset_address is not None and not dataset_address.startswith("s3://"):
        raise UsageError(f"--dataset {dataset_address}: SageMaker reads channels from s3:// only")
    channels = [] if dataset_address is None else [_channel(dataset_address)]
    return {
        "TrainingJobName": name,
        "AlgorithmSpecification": {
            "TrainingImage": image,
            "TrainingInputMode": "File",
            "MetricDefinitions": metric_definitions(),
        },
        "RoleArn": role_arn,
        "HyperParameters": dict(hyperparameters),
        "OutputDataConfig": {"S3OutputPath": f"s3://{bucket}/sagemaker"},
        "CheckpointConfig": {"S3Uri": f"s3://{bucket}/sagemaker/{name}/checkpoints", "LocalPath": "/opt/ml/checkpoints"},
        "ResourceConfig": {"InstanceType": instance_type, "InstanceCount": instance_count, "VolumeSizeInGB": _DISK_GB},
        "StoppingCondition": {"MaxRuntimeInSeconds": max_run_s, "MaxWaitTimeInSeconds": max_wait_s},
        "EnableManagedSpotTraining": True,
        "EnableNetworkIsolation": False,  # several hosts talk to each other; nothing else is reached
        "Tags": [{"Key": PROJECT_TAG[0], "Value": PROJECT_TAG[1]}],
        **({"InputDataConfig": channels} if channels else {}),
    }


def reserve_training_job(ledger: Ledger, request: Mapping[str, Any], region: str, limit_usd: float, now: datetime | None = None) -> float:
    """Write a job's worst case down before it is submitted: every host at its list price for the longest run; returns it in USD.

    A job's entry stays at its worst case: SageMaker bills seconds, and says what they cost only hours later.

    Raises:
        BudgetError: it is more than the month has left, or a price is unknown.
    """
    now = now or datetime.now(UTC)
    resources, stop = request["ResourceConfig"], request["StoppingCondition"]
    usd_per_hour = resources["InstanceCount"] * look_up(resources["InstanceType"], region).on_demand_usd_per_hour
    worst_usd: float = math.ceil(100 * usd_per_hour * (stop["MaxRuntimeInSeconds"] / 3600 + 0.1)) / 100
    entry = LedgerEntry(
        launch_id=request["TrainingJobName"],
        kind=f"SageMaker {resources['InstanceType']}",
        started_at=now,
        deadline=now + timedelta(seconds=stop["MaxWaitTimeInSeconds"]),
        worst_case_usd=worst_usd,
    )
    ledger.reserve(entry, limit_usd)
    return worst_usd


def _channel(address: str) -> dict[str, Any]:
    source = {"S3DataType": "S3Prefix", "S3Uri": address, "S3DataDistributionType": "FullyReplicated"}
    return {"ChannelName": DATASET_CHANNEL, "DataSource": {"S3DataSource": source}, "InputMode": "File"}
