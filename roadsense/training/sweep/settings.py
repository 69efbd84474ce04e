"""Every knob of a sweep: those of its base configuration, and how trials are drawn, stopped and judged."""

from __future__ import annotations

import math
from typing import Any, Literal, Self

from pydantic import Field, model_validator

from roadsense.errors import ConfigError
from roadsense.evaluation.reference import REFERENCE_POLICIES
from roadsense.training.settings import TrainSettings
from roadsense.training.sweep.space import Space

# Population based training clones checkpoints of other trials, which must still be there then.
_KEEP_ALL = 1_000_000


class SweepSettings(TrainSettings):
    """A sweep. The settings of a training are its base configuration; `total_timesteps` are the steps of a trial that goes all the way."""

    algorithm: Literal["asha", "random", "pbt"] = Field(
        "asha", description="asha: stop the worse trials early; random: all go all the way; pbt: the worse ones go on from the better ones"
    )
    trials: int = Field(16, ge=2, le=10_000, description="configurations that are drawn")
    base_seeds: int = Field(3, ge=0, le=1000, description="seeds with which the base configuration is trained beside them, never stopped")
    first_rung: int | None = Field(
        None, ge=1, description="steps after which trials are measured first (default: total_timesteps / reduction^2; pbt: an eighth)"
    )
    reduction: float = Field(3.0, gt=1, description="asha: rungs are this factor apart, and of the trials at a rung the best 1/this go on")
    rung_episodes: int = Field(48, ge=1, le=100_000, description="training scenarios driven by each trial at each rung, the same for all")
    false_braking_weight: float = Field(1.0, gt=0, description="in the objective: critical collision rate + this * false braking rate")
    trials_at_once: int | None = Field(None, ge=1, description="at most (default: as many as CPUs and memory hold)")
    stop_after_steps: int | None = Field(None, ge=1, description="end after so many steps, summed over all trials")
    stop_after_minutes: float | None = Field(None, gt=0, description="end after so many minutes, those before a resume included")
    stop_after_usd: float | None = Field(
        None, gt=0, description="end when the launch has cost so much; where a launcher says what it costs"
    )
    best: int = Field(3, ge=1, description="trials that are driven through the evaluation list at the end, beside the base configuration")
    rounds: int = Field(3, ge=1, description="times the evaluation list is driven by each of them")
    compare: str | None = Field("ttc_radio", description="further policies in the table, separated by commas; never_brake always is")
    space: Space = Space()

    @model_validator(mode="after")
    def _check_sweep(self) -> Self:
        for name in ("local", "gui", "skip_eval", "exact"):
            if getattr(self, name):
                raise ValueError(f"a sweep has no --{name}; leave it out, or try one configuration with roadsense train --{name}")
        if self.first_rung is not None and self.first_rung > self.total_timesteps:
            raise ValueError(f"first_rung {self.first_rung} lies beyond total_timesteps {self.total_timesteps}; lower it")
        for name in self.compared:
            if name not in REFERENCE_POLICIES:
                raise ValueError(f"compare names {name!r}; known are {', '.join(REFERENCE_POLICIES)}")
        return self

    @property
    def compared(self) -> tuple[str, ...]:
        """Reference policies of the table."""
        return tuple(filter(None, (self.compare or "").split(",")))

    @property
    def env_runners(self) -> int:
        """Of each trial; 0 when a trial drives in its own process."""
        return 1 if self.num_env_runners is None else self.num_env_runners

    @property
    def base(self) -> TrainSettings:
        """What every trial starts from."""
        values: dict[str, Any] = {name: getattr(self, name) for name in TrainSettings.model_fields}
        ours: dict[str, Any] = {
            "output_dir": None,
            "run_id": None,
            "mirror": None,
            "resume": None,
            "resume_anyway": False,
            "dashboard": False,
        }
        ours |= {"num_env_runners": self.env_runners}
        if self.algorithm == "pbt":
            ours["keep_checkpoints"] = _KEEP_ALL
        return TrainSettings.model_validate(values | ours)

    @property
    def rungs(self) -> tuple[int, ...]:
        """Steps at which trials are measured, the last one at the end."""
        if self.algorithm == "pbt":
            every = self.first_rung or max(1, self.total_timesteps // 8)
            return (*range(every, self.total_timesteps, every), self.total_timesteps)
        at = float(self.first_rung or max(1, round(self.total_timesteps / self.reduction**2)))
        rungs = []
        while at < self.total_timesteps:
            rungs.append(math.ceil(at))
            at *= self.reduction
        return (*dict.fromkeys(rungs), self.total_timesteps)

    def check(self) -> None:
        """Refuse a space that does not go with the base configuration.

        Raises:
            ConfigError: a value that could be drawn is refused, or population based training has nothing to change.
        """
        self.space.check(self.base)
        if self.algorithm == "pbt" and all(key.startswith("model.") for key in self.space.domains):
            raise ConfigError("pbt changes no network while it trains, and nothing else is varied; vary another parameter, or use asha")
