"""What a `.sumocfg` says about the simulation, less what would make parallel workers race or belongs to the session.

SUMO reads options from any depth of the file (`<input><net-file value="..."/></input>` and a flat `<net-file value="..."/>` mean the
same) and takes a section's name for decoration; so does this reader.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from xml.etree.ElementTree import Element

from roadsense.errors import DatasetError
from roadsense.scenario.xml_files import read_xml

NETWORK: Final = "net-file"
ROUTES: Final = "route-files"
ADDITIONAL: Final = "additional-files"
INPUT_FILES: Final = frozenset({NETWORK, ROUTES, ADDITIONAL, "weight-files", "load-state", "phemlight-path", "device.fcd-replay.files"})

# Synonyms and one-letter forms, as `sumo --help` and its sources list them.
_SYNONYMS: Final = {
    "n": NETWORK, "net": NETWORK, "r": ROUTES, "routes": ROUTES, "a": ADDITIONAL, "additional": ADDITIONAL,
    "w": "weight-files", "weights": "weight-files", "x": "weight-attribute", "b": "begin", "e": "end", "s": "route-steps",
}  # fmt: skip

# Sections that hold nothing but outputs, reports, sockets, seeds and windows; an input in one of them still counts.
_DROPPED_SECTIONS: Final = frozenset(
    {"configuration", "output", "report", "traci_server", "random_number", "gui_only", "ssm_device", "fcd_device"}
)
_DROPPED_PREFIXES: Final = (
    "output-", "output.", "netstate", "ndump", "tripinfo", "summary", "vehroutes", "save-", "write-", "precision",
    "human-readable-time", "pedestrian.jupedsim.wkt", "pedestrian.jupedsim.py", "device.ssm.", "device.fcd.", "device.toc.file",
    "remote-port", "num-clients", "seed", "srand", "random", "abs-rand", "thread-rngs",
    "step-length", "collision.", "intermodal-collision.", "ignore-accidents", "time-to-teleport", "max-num-teleports",
    "log", "message-log", "error-log", "verbose", "print-options", "help", "version", "xml-validation", "no-warnings", "aggregate-warnings",
    "language", "duration-log", "no-duration-log", "no-step-log", "step-log", "configuration-file",
    "gui-", "quit-on-end", "game", "start", "delay", "breakpoints", "edgedata-files", "alternative-net-file", "selection-file", "demo",
    "disable-textures", "registry-viewport", "window-", "tracker-interval",
)  # fmt: skip
_KEPT_DESPITE_PREFIX: Final = frozenset({"startup-wait-threshold", "random-depart-offset"})
_DROPPED_LETTERS: Final = frozenset("cCHvphVlWtgQGSdBmNDT")


@dataclass(frozen=True, slots=True, kw_only=True)
class SumoOption:
    """One option: its canonical name, and its value (files as absolute paths, lists joined by commas)."""

    name: str
    value: str


@dataclass(frozen=True, slots=True, kw_only=True)
class SumoConfig:
    """The options of a `.sumocfg` that say what is driven, in the order of the file."""

    path: Path
    options: tuple[SumoOption, ...]

    def files(self, name: str) -> tuple[Path, ...]:
        """The absolute paths of a file option, empty when it is not set."""
        values = [option.value for option in self.options if option.name == name]
        return tuple(Path(part) for value in values for part in value.split(","))

    @property
    def network(self) -> Path:
        """The network file."""
        return self.files(NETWORK)[0]


def read_sumocfg(path: Path) -> SumoConfig:
    """Read a configuration and check that its inputs exist.

    Raises:
        DatasetError: the file is missing or malformed, has a DOCTYPE, names no network, sets an option twice, or an input is missing.
    """
    path = path.absolute()
    options: dict[str, SumoOption] = {}
    for section, element in _leaves(read_xml(path), "configuration_root"):
        name = _SYNONYMS.get(element.tag, element.tag)
        value = (element.get("value") or element.get("v") or element.text or "").strip()
        if not value or _is_dropped(section, name):
            continue
        if name in options:
            raise DatasetError(f"{path}: sets {name!r} twice, which SUMO refuses; keep one of them")
        options[name] = SumoOption(name=name, value=_absolute_files(path, name, value) if name in INPUT_FILES else value)
    config = SumoConfig(path=path, options=tuple(options.values()))
    if len(config.files(NETWORK)) != 1:
        raise DatasetError(f"{path}: names {len(config.files(NETWORK))} networks, expected one <net-file value='...'/>; correct it")
    return config


def input_options(cfg: Path) -> tuple[str, ...]:
    """SUMO command-line options for what a `.sumocfg` drives: inputs with absolute paths, time and processing.

    Outputs, reports, TraCI ports, windows, seeds, the step length, teleporting and collision handling are left out: parallel workers
    would race on the files, and the rest is the session's. Raises DatasetError as `read_sumocfg` does.
    """
    config = read_sumocfg(cfg)
    return tuple(text for option in config.options for text in (f"--{option.name}", option.value))


def _leaves(element: Element, section: str) -> Iterator[tuple[str, Element]]:
    for child in element:
        if len(child):
            yield from _leaves(child, child.tag)
        elif isinstance(child.tag, str):
            yield section, child


def _is_dropped(section: str, name: str) -> bool:
    if name in INPUT_FILES or name in _KEPT_DESPITE_PREFIX:
        return False
    is_output = any(part == "output" or part.endswith(("-output", "-dump")) for part in name.split("."))
    return section in _DROPPED_SECTIONS or is_output or name in _DROPPED_LETTERS or name.startswith(_DROPPED_PREFIXES)


def _absolute_files(cfg: Path, name: str, value: str) -> str:
    names = [part.strip() for part in os.path.expandvars(value).split(",") if part.strip()]
    paths = [Path(os.path.normpath(cfg.parent / part)) for part in names]
    for path in paths:
        if "," in str(path):
            raise DatasetError(f"{path}: SUMO takes the comma in this path for a separator; move the scenario to a path without commas")
        if not path.exists():
            raise DatasetError(f"{cfg}: {name} {str(path)!r} does not exist; restore the file or correct the path in the configuration")
    return ",".join(str(path) for path in paths)
