"""What a machine is told about the launch it belongs to: one small JSON file, without any secret."""

from __future__ import annotations

import os
import secrets
from datetime import datetime
from pathlib import Path
from typing import Final, Literal

from roadsense.config import Settings
from roadsense.errors import RunDirectoryError

LAUNCH_FILE: Final = "roadsense_launch.json"
LAUNCH_FOLDER: Final = "roadsense_launch"  # into a container Ray mounts folders better than files
# A job's exit code: the results are not in the bucket, so machines stay until their deadline. EX_TEMPFAIL of sysexits.h.
UPLOAD_FAILED: Final = 75
UPLOAD_FAILED_LINE: Final = "job: UPLOAD FAILED"


class Launch(Settings):
    """A launch as its machines know it. Money is USD, times are UTC."""

    launch_id: str
    mode: Literal["cluster", "single"]
    region: str
    address: str  # of the run directory in the bucket
    started_at: datetime
    deadline: datetime
    usd_per_hour: float
    usd_per_hour_at_most: float
    env_runners: int


class JobResult(Settings):
    """What a job leaves beside its run directory when it has ended, however it ended."""

    launch_id: str
    exit_code: int
    ended_at: datetime
    cost_usd: float
    cost_usd_at_most: float
    message: str = ""


def new_launch_id(now: datetime) -> str:
    """A name that sorts by time and that nobody else draws."""
    return f"{now:%Y%m%d-%H%M%S}-{secrets.token_hex(3)}"


def read_launch(path: Path) -> Launch:
    """The launch that a machine belongs to; raises RunDirectoryError where the file is missing or refused."""
    return Launch.load_json(path.expanduser(), RunDirectoryError)


def result_key(launch_id: str) -> str:
    """Where a job's result lies below the run's address."""
    return f"jobs/{launch_id}.json"


def started_key(launch_id: str) -> str:
    """Says that a job has begun: from then on it ends its machines itself."""
    return f"jobs/{launch_id}.started"


def state_directory() -> Path:
    """Where this machine keeps the ledger and the files of its launches."""
    return Path(os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state") / "roadsense"
