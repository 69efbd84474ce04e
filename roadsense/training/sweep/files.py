"""Where everything lies in the directory of a sweep, and what its files say."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from pydantic import Field, JsonValue

from roadsense.artifacts.files import write_json
from roadsense.artifacts.layout import RunLayout
from roadsense.config import Settings, read_json_object
from roadsense.errors import RunDirectoryError
from roadsense.training.sweep.settings import SweepSettings
from roadsense.training.sweep.space import Drawn

BASE_PREFIX: Final = "base_seed_"
_KIND: Final = "roadsense-sweep"


class TrialSpec(Settings):
    """One trial: a configuration and its seed. Of population based training, the configuration with which it began."""

    name: str
    seed: int
    drawn: dict[str, JsonValue]

    @property
    def is_base(self) -> bool:
        """Whether it is the base configuration with one of its seeds."""
        return self.name.startswith(BASE_PREFIX)


class RungEpisodes(Settings):
    """The episodes that every trial drives at every rung: (identity, scenario), and which of them hold a critical hazard."""

    episodes: tuple[tuple[str, str], ...]
    critical: frozenset[str]


class SweepFile(Settings):
    """sweep.json: what the sweep was asked for, what was drawn, where it comes from. A resume changes the budget alone."""

    kind: str = _KIND
    settings: SweepSettings
    trials: tuple[TrialSpec, ...]
    rung: RungEpisodes
    dataset_hash: str
    provenance: dict[str, JsonValue] = Field(default_factory=dict)


class Measurement(Settings):
    """A trial at a rung; the figures are shares, see roadsense.evaluation.objective."""

    timesteps: int
    objective: float
    objective_interval: tuple[float, float] | None
    critical_hazard_collision_rate: float
    false_braking_rate: float
    critical_hazards: int
    episodes: int
    measuring_s: float


class TakenOver(Settings):
    """Population based training: what a trial went on from, and with which configuration."""

    timesteps: int
    trial: str
    drawn: dict[str, JsonValue]


class TrialFile(Settings):
    """trial.json in the run directory of a trial: its configuration now, and its rungs."""

    name: str
    seed: int
    drawn: dict[str, JsonValue]
    rungs: tuple[Measurement, ...] = ()
    taken_over: tuple[TakenOver, ...] = ()

    @property
    def last(self) -> Measurement | None:
        """The newest measurement: that of the policy in model_final.zip."""
        return self.rungs[-1] if self.rungs else None

    def until(self, timesteps: int) -> TrialFile:
        """What is left of it when the trial goes back to these steps."""
        return self.model_copy(
            update={
                "rungs": tuple(rung for rung in self.rungs if rung.timesteps <= timesteps),
                "taken_over": tuple(one for one in self.taken_over if one.timesteps <= timesteps),
            }
        )


@dataclass(frozen=True, slots=True)
class SweepLayout:
    """The files of one sweep.

    ::

        sweep.json     settings, space, trials, the episodes of the rungs, provenance
        table.md       the best trials and the base configuration on the evaluation list, and what that says
        table.json     the same, with everything that was measured
        sweep.log      what was shown while it ran
        trials/        a run directory for each trial: trial_000/ ..., base_seed_42/ ...
        references/    the reference policies on the evaluation list
        tune/          Ray Tune's own state, by which a sweep is resumed
    """

    root: Path

    @property
    def sweep(self) -> Path:
        """Settings, space, trials, provenance."""
        return self.root / "sweep.json"

    @property
    def table(self) -> Path:
        """The result for readers."""
        return self.root / "table.md"

    @property
    def table_json(self) -> Path:
        """The result for programs."""
        return self.root / "table.json"

    @property
    def log(self) -> Path:
        """What was shown."""
        return self.root / "sweep.log"

    @property
    def tune(self) -> Path:
        """Tune's experiment directory."""
        return self.root / "tune"

    @property
    def references(self) -> Path:
        """Directory of the reference policies' episodes."""
        return self.root / "references"

    def trial(self, name: str) -> RunLayout:
        """The run directory of a trial."""
        return RunLayout(self.root / "trials" / name)

    def trial_file(self, name: str) -> Path:
        """What a trial says of itself."""
        return self.trial(name).root / "trial.json"

    def read(self) -> SweepFile:
        """sweep.json.

        Raises:
            RunDirectoryError: there is no such directory, it is no sweep, or the file was written by another version.
        """
        if not self.root.is_dir():
            raise RunDirectoryError(f"{self.root}: no such sweep; give the directory that holds sweep.json")
        if not self.sweep.is_file():
            what = "is the run directory of a single training" if RunLayout(self.root).config.is_file() else "holds no sweep.json"
            raise RunDirectoryError(f"{self.root}: {what}; give the --output_dir of a sweep")
        content = read_json_object(self.sweep, RunDirectoryError)
        if content.get("kind") != _KIND:
            raise RunDirectoryError(f"{self.sweep}: was not written by roadsense sweep; give the --output_dir of a sweep")
        return SweepFile.parse(content, str(self.sweep), RunDirectoryError)

    def read_trial(self, spec: TrialSpec) -> TrialFile:
        """What a trial says of itself; nothing measured where it has not begun.

        Raises:
            RunDirectoryError: the file is damaged.
        """
        path = self.trial_file(spec.name)
        if not path.is_file():
            return TrialFile(name=spec.name, seed=spec.seed, drawn=spec.drawn)
        return TrialFile.load_json(path, RunDirectoryError)

    def write_trial(self, trial: TrialFile) -> None:
        """Write trial.json.

        Raises:
            RunDirectoryError: it cannot be written.
        """
        write_json(self.trial_file(trial.name), trial.model_dump(mode="json"))


def write_sweep(layout: SweepLayout, content: SweepFile) -> None:
    """Write sweep.json.

    Raises:
        RunDirectoryError: it cannot be written.
    """
    described: dict[str, Any] = content.model_dump(mode="json")
    described["rung"]["critical"] = sorted(content.rung.critical)
    write_json(layout.sweep, described)


def draw_trials(settings: SweepSettings) -> Iterator[TrialSpec]:
    """The base configuration with its seeds, then the drawn ones; no two trials share a seed, so no two drive the same episode.

    Each is drawn from a stream of its own: more trials leave the first ones as they are.
    """
    from roadsense.seeding import named_stream

    for number in range(settings.base_seeds):
        seed = settings.seed + number
        yield TrialSpec(name=f"{BASE_PREFIX}{seed}", seed=seed, drawn={})
    for number in range(settings.trials):
        drawn: Drawn = settings.space.draw(named_stream(settings.seed, "sweep", str(number)))
        yield TrialSpec(name=f"trial_{number:03d}", seed=settings.seed + settings.base_seeds + number, drawn=drawn)
