"""What a RUN on the command line is: a run directory with its evaluation, or the output directory of `roadsense evaluate`."""

from __future__ import annotations

import csv
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from roadsense.artifacts.files import sha256_of
from roadsense.artifacts.layout import RunLayout, recorded_path
from roadsense.config import read_json_object
from roadsense.env.record import EpisodeRecord
from roadsense.errors import RunDirectoryError
from roadsense.evaluation.episode_table import evaluation_records

_SECTIONS: Final = ("run_id", "config", "evaluation", "references")

ProgressRow = dict[str, float | None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """One RUN, read.

    Attributes:
        name: what it is called in the report.
        directory: what was given.
        judged: the policy that was judged; a key of `records`.
        records: evaluation episodes by policy, without their actions.
        metrics: metrics.json as it stands.
        run: the run directory that trained the policy; None for a policy that was not trained here, or whose run is not there any more.
        progress: the rows of its progress.csv; empty without one.
        provenance: its provenance.json; None without one.
        altered: artifacts of the run that are not those that provenance.json names any more.
    """

    name: str
    directory: Path
    judged: str
    records: dict[str, list[EpisodeRecord]] = field(repr=False)
    metrics: dict[str, Any] = field(repr=False)
    run: Path | None
    progress: tuple[ProgressRow, ...] = field(repr=False)
    provenance: dict[str, Any] | None = field(repr=False)
    altered: tuple[str, ...]

    @property
    def config(self) -> dict[str, Any]:
        """The settings of the evaluation, and of the training behind it."""
        config: dict[str, Any] = self.metrics["config"]
        return config

    @property
    def training(self) -> dict[str, Any] | None:
        """What metrics.json says of the training; None where nothing was trained."""
        training: dict[str, Any] | None = self.metrics.get("training")
        return training


def read_source(directory: Path) -> Source:
    """Read a RUN.

    Raises:
        RunDirectoryError: it does not exist, is not finished, was not evaluated, or is something else; the message says what to do.
    """
    layout = RunLayout(directory)
    _check_kind(layout)
    metrics = read_json_object(layout.metrics, RunDirectoryError)
    _check_metrics(layout, metrics)
    if not layout.episodes.is_file():
        raise RunDirectoryError(f"{directory}: holds figures but no {layout.episodes.name}; evaluate again and give that output directory")
    records = evaluation_records(layout.episodes)
    judged = metrics.get("policy") or next(iter(records))
    if judged not in records:
        raise RunDirectoryError(f"{directory}: {layout.metrics.name} judges {judged!r}, of which {layout.episodes.name} holds no episode")
    run = _run_of(layout, metrics)
    provenance = _optional_json(RunLayout(run).provenance) if run is not None else None
    return Source(
        name=directory.resolve().name,
        directory=directory,
        judged=judged,
        records=records,
        metrics=metrics,
        run=run,
        progress=read_progress(RunLayout(run).progress) if run is not None else (),
        provenance=provenance,
        altered=_altered(run, provenance) if run is not None and provenance is not None else (),
    )


def read_progress(path: Path) -> tuple[ProgressRow, ...]:
    """The rows of a progress.csv, numbers or None by column; empty when there is no file.

    Raises:
        RunDirectoryError: it is no progress table.
    """
    if not path.is_file():
        return ()
    try:
        with path.open(newline="", encoding="utf-8") as file:
            rows = tuple({name: float(text) if text else None for name, text in row.items()} for row in csv.DictReader(file))
    except (OSError, ValueError, TypeError, csv.Error) as problem:
        raise RunDirectoryError(f"{path}: not a progress table ({problem}); restore it, or remove it to report without curves") from None
    if any(row.get("timesteps") is None for row in rows):
        raise RunDirectoryError(f"{path}: not a progress table (no timesteps); restore it, or remove it to report without curves")
    return rows


def _check_kind(layout: RunLayout) -> None:
    directory = layout.root
    if not directory.exists():
        raise RunDirectoryError(f"{directory}: no such directory; give a run directory or the --output_dir of an evaluation")
    if not directory.is_dir():
        raise RunDirectoryError(f"{directory}: is a file; give the run directory, or the --output_dir of an evaluation, that it lies in")
    if layout.metrics.is_file():
        return
    if (directory / "sweep.json").is_file():
        raise RunDirectoryError(f"{directory}: is a sweep; give trials of its table.md: {directory}/trials/NAME")
    if layout.config.is_file() or layout.progress.is_file():
        raise RunDirectoryError(
            f"{directory}: the run is not finished (no {layout.metrics.name}); wait for it, "
            f"or go on with: roadsense train --resume {directory}"
        )
    raise RunDirectoryError(f"{directory}: is neither a run nor an evaluation (no {layout.metrics.name}); check the path")


def _check_metrics(layout: RunLayout, metrics: dict[str, Any]) -> None:
    missing = [name for name in _SECTIONS if name not in metrics]
    if missing or not isinstance(metrics["config"], dict):
        raise RunDirectoryError(f"{layout.metrics}: not a metrics.json of RoadSense (no {(missing or ['config'])[0]}); check the path")
    if metrics["evaluation"] is None:
        raise RunDirectoryError(
            f"{layout.root}: was trained but not evaluated; evaluate it, then report the output: "
            f"roadsense evaluate --run {layout.root} --compare ttc_radio --output_dir {layout.root}_evaluation"
        )


def _run_of(layout: RunLayout, metrics: dict[str, Any]) -> Path | None:
    """The directory itself if it is a run, else the one that was evaluated if it is still there and still the same."""
    if layout.config.is_file():
        return layout.root
    named = metrics["config"].get("run")
    if not isinstance(named, str):
        return None
    run = recorded_path(named, layout.root)
    recorded = _optional_json(RunLayout(run).config) or {}
    return run if recorded.get("run_id") == metrics["run_id"] else None


def _optional_json(path: Path) -> dict[str, Any] | None:
    return read_json_object(path, RunDirectoryError) if path.is_file() else None


def _altered(run: Path, provenance: dict[str, Any]) -> tuple[str, ...]:
    recorded = provenance.get("artifacts_sha256") or {}
    return tuple(name for name, digest in recorded.items() if not (run / name).is_file() or sha256_of(run / name) != digest)
