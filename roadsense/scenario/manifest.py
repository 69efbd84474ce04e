"""What a dataset's `manifest.json` holds: every scenario with its files' hashes, and where the dataset comes from.

It holds no time and no absolute path, so the same seed at the same commit gives the same bytes.
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Final, Literal, Self

from pydantic import Field, JsonValue, StringConstraints, model_validator

from roadsense.config import Settings

MANIFEST_FILE: Final = "manifest.json"
FORMAT_VERSION: Final = 2
LARGEST_SUMO_SEED: Final = 2**31 - 1  # SUMO reads --seed as a signed 32-bit integer

# Names become paths: no separator, no leading dot, so nothing can point outside the dataset.
Name = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_][A-Za-z0-9_.-]*$", max_length=200)]
VehicleId = Annotated[str, StringConstraints(min_length=1, max_length=200)]
Sha256 = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]

# What says where the dataset was made, not what is in it.
_PROVENANCE: Final = frozenset({"dataset_id", "git_commit", "roadsense_version", "container_image"})


class ScenarioEntry(Settings):
    """One scenario; `peer_count`, `peer_ids` and `background_equipment_rate` are null where every other vehicle counts as equipped."""

    scenario_id: Name
    base: Name
    peer_count: int | None = Field(ge=0)
    peer_ids: tuple[VehicleId, ...] | None
    ego_id: VehicleId
    seed: int = Field(ge=0, le=LARGEST_SUMO_SEED)
    background_equipment_rate: float | None = Field(ge=0, le=1)
    drawn: dict[str, JsonValue]
    files: dict[Name, Sha256]

    @model_validator(mode="after")
    def _check_peers(self) -> Self:
        if (self.peer_ids is None) != (self.peer_count is None) or (self.peer_ids is not None and len(self.peer_ids) != self.peer_count):
            raise ValueError(f"peer_count {self.peer_count} and peer_ids {self.peer_ids} of {self.scenario_id} disagree")
        if (self.peer_ids is None) != (self.background_equipment_rate is None):
            raise ValueError(f"background_equipment_rate and peer_ids of {self.scenario_id} disagree: null are both or neither")
        return self


class Ranges(Settings):
    """The intervals that were drawn from; flows are multiplied by theirs. What a base's convoy sets for itself stands by base."""

    speedFactor: tuple[float, float]  # noqa: N815 - SUMO's spelling
    sigma: tuple[float, float]
    vehsPerHour: tuple[float, float]  # noqa: N815 - SUMO's spelling
    spawn_jitter_s: tuple[float, float]
    peer_count: dict[Name, tuple[int, int]]
    background_equipment_rate: dict[Name, tuple[float, float]]


class EmulatorParams(Settings):
    """The radio parameters the dataset was made for: file name and content."""

    name: str
    content: dict[str, JsonValue]


class Manifest(Settings):
    """The content of `manifest.json`."""

    format_version: Literal[2]
    roadsense_version: str
    dataset_id: Name
    seed: int = Field(ge=0)
    base_scenarios: dict[Name, dict[str, Sha256]]
    ranges: Ranges
    sumo_version: str
    git_commit: str
    emulator_params: EmulatorParams
    emulator_params_hash: Sha256
    container_image: str | None
    train_scenarios: tuple[ScenarioEntry, ...]
    eval_scenarios: tuple[ScenarioEntry, ...]

    @model_validator(mode="after")
    def _check_ids(self) -> Self:
        counts = Counter(entry.scenario_id for entry in self.entries)
        twice = [scenario_id for scenario_id, count in counts.items() if count > 1]
        if twice:
            raise ValueError(f"the scenario {twice[0]!r} is listed more than once")
        return self

    @property
    def entries(self) -> tuple[ScenarioEntry, ...]:
        """Training and evaluation scenarios, in this order."""
        return self.train_scenarios + self.eval_scenarios

    def to_bytes(self) -> bytes:
        """Indented JSON with sorted keys and a final newline."""
        return (json.dumps(self.model_dump(mode="json"), indent=1, sort_keys=True) + "\n").encode()

    def content_digest(self) -> str:
        """SHA-256 of everything that is not provenance."""
        return _digest(self.model_dump(mode="json", exclude=set(_PROVENANCE)))

    def expected_id(self) -> str:
        """The dataset id that belongs to this content."""
        return f"ds_{self.seed}_{self.content_digest()[:8]}"

    def episodes_digest(self) -> str:
        """SHA-256 of what determines episodes: the scenarios, who drives in them, and their files."""
        return episodes_digest({"train": self.train_scenarios, "eval": self.eval_scenarios})


def episodes_digest(splits: Mapping[str, Sequence[ScenarioEntry]]) -> str:
    """SHA-256 over ids, egos, peers, equipment and files of the scenarios of each split."""
    kept = {"scenario_id", "ego_id", "peer_ids", "seed", "background_equipment_rate", "files"}
    return _digest({split: [entry.model_dump(mode="json", include=kept) for entry in entries] for split, entries in splits.items()})


def _digest(content: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(content, sort_keys=True, separators=(",", ":")).encode()).hexdigest()
