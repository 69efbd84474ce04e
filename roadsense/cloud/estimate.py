"""What a launch would take and cost: predicted from measured speeds, and at worst."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Final

from roadsense.cloud.cluster_file import DISK_GB
from roadsense.cloud.prices import HOURS_PER_MONTH, Price, PriceTable, look_up, price_table
from roadsense.cloud.settings import PRESETS, CloudSettings, Preset
from roadsense.errors import BudgetError
from roadsense.scaling.cluster import SPOT_SHARE, cluster, one_machine
from roadsense.scaling.measured import packaged
from roadsense.scaling.model import Costs, Iteration, hours_for, iteration

# Boot, image, first simulators; and generating, checking, evaluating around the training. Guesses on the high side, never measured on AWS.
AROUND_TRAINING_HOURS: Final = 0.4
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
    around = around_usd_per_hour(table)
    machines = workers + (0 if head is None else 1)
    fixed = machines * around + _S3_PUTS_PER_HOUR / 1000 * table.s3_put_usd_per_1000
    head_usd = head.on_demand_usd_per_hour if head is not None else 0.0
    predicted = _predicted_hours(settings, runners, None if head is None else worker_cpus or preset.worker_vcpus)
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


def around_usd_per_hour(table: PriceTable) -> float:
    """Disk and public address of one machine."""
    return DISK_GB * table.gp3_usd_per_gb_month / HOURS_PER_MONTH + table.public_ipv4_usd_per_hour


def predicted_iteration(runners: int, worker_vcpus: int | None, costs: Costs | None = None) -> Iteration:
    """What `roadsense doctor` and docs/scaling.md say as well; `worker_vcpus` is None where all is one machine."""
    machines = one_machine(runners) if worker_vcpus is None else cluster(runners, worker_vcpus)
    return iteration(packaged().costs() if costs is None else costs, machines)


def listed_usd_per_hour(preset: Preset) -> tuple[float, float]:
    """USD per hour of a preset's full cluster, with everything around it: workers at the usual spot share, and all on demand.

    From the committed table alone, no one is asked.

    Raises:
        BudgetError: the table has no such machine.
    """
    table = price_table()
    workers = max(1, preset.max_workers)
    types = [preset.worker_type, *([preset.head_type] if preset.head_type else [])]
    missing = [name for name in types if name not in table.on_demand_usd_per_hour]
    if missing:
        raise BudgetError(f"prices.json does not know {', '.join(missing)}; add the price, or ask: roadsense cloud plan")
    fixed = (workers + (preset.head_type is not None)) * around_usd_per_hour(table)
    head = table.on_demand_usd_per_hour[preset.head_type] if preset.head_type else 0.0
    worker = workers * table.on_demand_usd_per_hour[preset.worker_type]
    return fixed + head + SPOT_SHARE * worker, fixed + head + worker


def _predicted_hours(settings: CloudSettings, runners: int, worker_vcpus: int | None) -> float:
    costs = packaged().costs()
    if settings.steps_per_s_per_runner is not None:
        costs = replace(costs, sampling_steps_per_s=settings.steps_per_s_per_runner)
    if settings.learning_s_per_1000_steps is not None:
        costs = replace(costs, learning_s_per_step=settings.learning_s_per_1000_steps / 1000, learning_fixed_s=0.0)
    return hours_for(settings.total_timesteps, predicted_iteration(runners, worker_vcpus, costs).steps_per_s) + AROUND_TRAINING_HOURS
