"""Every knob of a cloud launch."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

from pydantic import Field

from roadsense.config import Settings

ROLE: Final = "RoadSense-Trainer-Role"
SECURITY_GROUP: Final = "roadsense-cluster"
BUCKET: Final = "roadsense-training-results"
REPOSITORY: Final = "roadsense"
PROJECT_TAG: Final = ("project", "roadsense")

PresetName = Literal["c6i.xlarge", "c6i.8xlarge", "ml.c5.9xlarge"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Preset:
    """A choice of machines. `env_runners` counts one per vCPU of the workers; a SageMaker job has one machine and no head."""

    worker_type: str
    worker_vcpus: int
    max_workers: int
    head_type: str | None

    @property
    def env_runners(self) -> int:
        """Env runners of the full cluster."""
        return self.worker_vcpus * max(1, self.max_workers)


PRESETS: Final[dict[str, Preset]] = {
    "c6i.xlarge": Preset(worker_type="c6i.xlarge", worker_vcpus=4, max_workers=2, head_type="m6i.large"),
    "c6i.8xlarge": Preset(worker_type="c6i.8xlarge", worker_vcpus=32, max_workers=1, head_type="m6i.large"),
    "ml.c5.9xlarge": Preset(worker_type="ml.c5.9xlarge", worker_vcpus=36, max_workers=0, head_type=None),
}


class CloudSettings(Settings):
    """A launch, and the limits on it. Money is in USD, a month is a calendar month in UTC."""

    preset: PresetName = Field("c6i.xlarge", description="machines")
    single: bool = Field(False, description="the whole job on one spot machine, without a cluster")
    total_timesteps: int = Field(500_000, ge=1, description="steps to train")
    max_workers: int | None = Field(None, ge=1, le=64, description="most worker machines at a time (default: the preset's)")
    max_hours: float | None = Field(
        None, gt=0, le=72, description="machines end after this many hours, done or not (default: twice the prediction and half an hour)"
    )
    monthly_limit_usd: float = Field(20.0, gt=0, description="nothing is launched whose worst case exceeds what is left of it this month")
    budget_usd: float = Field(15.0, gt=0, description="AWS Budget that sends e-mails at 80 and 100 percent; it warns and stops nothing")
    email: str | None = Field(None, pattern=r"^[^@\s]+@[^@\s]+$", description="where the AWS Budget's warnings go")
    steps_per_s_per_runner: float | None = Field(
        None, gt=0, description="environment steps per second of one env runner (default: as measured, docs/scaling.md)"
    )
    learning_s_per_1000_steps: float | None = Field(
        None, ge=0, description="seconds that the learner takes for 1,000 steps (default: as measured, docs/scaling.md)"
    )
    bucket: str = Field(BUCKET, pattern=r"^[a-z0-9.-]{3,63}$", description="bucket of results and of the ledger")
    cluster_yaml: Path = Field(Path("cluster.yaml"), description="cluster file")
    ledger_dir: Path | None = Field(None, description="the ledger on this machine (default: ~/.local/state/roadsense/ledger)")
