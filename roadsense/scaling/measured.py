"""The measurements behind every prediction: what `roadsense scaling --measure` writes, and the costs that follow from it.

One such file is part of the package (measured.json), so that `roadsense doctor` and `roadsense cloud plan` predict the same on every
machine; the newest dated one under benchmarks/results/ is the same file.
"""

from __future__ import annotations

import json
import statistics
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Annotated, Any, Final

from pydantic import Field

from roadsense.config import Settings
from roadsense.errors import ConfigError
from roadsense.scaling.model import Costs, fitted_line
from roadsense.scaling.slowest import StepCosts

Positive = Annotated[float, Field(gt=0)]
MEASURED_NAME: Final = "measured.json"


class Calibration(Settings):
    """What a short calibration of a machine gives; see `roadsense.bench.calibration`. Per second of processor time."""

    sampling_steps_per_cpu_s: float = Field(gt=0)
    learner_rows_per_cpu_s: float = Field(gt=0)


class LearningTime(Settings):
    """What the learner took for one iteration's batch, all epochs."""

    rows: int = Field(gt=0)
    cpu_s: float = Field(gt=0)


class Measured(Settings):
    """Measured on one machine, over the default dataset, in processor time; a second of it is a second on a core of one's own."""

    provenance: dict[str, Any]
    machine: str  # in words
    scenarios: int = Field(gt=0)
    minibatch_steps: int = Field(gt=0)
    num_epochs: int = Field(gt=0)
    environments_per_runner: int = Field(gt=0)
    fragment_steps: int = Field(gt=0)
    fragment_cpu_s: list[list[Positive]]  # by env runner, fragment after fragment
    scenario_us_per_step: list[list[Positive]]  # by scenario, episode after episode; one environment, no network
    episode_steps: float = Field(gt=0)
    fragment_bytes: float = Field(gt=0)
    receiving_s: float = Field(gt=0)  # of one fragment
    call_s_per_runner: float = Field(gt=0)
    weights_bytes: int = Field(gt=0)
    weights_s: float = Field(gt=0)
    learning: list[LearningTime]
    calibration: Calibration

    def costs(self) -> Costs:
        """The model's costs; raises ConfigError where the measurements give none."""
        fixed_s, per_step_s = fitted_line([(float(time.rows), time.cpu_s) for time in self.learning])
        return Costs(
            sampling_steps_per_s=self.fragment_steps / statistics.fmean(self.all_fragments_cpu_s),
            steps=self.step_costs(),
            fragment_bytes_per_step=self.fragment_bytes / self.fragment_steps,
            receiving_s_per_step=self.receiving_s / self.fragment_steps,
            call_s_per_runner=self.call_s_per_runner,
            weights_bytes=float(self.weights_bytes),
            weights_s=self.weights_s,
            learning_fixed_s=fixed_s,
            learning_s_per_step=per_step_s,
        )

    @property
    def all_fragments_cpu_s(self) -> list[float]:
        """Of all env runners."""
        return [cpu_s for fragments in self.fragment_cpu_s for cpu_s in fragments]

    def step_costs(self) -> StepCosts:
        """How a step's cost differs by scenario and episode, relative to the mean."""
        means = [statistics.fmean(episodes) for episodes in self.scenario_us_per_step]
        overall = statistics.fmean(means)
        within = [statistics.variance(episodes) for episodes in self.scenario_us_per_step if len(episodes) > 1]
        return StepCosts(
            by_scenario=tuple(mean / overall for mean in means),
            episode_deviation=(statistics.fmean(within) ** 0.5 if within else 0.0) / overall,
            episode_steps=self.episode_steps,
        )


@cache
def packaged() -> Measured:
    """The measurements that are part of the package."""
    text = resources.files("roadsense.scaling").joinpath(MEASURED_NAME).read_text(encoding="utf-8")
    return Measured.parse(json.loads(text), MEASURED_NAME)


def read_measured(path: Path) -> Measured:
    """Measurements that `roadsense scaling --measure` wrote; raises ConfigError for any other file."""
    measured = Measured.load_json(path)
    if not measured.all_fragments_cpu_s or not measured.scenario_us_per_step or not all(measured.scenario_us_per_step):
        raise ConfigError(f"{path}: holds no fragments or no scenarios; measure again: roadsense scaling --measure")
    return measured
