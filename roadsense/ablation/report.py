"""The result of an ablation: ablation.json, a Markdown table and a figure, from the episodes that were driven."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

from roadsense.ablation.run import REFERENCES, Ablation
from roadsense.ablation.tables import COLUMNS, as_json, by_seed, cell, markdown
from roadsense.ablation.variants import BASE, VARIANTS
from roadsense.artifacts.files import atomic_path, sha256_of, write_json
from roadsense.artifacts.provenance import collect_provenance
from roadsense.env.record import EpisodeRecord
from roadsense.errors import RunDirectoryError
from roadsense.evaluation.episode_table import evaluation_records
from roadsense.evaluation.figures import FIGURES, Figure, critical_figure
from roadsense.evaluation.judgement import BASELINE
from roadsense.evaluation.metrics import critical_identities
from roadsense.evaluation.metrics_file import LEARNED
from roadsense.evaluation.pooled import pooled, pooled_difference
from roadsense.report.figures.ablation import ablation_figure
from roadsense.report.figures.theme import Drawing, write_figures

Records = dict[str, dict[int, list[EpisodeRecord]]]  # by variant, then seed


def write_result(ablation: Ablation) -> str:
    """Judge every variant over the seeds that have been driven so far and write the result; the Markdown that was written.

    Raises:
        RunDirectoryError: no variant was driven, or a table is damaged. UsageError: the tables are not of identical episodes.
    """
    layout = ablation.layout
    references, records = evaluation_records(layout.references), _records(ablation)
    figures = _figures(references)
    content = {
        "dataset_hash": ablation.dataset.hash,
        "episodes": len(ablation.episodes),
        "hazards": sum(record.hazard_fired for record in references[BASELINE]),
        "critical_hazards": len(critical_identities(references[BASELINE])),
        "rounds": ablation.settings.rounds,
        "total_timesteps": ablation.settings.total_timesteps,
        "variants": {
            variant: {"meaning": VARIANTS[variant].meaning, "figures": {of.key: as_json(pooled(of, seeds)) for of in figures}}
            for variant, seeds in records.items()
        },
        "references": {name: {"figures": {of.key: as_json(pooled(of, {0: references[name]})) for of in figures}} for name in REFERENCES},
        "differences": _differences(records, figures),
    }
    text = _markdown(content)
    write_json(layout.root / "ablation.json", content | {"provenance": _provenance(ablation, records)})
    with atomic_path(layout.root / "ablation.md") as temporary:
        temporary.write_text(text, encoding="utf-8")
    caption = "Crashes in critical hazards and false braking of each variant, pooled over seeds with 95 % intervals; small: single seeds"
    write_figures([Drawing(name="ablation", caption=caption, draw=partial(ablation_figure, content))], layout.root)
    return text


def _records(ablation: Ablation) -> Records:
    """What has been driven, by variant and seed; variants without any are left out."""
    found: Records = {}
    for variant in ablation.settings.variant_list:
        for seed in ablation.settings.seed_list:
            table = ablation.layout.episodes(variant, seed)
            if table.exists():
                found.setdefault(variant, {})[seed] = evaluation_records(table)[LEARNED]
    if not found:
        raise RunDirectoryError(f"{ablation.layout.root}: no policy has been driven yet; run the ablation again to go on with it")
    return found


def _figures(references: dict[str, list[EpisodeRecord]]) -> list[Figure]:
    known = {figure.key: figure for figure in (*FIGURES, critical_figure(critical_identities(references[BASELINE])))}
    return [known[column.key] for column in COLUMNS]


def _differences(records: Records, figures: Sequence[Figure]) -> dict[str, dict[str, Any]]:
    """Every variant minus the base."""
    if BASE not in records:
        return {}
    found: dict[str, dict[str, Any]] = {}
    for variant, seeds in records.items():
        if variant == BASE:
            continue
        found[variant] = {}
        for figure in figures:
            value, interval = pooled_difference(figure, seeds, records[BASE])
            found[variant][figure.key] = {"value": value, "interval": None if interval is None else list(interval)}
    return found


def _markdown(content: dict[str, Any]) -> str:
    seeds = [len(entry["figures"][COLUMNS[0].key]["by_seed"]) for entry in content["variants"].values()]
    count = f"{min(seeds)}" if min(seeds) == max(seeds) else f"{min(seeds)} to {max(seeds)}"
    lines = [
        f"Trainings of {content['total_timesteps']:,} steps, {count} seeds for each variant. {content['episodes']} identical episodes for "
        f"every policy, {content['hazards']} with a hazard, {content['critical_hazards']} of them critical. "
        "In brackets 95 % intervals over scenarios and seeds.\n",
        markdown(["policy", *(column.heading for column in COLUMNS), "single seeds: critical crashes, %"], _rows(content)),
    ]
    if content["differences"]:
        rows = [
            [
                variant,
                *(cell(column, differences[column.key]["value"], differences[column.key]["interval"], signed=True) for column in COLUMNS),
            ]
            for variant, differences in content["differences"].items()
        ]
        lines.append(f"Difference to `{BASE}` on the same episodes; where the interval holds 0 it cannot be told from chance.\n")
        lines.append(markdown(["variant", *(column.heading for column in COLUMNS)], rows))
    return "\n".join(lines)


def _rows(content: dict[str, Any]) -> list[list[str]]:
    rows = []
    for kind in ("references", "variants"):
        for name, entry in content[kind].items():
            cells = [cell(column, entry["figures"][column.key]["value"], entry["figures"][column.key]["interval"]) for column in COLUMNS]
            seeds = entry["figures"][COLUMNS[0].key]["by_seed"].values()
            shown = f"**{name}**: {entry['meaning']}" if kind == "variants" else name
            rows.append([shown, *cells, by_seed(COLUMNS[0], list(seeds)) if kind == "variants" else ""])
    return rows


def _provenance(ablation: Ablation, records: Records) -> dict[str, Any]:
    layout = ablation.layout
    radios = {kind: ablation.measured_hash if path is None else sha256_of(path) for kind, path in ablation.radios.items()}
    runs = [(variant, seed) for variant, seeds in records.items() for seed in seeds]
    tables = [layout.references, *(layout.episodes(*run) for run in runs)]
    return collect_provenance(
        {
            "dataset_hash": ablation.dataset.hash,
            "emulator_params_hash": radios,
            "models_sha256": {layout.run(*run).root.name: sha256_of(layout.run(*run).model) for run in runs},
            "episodes_sha256": {path.name: sha256_of(path) for path in tables},
        }
    )
