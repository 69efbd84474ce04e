"""What an ablation varies: each variant differs from the base in one thing, in training and in evaluation alike."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final, Literal

from roadsense.artifacts.files import write_json
from roadsense.radio.parameters import RadioParameters, load_parameters
from roadsense.radio.variations import deaf

RadioKind = Literal["measured", "perfect", "none"]
BASE: Final = "measured"


@dataclass(frozen=True, slots=True, kw_only=True)
class Variant:
    """One thing changed.

    Attributes:
        name: of its runs and rows.
        meaning: for readers of the table.
        radio: what the ego hears through, while training and while it is evaluated.
        model: settings of the network that differ from the base.
    """

    name: str
    meaning: str
    radio: RadioKind = "measured"
    model: Mapping[str, Any] = field(default_factory=lambda: MappingProxyType({}))


def _named(*variants: Variant) -> Mapping[str, Variant]:
    return MappingProxyType({variant.name: variant for variant in variants})


VARIANTS: Final = _named(
    Variant(name=BASE, meaning="the measured radio, pooling by maximum, with each peer's age"),
    Variant(name="perfect", meaning="no loss, no latency and no sensor error", radio="perfect"),
    Variant(name="none", meaning="nobody is heard", radio="none"),
    Variant(name="mean", meaning="pooling by mean", model=MappingProxyType({"pool": "mean"})),
    Variant(name="both", meaning="pooling by maximum and mean side by side", model=MappingProxyType({"pool": "max+mean"})),
    Variant(name="no_age", meaning="the age of what was heard is withheld", model=MappingProxyType({"withheld_peer_features": ("age_s",)})),
)


def radio_files(measured: Path | None, folder: Path) -> dict[RadioKind, Path | None]:
    """The parameter file of each radio; those that are derived are written to `folder`. None is the packaged convoy profile.

    Raises:
        ConfigError: the measured file is missing or refused. RunDirectoryError: a file cannot be written.
    """
    parameters, _ = load_parameters(measured)
    derived: dict[RadioKind, RadioParameters] = {"perfect": RadioParameters.perfect(), "none": deaf(parameters)}
    files: dict[RadioKind, Path | None] = {"measured": measured}
    for kind, radio in derived.items():
        files[kind] = folder / f"{kind}.json"
        write_json(folder / f"{kind}.json", radio.model_dump(mode="json"))
    return files
