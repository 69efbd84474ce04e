"""What a sweep varies: training settings by name, each with the values that it may take.

A key is the name of a training setting, dotted inside nested ones: `learning_rate`, `model.pool`, `task.reward.braking`. A range is written
`uniform(0.1,0.5)` or `log(1e-4,1e-2)` (uniform in the logarithm), a choice `2048|4096|8192`.
"""

from __future__ import annotations

import difflib
import json
import math
import re
from collections.abc import Mapping, Sequence
from typing import Final, Literal, Self

import numpy as np
from pydantic import JsonValue, model_validator

from roadsense.config import Settings
from roadsense.env.settings import RewardWeights
from roadsense.errors import ConfigError
from roadsense.model.settings import ModelSettings
from roadsense.training.settings import TrainSettings

# What decides how a policy is learned. Not among them: what is judged (the task but for its reward), where it runs, what is written.
_LEARNING: Final = (
    "learning_rate",
    "learning_rate_final",
    "n_steps",
    "ent_coef",
    "ent_coef_final",
    "gamma",
    "gae_lambda",
    "clip_param",
    "vf_loss_coeff",
    "grad_clip",
    "num_epochs",
    "minibatch_size",
    "training_horizon_s",
    "training_collision_weight",
    "training_jerk_weight",
    "training_hazard_probability",
    "training_distraction_probability",
    "training_radio_factor",
    "training_action_repeat",
)
# Weights of a network of another shape do not fit: population based training hands these on as they are.
FIXED_IN_A_RUN: Final = ("model.",)
_RANGE: Final = re.compile(r"(uniform|log)\(([^,()]+),([^,()]+)\)")
# Of population based training, and Tune's own: three of four values are moved by a fifth, one is drawn anew.
_MOVES: Final = (0.8, 1.25)
_DRAWN_ANEW: Final = 0.25


class Range(Settings):
    """Real numbers between two values, drawn uniformly or uniformly in the logarithm."""

    low: float
    high: float
    scale: Literal["uniform", "log"] = "uniform"

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.high <= self.low:
            raise ValueError(f"high {self.high:g} does not lie above low {self.low:g}")
        if self.scale == "log" and self.low <= 0:
            raise ValueError(f"low {self.low:g} has no logarithm; give a positive one, or uniform")
        return self

    def draw(self, rng: np.random.Generator) -> JsonValue:
        """A value, with four significant digits: what is shown is what is used."""
        if self.scale == "log":
            return _rounded(math.exp(rng.uniform(math.log(self.low), math.log(self.high))))
        return _rounded(rng.uniform(self.low, self.high))

    def moved(self, value: JsonValue, rng: np.random.Generator) -> JsonValue:
        """A value near this one, within the range."""
        if not isinstance(value, int | float) or rng.random() < _DRAWN_ANEW:
            return self.draw(rng)
        return _rounded(min(self.high, max(self.low, value * float(rng.choice(_MOVES)))))

    def corners(self) -> Sequence[JsonValue]:
        """Values that stand for all when the space is checked."""
        return (self.low, self.high)

    def __str__(self) -> str:
        """As it is written."""
        return f"{self.scale}({self.low:g},{self.high:g})"


class Choice(Settings):
    """One of several values, each as likely; in order, where there is one."""

    values: tuple[JsonValue, ...]

    @model_validator(mode="after")
    def _check(self) -> Self:
        if len(self.values) < 2:
            raise ValueError("a choice has two values at least")
        return self

    def draw(self, rng: np.random.Generator) -> JsonValue:
        """One of them."""
        return self.values[int(rng.integers(len(self.values)))]

    def moved(self, value: JsonValue, rng: np.random.Generator) -> JsonValue:
        """The next one on either side."""
        if value not in self.values or rng.random() < _DRAWN_ANEW:
            return self.draw(rng)
        place = self.values.index(value) + int(rng.choice((-1, 1)))
        return self.values[min(len(self.values) - 1, max(0, place))]

    def corners(self) -> Sequence[JsonValue]:
        """All of them."""
        return self.values

    def __str__(self) -> str:
        """As it is written."""
        return "|".join(value if isinstance(value, str) else json.dumps(value) for value in self.values)


Domain = Range | Choice
Drawn = dict[str, JsonValue]  # dotted key -> value

DEFAULT_SPACE: Final[dict[str, Domain]] = {
    "learning_rate": Range(low=2e-4, high=3e-3, scale="log"),
    "ent_coef": Range(low=1e-3, high=3e-2, scale="log"),
    "n_steps": Choice(values=(2048, 4096, 8192)),
    "minibatch_size": Choice(values=(256, 512, 1024)),
    "model.pool": Choice(values=("max", "mean", "max+mean")),
    "training_radio_factor": Range(low=1.0, high=3.0),
    "training_collision_weight": Range(low=3.0, high=12.0, scale="log"),
    "task.reward.braking": Range(low=0.1, high=0.5, scale="log"),
}


class Space(Settings):
    """The parameters of a sweep by key."""

    domains: dict[str, Domain] = DEFAULT_SPACE

    @model_validator(mode="after")
    def _check(self) -> Self:
        if not self.domains:
            raise ValueError("nothing is varied")
        for key in self.domains:
            if key not in known_keys():
                raise ValueError(_unknown(key))
        return self

    def draw(self, rng: np.random.Generator) -> Drawn:
        """A configuration; the order of the keys does not matter, the number of them does."""
        return {key: self.domains[key].draw(rng) for key in sorted(self.domains)}

    def moved(self, drawn: Mapping[str, JsonValue], rng: np.random.Generator) -> Drawn:
        """A configuration near this one, with the same network."""
        return {
            key: value if key.startswith(FIXED_IN_A_RUN) else self.domains[key].moved(value, rng) for key, value in sorted(drawn.items())
        }

    def check(self, base: TrainSettings) -> None:
        """Try every end of every range on the base configuration.

        Raises:
            ConfigError: a value is refused; the line names key and value.
        """
        for key, domain in self.domains.items():
            for value in domain.corners():
                with_drawn(base, {key: value})


def known_keys() -> tuple[str, ...]:
    """Every parameter that may be varied."""
    nested = [f"model.{name}" for name in ModelSettings.model_fields]
    weights = [f"task.reward.{name}" for name in RewardWeights.model_fields if name != "extra"]
    return (*_LEARNING, *nested, *weights)


def parse_space(varied: Sequence[str]) -> Space:
    """The space of `KEY=DOMAIN` words; the default space for none.

    Raises:
        ConfigError: a word of another form, an unknown key, or a domain that is none.
    """
    if not varied:
        return Space()
    domains: dict[str, Domain] = {}
    for word in varied:
        key, equals, text = word.partition("=")
        if not equals or not key or not text:
            raise ConfigError(f"--vary {word!r} is no KEY=DOMAIN; write for example --vary 'learning_rate=log(1e-4,1e-2)'")
        if key not in known_keys():
            raise ConfigError(f"--vary {word!r}: {_unknown(key)}")
        if key in domains:
            raise ConfigError(f"--vary names {key} twice; name each parameter once")
        domains[key] = _domain(word, text)
    return Space(domains=domains)


def with_drawn(base: TrainSettings, drawn: Mapping[str, JsonValue]) -> TrainSettings:
    """The base configuration with these values in it.

    Raises:
        ConfigError: a value is refused.
    """
    values = base.model_dump()
    for key, value in drawn.items():
        *path, last = key.split(".")
        place = values
        for part in path:
            place = place[part]
        place[last] = value
    return TrainSettings.parse(values, f"the space at {shown(drawn)}")


def shown(drawn: Mapping[str, JsonValue]) -> str:
    """Values in one short line."""
    return ", ".join(
        f"{key.rsplit('.', 1)[-1]} {value:g}" if isinstance(value, float) else f"{key.rsplit('.', 1)[-1]} {value}"
        for key, value in drawn.items()
    )


def _domain(word: str, text: str) -> Domain:
    found = _RANGE.fullmatch(text.replace(" ", ""))
    if found is not None:
        return Range.parse({"scale": found[1], "low": found[2], "high": found[3]}, f"--vary {word!r}")
    if "|" not in text:
        raise ConfigError(f"--vary {word!r}: {text!r} is no domain; write uniform(A,B), log(A,B) or A|B|C")
    return Choice.parse({"values": [_value(part) for part in text.split("|")]}, f"--vary {word!r}")


def _value(text: str) -> JsonValue:
    try:
        value: JsonValue = json.loads(text)
    except ValueError:
        return text
    return value


def _unknown(key: str) -> str:
    close = difflib.get_close_matches(key, known_keys(), n=1)
    elsewhere = key.partition(".")[0] in TrainSettings.model_fields and not key.startswith(("model.", "task.reward."))
    if elsewhere:
        remedy = "it decides what is judged or where it runs, not how it is learned; give it as a flag of the whole sweep"
    else:
        remedy = f"did you mean {close[0]!r}?" if close else f"known are {', '.join(known_keys())}"
    return f"no parameter {key!r} to vary; {remedy}"


def _rounded(value: float) -> float:
    return float(f"{value:.4g}")
