"""The curve that the project exists for: collision rate against packet loss and against latency, learned policy beside rules."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Final

from roadsense.ablation.run import Say, drive, environment_spec, is_trained
from roadsense.ablation.settings import RadioCurveSettings
from roadsense.ablation.tables import COLUMNS, as_json, cell, markdown
from roadsense.artifacts.files import atomic_path, sha256_of, write_json
from roadsense.artifacts.layout import RunLayout, recorded_path
from roadsense.artifacts.provenance import collect_provenance
from roadsense.config import read_json_object
from roadsense.env.convoy_env import open_dataset
from roadsense.env.record import EpisodeRecord
from roadsense.errors import RunDirectoryError, UsageError
from roadsense.evaluation.episode_table import evaluation_records
from roadsense.evaluation.evaluate import EnvironmentSpec, evaluation_list
from roadsense.evaluation.figures import FIGURES, critical_figure
from roadsense.evaluation.judgement import BASELINE
from roadsense.evaluation.metrics import critical_identities
from roadsense.evaluation.pooled import pooled
from roadsense.model.policy_file import load_policy
from roadsense.radio.parameters import RadioParameters, load_parameters
from roadsense.radio.realised import realised
from roadsense.radio.variations import with_latency, with_loss
from roadsense.report.figures.ablation import radio_curve_figure
from roadsense.report.figures.theme import Drawing, write_figures
from roadsense.seeding import named_stream
from roadsense.training.settings import TrainSettings

NOMINAL: Final = "nominal"
# They look at the road and not at what was heard, so one drive stands for every radio (tests/ablation shows it).
DEAF: Final = (BASELINE, "ttc_leader")
HEARING: Final = ("ttc_radio",)
_LEARNED: Final = "learned"  # all runs pooled
_SHOWN: Final = (COLUMNS[0], COLUMNS[2])


@dataclass(frozen=True, slots=True, kw_only=True)
class Point:
    """One radio of a sweep.

    Attributes:
        name: of its parameter file and its episodes.
        value: the loss in percent, or the latency in ms.
        parameters: None for the nominal radio, whose file is the user's own or the packaged one.
    """

    name: str
    value: float
    parameters: RadioParameters | None


class RadioCurve:
    """One curve, fresh or gone on with: what lies in the output directory is not driven again.

    Args:
        settings: what is driven.
        say: is told a line per step.

    Raises:
        RoadSenseError: a run, the dataset or the radio file is refused, or the output directory holds another curve.
    """

    def __init__(self, settings: RadioCurveSettings, say: Say) -> None:
        self.settings, self.say, self.root = settings, say, settings.output_dir.resolve()
        # By what they are and not by their place, so that runs can be added to a curve, and another policy is never taken for this one.
        self.models = {f"learned_{sha256_of(model)[:8]}": model for model in map(_model, settings.run_list)}
        if not self.models:
            raise UsageError("--runs names no run; give the directory of a finished training, or several separated by commas")
        self.training = _training(settings.run_list[0])
        self.dataset_dir = _dataset(settings, self.training)
        self.dataset = open_dataset(self.dataset_dir, None)
        self.nominal, self.nominal_hash = load_parameters(settings.emulator_params)
        self.points = _points(settings, self.nominal)
        self.episodes = evaluation_list(self.dataset, rounds=settings.rounds)
        self._check_plan()

    def run(self) -> str:
        """Drive what is missing and write radio_curve.json, .md, .svg and .png; the Markdown that was written."""
        self._write_radios()
        self._drive(NOMINAL, DEAF)
        if self.settings.hazards_only:
            records = evaluation_records(self._table(NOMINAL, BASELINE))[BASELINE]
            driven = zip(self.episodes, records, strict=True)
            self.episodes = [episode for episode, record in driven if record.hazard_fired]
        points = (NOMINAL, *(point.name for sweep in self.points.values() for point in sweep))
        for policy in (*HEARING, *self.models):
            for name in points:
                self._drive(name, (policy,))
        return self._write_result()

    def radio_file(self, point: str) -> Path | None:
        """The parameter file of a point; None for the packaged profile."""
        if point == NOMINAL:
            return self.settings.emulator_params
        return self.root / "radio" / f"{point}.json"

    def _write_radios(self) -> None:
        for point in (point for sweep in self.points.values() for point in sweep):
            if point.parameters is not None:
                write_json(self.root / "radio" / f"{point.name}.json", point.parameters.model_dump(mode="json"))

    def _drive(self, point: str, policies: Sequence[str]) -> None:
        spec: EnvironmentSpec = environment_spec(self.dataset_dir, self.radio_file(point), self.training, self.settings.sumo)
        for policy in policies:
            table = self._table(point, policy)
            if not table.exists():
                self.say(f"{point}: {policy}, {len(self.episodes)} episodes")
                drive(spec, {policy: str(self.models.get(policy, policy))}, self.episodes, table, workers=self.settings.num_workers)

    def _table(self, point: str, policy: str) -> Path:
        return self.root / "episodes" / point / f"{policy}.parquet"

    def _records(self, point: str, policy: str) -> list[EpisodeRecord]:
        """The episodes of a policy at a point, those of the deaf ones cut down to what the others drove."""
        if policy not in DEAF:
            return evaluation_records(self._table(point, policy))[policy]
        hazards = {record.identity for record in evaluation_records(self._table(NOMINAL, BASELINE))[BASELINE] if record.hazard_fired}
        records = evaluation_records(self._table(NOMINAL, policy))[policy]
        return [record for record in records if not self.settings.hazards_only or record.identity in hazards]

    def _figures(self, point: str, policy: str) -> dict[str, Any]:
        """The figures of a policy, that of `learned` pooled over the runs."""
        names = list(self.models) if policy == _LEARNED else [policy]
        seeds = {number: self._records(point, name) for number, name in enumerate(names, start=1)}
        known = {figure.key: figure for figure in (*FIGURES, critical_figure(critical_identities(self._records(NOMINAL, BASELINE))))}
        return {column.key: as_json(pooled(known[column.key], seeds)) for column in COLUMNS}

    def _write_result(self) -> str:
        baseline = self._records(NOMINAL, BASELINE)
        shown = (_LEARNED, *HEARING, "ttc_leader")
        hazards, critical = sum(record.hazard_fired for record in baseline), len(critical_identities(baseline))
        content: dict[str, Any] = {
            "dataset_hash": self.dataset.hash,
            "episodes": len(baseline),
            "hazards": hazards,
            "critical_hazards": critical,
            "note": f"{len(baseline)} identical episodes at every point, {critical} with a critical hazard; bands: 95 % intervals",
            "points": {sweep: [point.value for point in points] for sweep, points in self.points.items()},
            "realised": {sweep: [self._realised(point) for point in points] for sweep, points in self.points.items()},
            "nominal_latency_ms": self.nominal.latency.base_ms,
            "nominal": {policy: self._figures(NOMINAL, policy) for policy in shown},
            "policies": {
                policy: {sweep: [self._figures(point.name, policy) for point in points] for sweep, points in self.points.items()}
                for policy in shown
            },
        }
        text = _markdown(content, len(self.models))
        write_json(self.root / "radio_curve.json", content | {"provenance": self._provenance()})
        with atomic_path(self.root / "radio_curve.md") as temporary:
            temporary.write_text(text, encoding="utf-8")
        caption = "Crashes in critical hazards and false braking over packet loss and over latency"
        write_figures([Drawing(name="radio_curve", caption=caption, draw=partial(radio_curve_figure, content))], self.root)
        return text

    def _realised(self, point: Point) -> dict[str, float | None]:
        """What the radio of a point does to a peer 30 m away, counted."""
        parameters = self.nominal if point.parameters is None else point.parameters
        counted = realised(parameters, named_stream(0, "radio_curve", point.name))
        return {"loss": counted.loss, "heard_age_s": counted.heard_age_s}

    def _provenance(self) -> dict[str, Any]:
        files = {point.name: self.radio_file(point.name) for sweep in self.points.values() for point in sweep}
        radios = {name: sha256_of(path) for name, path in files.items() if path is not None}
        tables = sorted((self.root / "episodes").rglob("*.parquet"))
        return collect_provenance(
            {
                "dataset_hash": self.dataset.hash,
                "runs": [str(run) for run in self.settings.run_list],
                "models_sha256": {name: sha256_of(path) for name, path in self.models.items()},
                "emulator_params_hash": {NOMINAL: self.nominal_hash} | radios,
                "episodes_sha256": {str(path.relative_to(self.root / "episodes")): sha256_of(path) for path in tables},
            }
        )

    def _check_plan(self) -> None:
        plan = {
            "dataset_hash": self.dataset.hash,
            "rounds": self.settings.rounds,
            "hazards_only": self.settings.hazards_only,
            "radio_hash": self.nominal_hash,
        }
        path = self.root / "plan.json"
        if path.exists():
            recorded = read_json_object(path, RunDirectoryError)
            other = next((name for name, value in plan.items() if recorded.get(name) != value), None)
            if other is not None:
                raise UsageError(
                    f"{self.root}: was begun with another {other.replace('_hash', '')} than now; only runs and points may change when a "
                    "curve goes on, so give the flags of its first start or another --output_dir"
                )
            return
        if self.root.exists() and any(self.root.iterdir()):
            raise RunDirectoryError(f"{self.root}: exists and holds no radio curve; give another --output_dir")
        write_json(path, plan)


def _training(run: Path) -> TrainSettings:
    """How a run was trained: its task is driven. A model file tells nothing of it, so that is the default."""
    return TrainSettings() if run.is_file() else TrainSettings.load_json(RunLayout(run).config, RunDirectoryError)


def _model(run: Path) -> Path:
    if run.is_file():
        load_policy(run)  # refused now, not after an hour of driving
        return run.resolve()
    layout = RunLayout(run)
    recorded = TrainSettings.load_json(layout.config, RunDirectoryError)
    if not is_trained(layout, recorded.total_timesteps):
        raise RunDirectoryError(f"{run}: its training is not finished; go on with it (roadsense train --resume {run}) or name another run")
    return layout.model.resolve()


def _dataset(settings: RadioCurveSettings, training: TrainSettings) -> Path:
    named = settings.dataset_dir or training.eval_dir or training.dataset_dir
    if named is None:
        raise UsageError(f"{settings.run_list[0]}: names no dataset; give --dataset_dir")
    return named.resolve() if settings.dataset_dir else recorded_path(str(named), settings.run_list[0]).resolve()


def _points(settings: RadioCurveSettings, nominal: RadioParameters) -> dict[str, list[Point]]:
    losses = [Point(name=f"loss_{100 * loss:g}", value=100 * loss, parameters=with_loss(nominal, loss)) for loss in settings.losses]
    latencies = [
        Point(name=f"latency_{base_ms:g}", value=base_ms, parameters=with_latency(nominal, base_ms)) for base_ms in settings.latencies_ms
    ]
    return {"loss": losses, "latency": latencies}


def _markdown(content: dict[str, Any], runs: int) -> str:
    learned = "learned" if runs == 1 else f"learned, {runs} seeds pooled"
    lines = [
        f"{content['episodes']} identical episodes for every policy at every point, {content['hazards']} with a hazard, "
        f"{content['critical_hazards']} of them critical. In brackets 95 % intervals.\n"
    ]
    titles = {"loss": ("packet loss, %", "lost, counted, %"), "latency": ("latency, ms", "age when heard, counted, ms")}
    for column in _SHOWN:
        for sweep, (first, counted) in titles.items():
            lines.append(f"{column.heading[0].upper()}{column.heading[1:]}, over {first.split(',')[0]}:\n")
            names = [learned if name == _LEARNED else name for name in content["policies"]]
            rows = [_nominal_row(content, column)]
            for place, value in enumerate(content["points"][sweep]):
                found = content["realised"][sweep][place]
                measured = 100 * found["loss"] if sweep == "loss" else None if found["heard_age_s"] is None else 1000 * found["heard_age_s"]
                results = [policy[sweep][place][column.key] for policy in content["policies"].values()]
                cells = [cell(column, result["value"], result["interval"]) for result in results]
                rows.append([f"{value:g}", "--" if measured is None else f"{measured:.1f}", *cells])
            lines.append(markdown([first, counted, *names], rows))
    return "\n".join(lines)


def _nominal_row(content: dict[str, Any], column: Any) -> list[str]:
    results = [policy[column.key] for policy in content["nominal"].values()]
    return ["as measured", "", *(cell(column, result["value"], result["interval"]) for result in results)]
