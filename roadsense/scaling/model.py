"""The model: what an iteration of PPO takes with N env runners, part by part, and what a million steps cost.

    iteration = sampling + waiting for the slowest + transfer + receiving + learning + synchronising

Sampling is parallel; everything after it is the head's alone. Nothing here measures: `Costs` are measured (roadsense.scaling.measured),
`Machines` say what they are applied to. Pure functions; seconds, bytes, steps of the environment, USD.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

from roadsense.errors import ConfigError
from roadsense.scaling.slowest import StepCosts, slowest_over_mean

SECONDS_PER_HOUR: Final = 3600.0
MILLION: Final = 1_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Costs:
    """What was measured, on one core of one machine.

    Attributes:
        sampling_steps_per_s: of one env runner with its simulators on one core.
        steps: how a step's cost differs by scenario and episode.
        fragment_bytes_per_step: of a fragment on its way to the head.
        receiving_s_per_step: unpacking on the head.
        call_s_per_runner: asking one env runner for something and handling its answer, on the head.
        weights_bytes: of the policy as it is sent to env runners.
        weights_s: taking the weights out of the learner and storing them, once per iteration.
        learning_fixed_s: of an iteration's learning, whatever the batch.
        learning_s_per_step: of an iteration's learning, all its epochs.
    """

    sampling_steps_per_s: float
    steps: StepCosts
    fragment_bytes_per_step: float
    receiving_s_per_step: float
    call_s_per_runner: float
    weights_bytes: float
    weights_s: float
    learning_fixed_s: float
    learning_s_per_step: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Machines:
    """Where a training runs.

    Attributes:
        env_runners: N, one per core.
        steps_per_runner: of an iteration; the batch is N times as many.
        runners_per_node: env runners that share a node, and so one copy of the weights.
        head_bytes_per_s: bandwidth of the head's network; None where everything is one machine.
        sampling_speed: of a core against the one that was measured; above 1 is faster.
        learning_speed: of the learner against the one that was measured.
    """

    env_runners: int
    steps_per_runner: float
    runners_per_node: int = 1
    head_bytes_per_s: float | None = None
    sampling_speed: float = 1.0
    learning_speed: float = 1.0

    def __post_init__(self) -> None:
        """Refuse numbers that make no training."""
        numbers = (self.env_runners, self.steps_per_runner, self.runners_per_node, self.sampling_speed, self.learning_speed)
        if not all(math.isfinite(number) and number > 0 for number in numbers) or (self.head_bytes_per_s or 1.0) <= 0:
            raise ConfigError(f"no training has {self}; every number must be above 0")

    @property
    def nodes(self) -> int:
        """Worker nodes, the last one perhaps not full."""
        return math.ceil(self.env_runners / self.runners_per_node)


@dataclass(frozen=True, slots=True, kw_only=True)
class Iteration:
    """The parts of a predicted iteration, in seconds, and its batch in steps."""

    batch_steps: float
    sampling_s: float
    waiting_s: float
    transfer_s: float
    receiving_s: float
    learning_s: float
    synchronising_s: float

    @property
    def total_s(self) -> float:
        """One after the other, as PPO does it."""
        return self.sampling_s + self.head_s + self.waiting_s

    @property
    def head_s(self) -> float:
        """What the env runners wait for."""
        return self.transfer_s + self.receiving_s + self.learning_s + self.synchronising_s

    @property
    def steps_per_s(self) -> float:
        """Of the training."""
        return self.batch_steps / self.total_s

    @property
    def efficiency(self) -> float:
        """Share of the time in which the env runners drive."""
        return self.sampling_s / self.total_s

    @property
    def overlapped_steps_per_s(self) -> float:
        """An upper bound: nobody waits for the slowest, and the head works while the env runners drive (as APPO does, off-policy)."""
        return self.batch_steps / max(self.sampling_s, self.head_s)


def iteration(costs: Costs, machines: Machines) -> Iteration:
    """Predict one iteration; raises ConfigError for costs that make no sense."""
    batch_steps = machines.env_runners * machines.steps_per_runner
    sampling_s = machines.steps_per_runner / (costs.sampling_steps_per_s * machines.sampling_speed)
    slowest = slowest_over_mean(costs.steps, machines.env_runners, machines.steps_per_runner)
    calls_s = costs.call_s_per_runner * machines.env_runners / machines.learning_speed
    network = machines.head_bytes_per_s
    return Iteration(
        batch_steps=batch_steps,
        sampling_s=sampling_s,
        waiting_s=(slowest - 1.0) * sampling_s,
        transfer_s=0.0 if network is None else batch_steps * costs.fragment_bytes_per_step / network,
        receiving_s=batch_steps * costs.receiving_s_per_step / machines.learning_speed + calls_s,
        learning_s=(costs.learning_fixed_s + batch_steps * costs.learning_s_per_step) / machines.learning_speed,
        synchronising_s=costs.weights_s / machines.learning_speed
        + calls_s
        + (0.0 if network is None else machines.nodes * costs.weights_bytes / network),
    )


def hours_for(steps: float, steps_per_s: float) -> float:
    """Hours that so many steps take."""
    return steps / steps_per_s / SECONDS_PER_HOUR


def usd_per_million(usd_per_hour: float, steps_per_s: float) -> float:
    """USD for a million steps on machines that cost `usd_per_hour` together."""
    return usd_per_hour * hours_for(MILLION, steps_per_s)


def fitted_line(points: list[tuple[float, float]]) -> tuple[float, float]:
    """Intercept (not below 0) and slope of the least-squares line through (x, y); raises ConfigError for fewer than two x."""
    if len({x for x, _ in points}) < 2:
        raise ConfigError(
            f"a line needs measurements at two batch sizes, found {len(points)} points; measure again: roadsense scaling --measure"
        )
    mean_x, mean_y = (sum(values) / len(points) for values in zip(*points, strict=True))
    slope = sum((x - mean_x) * (y - mean_y) for x, y in points) / sum((x - mean_x) ** 2 for x, _ in points)
    intercept = mean_y - slope * mean_x
    if intercept >= 0:
        return intercept, slope
    return 0.0, sum(x * y for x, y in points) / sum(x * x for x, _ in points)
