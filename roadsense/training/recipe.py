"""The recipe of the convoy: what docs/decisions/0007 came to. `--recipe`, `make run`, the experiments and the ablations begin with it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

from roadsense.model.settings import ModelSettings
from roadsense.training.settings import TrainSettings

RECIPE: Final = TrainSettings(
    learning_rate=1e-3,
    learning_rate_final=2e-5,
    ent_coef=0.005,
    ent_coef_final=0.0,
    n_steps=4096,
    minibatch_size=1024,
    training_action_repeat=2,
    training_hazard_probability=0.8,
    training_distraction_probability=0.6,
    training_radio_factor=1.4,
    model=ModelSettings(ego_in_encoder=True, mirror_peers=True),
)


# What the recipe sets, and nothing else: nested settings keep the defaults of what it does not name.
RECIPE_VALUES: Final[dict[str, Any]] = RECIPE.model_dump(exclude_unset=True)


def recipe_in_words() -> str:
    """What the recipe sets, for a help text: `ent_coef_final 0, learning_rate 0.001, ...`, nested names dotted."""
    return ", ".join(f"{name} {value:g}" if isinstance(value, float) else f"{name} {value}" for name, value in _flat(RECIPE_VALUES, ""))


def _flat(values: Mapping[str, Any], prefix: str) -> Iterator[tuple[str, Any]]:
    for name, value in sorted(values.items()):
        if isinstance(value, Mapping):
            yield from _flat(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", value
