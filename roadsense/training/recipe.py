"""The recipe of the convoy: what docs/decisions/0007 came to. `--recipe`, `make run`, the experiments and the ablations begin with it."""

from __future__ import annotations

from typing import Any, Final

from roadsense.training.settings import TrainSettings

RECIPE: Final = TrainSettings(
    learning_rate=1e-3,
    learning_rate_final=2e-5,
    ent_coef_final=0.0,
    n_steps=4096,
    minibatch_size=1024,
    training_collision_weight=7.0,
    training_hazard_probability=0.8,
    training_distraction_probability=0.6,
)


RECIPE_VALUES: Final[dict[str, Any]] = {name: getattr(RECIPE, name) for name in sorted(RECIPE.model_fields_set)}
