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
from roadsense.evaluation.episode_table import evaluation_records
from roadsense.evaluation.figures import FIGURES, Figure, critical_figure
from roadsense.evaluation.judgement import BASELINE
from roadsense.evaluation.metrics import critical_identities
from roadsense.evaluation.metrics_file import LEARNED
from roadsense.evaluation.pooled import pooled, pooled_difference
from roadsense.report.figures.ablation import ablation_figure
from roadsense.report.figures.theme import Drawing, write_figures

Records = dict[str, dict[int, list[EpisodeRecord]]]  # by variant, then seed


def write_result(ablation: Ablation, seeds: Sequence[int]) -> str:
    """Judge the variants over these seeds and write the result; the Markdown that was written.

    Raises:
        RunDirectoryError: an evaluation is missing or damaged. UsageError: the evaluations are not of identical episodes.
    """
    layout, variants = ablation.layout, ablation.settings.variant_list
    references = evaluation_records(layout.references)
    records: Records = {
        variant: {seed: evaluation_records(layout.episodes(variant, seed))[LEARNED] for seed in seeds} for variant in variants
    }
    figures = _figures(references)
    content = {
        "dataset_hash": ablation.dataset.hash,
        "episodes": len(ablation.episodes),
        "hazards": sum(record.hazard_fired for record in references[BASELINE]),
        "critical_hazards": len(critical_identities(references[BASELINE])),
        "rounds": ablation.settings.rounds,
        "total_timesteps": ablation.settings.total_timesteps,
        "seeds": list(seeds),
        "variants": {
            variant: {"meaning": VARIANTS[variant].meaning, "figures": {of.key: as_json(pooled(of, records[variant])) for of in figures}}
            for variant in variants
        },
        "references": {
            name: {"figures": {of.key: as_json(pooled(of, {0: references[name]})) for of in figures}} for name in REFERENCES
        },
        "differences": _differences(records, figures),
    }
    text = _markdown(content)
    write_json(layout.root / "ablation.json", content | {"provenance": _provenance(ablation, variants, seeds)})
    with atomic_path(layout.root / "ablation.md") as temporary:
        temporary.write_text(text, encoding="utf-8")
    caption = "Crashes in critical hazards and false braking of each variant, pooled over seeds with 95 % intervals; small: single seeds"
    write_figures([Drawing(name="ablation", caption=caption, draw=partial(ablation_figure, content))], layout.root)
    return text


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
    seeds = content["seeds"]
    lines = [
        f"{len(seeds)} seeds of {content['total_timesteps']:,} steps for each variant; {content['episodes']} identical episodes for every policy, "
        f"{content['hazards']} with a hazard, {content['critical_hazards']} of them critical. "
        "In brackets 95 % intervals over scenarios and seeds.\n",
        markdown(["policy", *(column.heading for column in COLUMNS), "single seeds: critical crashes, %"], _rows(content)),
    ]
    if content["differences"]:
        rows = [
            [variant, *(cell(column, differences[column.key]["value"], differences[column.key]["interval"], signed=True) for column in COLUMNS)]
            for variant, differences in content["differences"].items()
        ]
        lines.append(f"Difference to `{BASE}` on the same episodes; an interval that holds 0 is no difference that can be told from chance.\n")
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


def _provenance(ablation: Ablation, variants: Sequence[str], seeds: Sequence[int]) -> dict[str, Any]:
    layout = ablation.layout
    radios = {kind: ablation.measured_hash if path is None else sha256_of(path) for kind, path in ablation.radios.items()}
    tables = [layout.references, *(layout.episodes(variant, seed) for variant in variants for seed in seeds)]
    models = {layout.run(variant, seed).root.name: sha256_of(layout.run(variant, seed).model) for variant in variants for seed in seeds}
    return collect_provenance(
        {
            "dataset_hash": ablation.dataset.hash,
            "emulator_params_hash": radios,
            "models_sha256": models,
            "episodes_sha256": {path.name: sha256_of(path) for path in tables},
        }
    )
