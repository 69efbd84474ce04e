"""The recipe of the convoy: what docs/decisions/0007 came to. Experiments, `make run` and ablations begin with it."""

from __future__ import annotations

from typing import Final

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


def recipe_flags() -> list[str]:
    """The recipe as flags of `roadsense train`, `pipeline` or `sweep`; of flags that come twice the last one counts."""
    return [word for name in sorted(RECIPE.model_fields_set) for word in (f"--{name}", f"{getattr(RECIPE, name):g}")]
