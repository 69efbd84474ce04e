"""What `convoy.json` beside a base scenario lets the generator redraw; a base without one keeps all of its vehicles."""

from __future__ import annotations

from typing import Annotated, Self

from pydantic import Field, model_validator

from roadsense.config import Settings

Range = Annotated[tuple[float, float], Field(description="lower and upper end")]


class ConvoySettings(Settings):
    """The convoy of a base scenario: every `<vehicle>` on `route` belongs to it and is replaced by cars that are drawn."""

    route: str = Field(description="id of the <route> the convoy drives")
    lane: int = Field(0, ge=0, description="lane index on the first edge of the route")
    ego_type: str = Field(description="id of the ego's <vType>")
    peer_types: tuple[str, ...] = Field(min_length=1, description="ids of the <vType>s that peers are drawn from")
    most_peers: int = Field(10, ge=0, le=50, description="peer counts 0 ... most_peers are generated")
    ego_tau_s: Range = Field((0.6, 1.1), description="the ego driver's time headway, drawn uniformly")
    front_m: Range | None = Field(
        None, description="where the front car departs, drawn uniformly, from the start of the first edge (default: anywhere on it)"
    )
    headway_s: Range = Field((1.0, 1.8), description="time headway at departure, drawn uniformly; never below what the driver accepts")
    background_equipment_rate: Range = Field(
        (0.0, 0.5), description="share of background cars with a radio, drawn uniformly for each scenario"
    )

    @model_validator(mode="after")
    def _check_ranges(self) -> Self:
        for name, (low, high) in (("ego_tau_s", self.ego_tau_s), ("headway_s", self.headway_s)):
            if not 0 < low <= high:
                raise ValueError(f"{name} [{low}, {high}] must rise from above 0")
        if self.front_m is not None and not 0 <= self.front_m[0] <= self.front_m[1]:
            raise ValueError(f"front_m {list(self.front_m)} must rise from 0")
        low, high = self.background_equipment_rate
        if not 0 <= low <= high <= 1:
            raise ValueError(f"background_equipment_rate [{low}, {high}] must rise within 0 and 1")
        return self
