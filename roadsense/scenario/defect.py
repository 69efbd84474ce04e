"""One thing that is wrong with a dataset."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

DefectKind = Literal["manifest", "missing", "edited", "extra", "config", "simulator", "late", "collision", "order", "left_road"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Defect:
    """A defect of a scenario (or of the dataset, with `scenario_id` None), in one line."""

    scenario_id: str | None
    kind: DefectKind
    problem: str

    def __str__(self) -> str:
        return f"{self.scenario_id or 'dataset'}: {self.kind}: {self.problem}"
