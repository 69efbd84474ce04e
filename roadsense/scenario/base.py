"""A base scenario: what the generator starts from, read and checked once, and found on disk."""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from roadsense.errors import DatasetError
from roadsense.scenario.convoy_settings import ConvoySettings
from roadsense.scenario.sumocfg import ADDITIONAL, INPUT_FILES, NETWORK, ROUTES, SumoConfig, read_sumocfg
from roadsense.scenario.xml_files import read_bytes

CONVOY_FILE: Final = "convoy.json"
_COPIED_INPUTS: Final = frozenset({NETWORK, ROUTES, ADDITIONAL, "weight-files"})


@dataclass(frozen=True, slots=True, kw_only=True)
class BaseScenario:
    """A configuration with its inputs.

    `files` holds the content of every input (gzipped ones decompressed); `sha256` names every file that went in, relative to the
    folder of the configuration.
    """

    name: str
    config: SumoConfig
    convoy: ConvoySettings | None
    files: Mapping[Path, bytes]
    sha256: Mapping[str, str]

    @classmethod
    def load(cls, sumocfg: Path, name: str) -> BaseScenario:
        """Read a base; raises DatasetError when a file is missing or malformed."""
        config = read_sumocfg(sumocfg)
        inputs = [path for name in sorted(INPUT_FILES) for path in config.files(name) if path.is_file()]
        convoy_file = config.path.parent / CONVOY_FILE
        has_convoy = convoy_file.is_file()
        read = [config.path, *inputs, *([convoy_file] if has_convoy else [])]
        return cls(
            name=name,
            config=config,
            convoy=ConvoySettings.load_json(convoy_file, DatasetError) if has_convoy else None,
            files={path: read_bytes(path) for path in inputs},
            sha256={_relative(path, config.path.parent): hashlib.sha256(path.read_bytes()).hexdigest() for path in read},
        )


def find_bases(base_dir: Path) -> tuple[BaseScenario, ...]:
    """The base in a folder, or those in its subfolders, by name.

    Raises:
        DatasetError: the folder is missing, holds no `.sumocfg`, or a folder holds several; or a base cannot be read.
    """
    if not base_dir.is_dir():
        raise DatasetError(f"{base_dir}: no such folder; point to a folder of base scenarios")
    own = _configuration(base_dir)
    if own is not None:
        return (_load(own, base_dir.resolve()),)
    folders = sorted(path for path in base_dir.iterdir() if path.is_dir() and not path.name.startswith("."))
    configurations = {folder: configuration for folder in folders if (configuration := _configuration(folder)) is not None}
    if not configurations:
        raise DatasetError(f"{base_dir}: neither it nor a subfolder holds a .sumocfg; point to a folder of base scenarios")
    names = [plain_name(folder.name) for folder in configurations]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise DatasetError(f"{base_dir}: several folders give the base name {twice[0]!r}; rename one of them")
    return tuple(_load(configuration, folder) for folder, configuration in configurations.items())


def plain_name(text: str) -> str:
    """The text with everything that has no place in a scenario id replaced by underscores."""
    return re.sub(r"[^A-Za-z0-9_]+", "_", text).strip("_") or "base"


def _load(configuration: Path, folder: Path) -> BaseScenario:
    base = BaseScenario.load(configuration, plain_name(folder.name))
    foreign = sorted(option.name for option in base.config.options if option.name in INPUT_FILES - _COPIED_INPUTS)
    if foreign:
        raise DatasetError(f"{configuration}: uses {foreign[0]}, which the generator cannot copy; remove it from the base scenario")
    return base


def _configuration(folder: Path) -> Path | None:
    found = sorted(folder.glob("*.sumocfg"))
    if len(found) > 1:
        raise DatasetError(f"{folder}: holds {len(found)} .sumocfg files, expected one; move each base scenario into a folder of its own")
    return found[0] if found else None


def _relative(path: Path, folder: Path) -> str:
    return Path(os.path.relpath(path, folder)).as_posix()
