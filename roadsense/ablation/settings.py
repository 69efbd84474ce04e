"""Every knob of an ablation and of a radio curve."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any, Final

from pydantic import Field, field_validator

from roadsense.ablation.variants import VARIANTS
from roadsense.config import Settings, SumoSettings
from roadsense.training.recipe import RECIPE
from roadsense.training.settings import TrainSettings

# They are set by the ablation itself, run by run.
_OWN: Final = ("dataset_dir", "sumo_cfg", "seed", "total_timesteps", "output_dir", "run_id", "resume", "skip_eval", "gui")


class AblateSettings(Settings):
    """Trainings that differ in one thing, each with several seeds, judged on identical episodes."""

    dataset_dir: Path = Field(description="generated dataset to train and to evaluate on")
    output_dir: Path = Field(Path("runs/ablation"), description="where everything goes; what is finished there is not done again")
    seeds: str = Field("1,2,3", description="training seeds, separated by commas; the numbers speak of seeds only with two or more")
    variants: str = Field(",".join(VARIANTS), description="what is trained, separated by commas")
    total_timesteps: int = Field(1_000_000, ge=1, description="steps of each training")
    rounds: int = Field(7, ge=1, description="times the evaluation list is driven by every policy")
    training: TrainSettings = RECIPE

    @field_validator("seeds")
    @classmethod
    def _check_seeds(cls, text: str) -> str:
        _numbers(text, int)
        return text

    @field_validator("variants")
    @classmethod
    def _check_variants(cls, text: str) -> str:
        names = text.split(",")
        unknown = [name for name in names if name not in VARIANTS]
        if unknown:
            raise ValueError(f"there is no variant {unknown[0]!r}; known are {', '.join(VARIANTS)}")
        if len(set(names)) < len(names):
            raise ValueError("a variant is named twice; name each once")
        return text

    @field_validator("training")
    @classmethod
    def _check_training(cls, training: TrainSettings) -> TrainSettings:
        default = TrainSettings()
        for name in _OWN:
            if getattr(training, name) != getattr(default, name):
                raise ValueError(f"{name} is the ablation's own; give it as a flag of the ablation or leave it out")
        return training

    @property
    def seed_list(self) -> list[int]:
        """The seeds in the order given."""
        return _numbers(self.seeds, int)

    @property
    def variant_list(self) -> list[str]:
        """The variants in the order of the table."""
        return [name for name in VARIANTS if name in self.variants.split(",")]


class RadioCurveSettings(Settings):
    """The same episodes over worse and worse radios."""

    runs: str = Field(description="run directories (or model_final.zip files) of one recipe, separated by commas; pooled into one curve")
    dataset_dir: Path | None = Field(None, description="dataset with the evaluation list (default: the first run's)")
    emulator_params: Path | None = Field(None, description="the nominal radio (default: the packaged convoy profile)")
    output_dir: Path = Field(Path("runs/radio_curve"), description="where everything goes; what is finished there is not done again")
    rounds: int = Field(7, ge=1, description="times the evaluation list is driven at every point")
    loss_percent: str = Field("0,10,20,40,60,80,90,100", description="packet loss on every link, at the nominal latency")
    latency_ms: str = Field("0,50,100,200,300,400,600,1000", description="mean latency of every link, at the nominal loss")
    hazards_only: bool = Field(False, description="leave out the episodes without a hazard: as many crashes in half the time")
    num_workers: int | None = Field(None, ge=1, description="parallel processes (default: one per core); the numbers do not depend on it")
    sumo: SumoSettings = SumoSettings()

    @field_validator("loss_percent", "latency_ms")
    @classmethod
    def _check_points(cls, text: str) -> str:
        _numbers(text, float)
        return text

    @field_validator("loss_percent")
    @classmethod
    def _check_shares(cls, text: str) -> str:
        for percent in _numbers(text, float):
            if not 0 <= percent <= 100:
                raise ValueError(f"a loss of {percent:g} % does not exist; give 0 to 100")
        return text

    @property
    def run_list(self) -> list[Path]:
        """The run directories."""
        return [Path(name) for name in self.runs.split(",") if name]

    @property
    def losses(self) -> list[float]:
        """Shares of lost packets, rising."""
        return [percent / 100 for percent in sorted(_numbers(self.loss_percent, float))]

    @property
    def latencies_ms(self) -> list[float]:
        """Latencies in milliseconds, rising."""
        return sorted(_numbers(self.latency_ms, float))


def _numbers(text: str, kind: type[Any]) -> list[Any]:
    """Numbers separated by commas, none of them negative, infinite or named twice."""
    try:
        numbers = [kind(word) for word in text.split(",")]
    except ValueError:
        raise ValueError("it is no list of numbers; separate them by commas, for example 1,2,3") from None
    if any(number < 0 or not math.isfinite(number) for number in numbers) or len(set(numbers)) < len(numbers):
        raise ValueError("its numbers must be finite, not negative and all different")
    return numbers
