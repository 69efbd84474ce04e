"""The model against what a benchmark measured on the same machine: how far its predictions can be believed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from roadsense.errors import ConfigError
from roadsense.scaling.cluster import one_machine
from roadsense.scaling.model import Costs, iteration
from roadsense.scaling.slowest import StepCosts

# A prediction that is further off misleads whoever plans with it. Measured on a quiet machine: -20 and +5 % (docs/scaling.md).
LARGEST_ERROR: Final = 0.30


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """A training of the benchmark: measured, and predicted from the speeds of its parts. Steps per second."""

    env_runners: int
    measured_steps_per_s: float
    predicted_steps_per_s: float

    @property
    def error(self) -> float:
        """How much the prediction is above what was measured, as a fraction."""
        return self.predicted_steps_per_s / self.measured_steps_per_s - 1


def comparisons(result: Mapping[str, Any], transport: Costs) -> Iterator[Comparison]:
    """Predict every training of a result of `roadsense bench`.

    The parts are the result's own: one pinned env runner, and the learner as it ran within the training with one env runner. All cars
    stand in one scenario whose episodes are alike, so nobody waits for the slowest.

    Args:
        result: what `roadsense bench --json` wrote.
        transport: the costs of carrying fragments and weights, from the package's measurements.

    Raises:
        ConfigError: the result lacks a figure.
    """
    from roadsense.bench.benchmark import BATCH  # brings Ray and torch with it, which tables alone do not need

    try:
        one = result["training"]["1"]
        learning_s = one["shares"]["learning"] * BATCH / one["steps_per_s"]
        costs = Costs(
            sampling_steps_per_s=result["sampling_steps_per_s"]["one_runner"],
            steps=StepCosts(by_scenario=(1.0,), episode_deviation=0.0, episode_steps=1.0),
            fragment_bytes_per_step=transport.fragment_bytes_per_step,
            receiving_s_per_step=transport.receiving_s_per_step,
            call_s_per_runner=transport.call_s_per_runner,
            weights_bytes=transport.weights_bytes,
            weights_s=transport.weights_s,
            learning_fixed_s=0.0,
            learning_s_per_step=learning_s / BATCH,
        )
        measured = {int(count): float(figures["steps_per_s"]) for count, figures in result["training"].items()}
    except (KeyError, TypeError, ValueError) as problem:
        raise ConfigError(f"the result of the benchmark lacks {problem}; measure again: roadsense bench --json F") from None
    for count, steps_per_s in sorted(measured.items()):
        predicted = iteration(costs, one_machine(count, steps_per_runner=BATCH / count))
        yield Comparison(env_runners=count, measured_steps_per_s=steps_per_s, predicted_steps_per_s=predicted.steps_per_s)
