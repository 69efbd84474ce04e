"""What each figure of the report shows and how it is read: the lines below the figures."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

CAPTIONS: Final[Mapping[str, str]] = MappingProxyType(
    {
        "answer": "Dots are the figures, lines their 95 % intervals. ▸ marks what lies beyond the scale. The judged policies stand on a "
        "blue ground. Read crashes and false braking together, since always_brake has no crash and never_brake no false braking.",
        "outcomes": "How all episodes ended, hazard or not. Leaving the road and being hit from behind are no successes.",
        "learning_curves": "One row of progress.csv per training iteration: faint as written, strong as a mean of nine rows. Return, "
        "crashes and false braking cover the last 100 training episodes, driven by the exploring policy with randomised radio, so they are "
        "not the figures of the evaluation.",
        "heat_map": "Crashes of hazards, by the number of cars in the convoy and by which car ahead brakes (1 is the one directly ahead). "
        "Redder is worse; a frame without numbers was not drawn. Most cells hold few hazards: 0/3 is compatible with any rate up to 56 %.",
        "by_base": "Share of hazards that ended in a crash on each kind of road, with 95 % intervals.",
        "distributions": "The height of a line is the share of cases at or below the value on the axis: a line further right has later "
        "reactions, larger gaps, harder braking, harder impacts. The numbers above count the cases in the order of the legend; only cases "
        "that occurred are in a line.",
        "avoided": "Episode by episode on identical draws: crashes that the other policy had and this one has not (right), and the reverse "
        "(left, hatched).",
    }
)
