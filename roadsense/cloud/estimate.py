"""What a launch would take and cost: predicted from measured speeds, and at worst."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

from roadsense.cloud.cluster_file import DISK_GB
from roadsense.cloud.prices import HOURS_PER_MONTH, Price, PriceTable, look_up, price_table
from roadsense.cloud.settings import PRESETS, CloudSettings, Preset
from roadsense.errors import BudgetError

# Boot, image, first simulators; and generating, checking, evaluating around the training. Guesses on the high side, never measured on AWS.
_AROUND_TRAINING_HOURS: Final = 0.4
# A machine is billed from launch to the end of its shutdown; the guard waits 5 minutes; minutes are rounded up.
_MARGIN_HOURS: Final = 0.25
# A mirror writes two or three small files every five seconds at most; listing and the final copy are less.
_S3_PUTS_PER_HOUR: Final = 2500
_LEAST_USD: Final = 0.01


@dataclass(frozen=True, slots=True, kw_only=True)
class Estimate:
    """A launch in figures. Hours are wall-clock, money is USD; the worst case takes every machine at its on-demand price to the end."""

    preset: Preset
    env_runners: int
    machines: int  # of any kind, at most at the same time
    worker: Price
    head: Price | None
    predicted_hours: float
    max_hours: float
    usd_per_hour_expected: float
    usd_per_hour_worst: float

    @property
    def expected_usd(self) -> float:
        """With spot quotes and the predicted hours."""
        return self.predicted_hours * self.usd_per_hour_expected

    @property
    def worst_case_usd(self) -> float:
        """What is written into the ledger: rounded up to the cent."""
        return max(_LEAST_USD, math.ceil(100 * (self.max_hours + _MARGIN_HOURS) * self.usd_per_hour_worst) / 100)

    def usd_after(self, hours: float) -> float:
        """Upper bound of the cost of a launch that ended after so many hours."""
        return min(self.worst_case_usd, math.ceil(100 * (hours + _MARGIN_HOURS) * self.usd_per_hour_worst) / 100)


def estimate(
    settings: CloudSettings, region: str, zones: tuple[str, ...] = (), head_type: str | None = None, worker_cpus: int | None = None
) -> Estimate:
    """The figures of a launch.

    Raises:
        BudgetError: a price or the number of hours cannot be told.
    """
    preset = PRESETS[settings.preset]
    sagemaker = preset.head_type is None
    workers = 1 if settings.single or sagemaker else settings.max_workers or preset.max_workers
    runners = workers * (worker_cpus or preset.worker_vcpus)
    table = price_table()
    worker = look_up(preset.worker_type, region, zones)
    alone = settings.single or sagemaker
    head = None if alone else look_up(head_type or str(preset.head_type), region)
    around = _around_usd_per_hour(table)
    machines = workers + (0 if head is None else 1)
    fixed = machines * around + _S3_PUTS_PER_HOUR / 1000 * table.s3_put_usd_per_1000
    head_usd = head.on_demand_usd_per_hour if head is not None else 0.0
    predicted = _predicted_hours(settings, runners)
    max_hours = settings.max_hours if settings.max_hours is not None else 2 * predicted + 0.5
    if not math.isfinite(max_hours) or max_hours <= 0:
        raise BudgetError(f"the hours of this launch come out as {max_hours}, so no worst case can be told; give --max_hours")
    return Estimate(
        preset=preset,
        env_runners=runners,
        machines=machines,
        worker=worker,
        head=head,
        predicted_hours=predicted,
        max_hours=max_hours,
        usd_per_hour_expected=fixed + head_usd + workers * worker.expected_spot_usd_per_hour,
        usd_per_hour_worst=fixed + head_usd + workers * worker.on_demand_usd_per_hour,
    )


def _around_usd_per_hour(table: PriceTable) -> float:
    """Disk and public address of one machine."""
    return DISK_GB * table.gp3_usd_per_gb_month / HOURS_PER_MONTH + table.public_ipv4_usd_per_hour


def _predicted_hours(settings: CloudSettings, runners: int) -> float:
    """Sampling is parallel, learning is not."""
    per_step_s = 1 / (settings.steps_per_s_per_runner * runners) + settings.learning_s_per_1000_steps / 1000
    return settings.total_timesteps * per_step_s / 3600 + _AROUND_TRAINING_HOURS
