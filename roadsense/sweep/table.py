"""The result of a sweep: table.md for people, table.json for programs."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any, Final

from rich import box
from rich.console import Console
from rich.table import Table

from roadsense.artifacts.cost import cost_so_far
from roadsense.sweep.final import Judged
from roadsense.training.sweep.files import SweepFile, TrialFile
from roadsense.training.sweep.space import shown
from roadsense.training.sweep.spread import Spread
from roadsense.training.sweep.tuning import Tuned

# Heading, figure of metrics.json, factor, digits. No return: with other reward weights it is another quantity.
_COLUMNS: Final = (
    ("critical crashes %", "critical_hazard_collision_rate", 100, 1),
    ("hazard crashes %", "hazard_collision_rate", 100, 1),
    ("false braking %", "false_braking_rate", 100, 2),
    ("reaction s", "avg_reaction_s", 1, 2),
    ("peak m/s2", "avg_peak_braking_mps2", 1, 1),
    ("impact m/s", "avg_impact_speed_mps", 1, 1),
    ("driven m", "avg_progress_m", 1, 0),
)
_ABSENT: Final = "--"


def content(sweep: SweepFile, tuned: Tuned, trials: Sequence[TrialFile], judged: Sequence[Judged]) -> dict[str, Any]:
    """table.json: every trial with its rungs, the judged ones with their figures, and what the differences are worth.

    Args:
        sweep: what was asked for.
        tuned: what came of the trials.
        trials: all of them.
        judged: the best ones, best first, then the base configuration, then the reference policies.
    """
    cost = cost_so_far()
    settings = sweep.settings
    return {
        "timestamp": datetime.now(UTC).isoformat(timespec="seconds"),
        "objective": f"critical_hazard_collision_rate + {settings.false_braking_weight:g} * false_braking_rate",
        "algorithm": settings.algorithm,
        "rungs": list(settings.rungs),
        "rounds": settings.rounds,
        "dataset_hash": sweep.dataset_hash,
        "stopped_by": tuned.stopped_by,
        "timesteps": tuned.steps,
        "elapsed_s": round(tuned.elapsed_s, 1),
        "cost": None if cost is None else cost.as_dict(),
        "trials": [_trial(sweep, trial, tuned) for trial in trials],
        "judged": [_row(one) for one in judged],
        "verdict": verdict(sweep, trials, judged),
    }


def verdict(sweep: SweepFile, trials: Sequence[TrialFile], judged: Sequence[Judged]) -> dict[str, Any]:
    """Whether the best trial is better than the base configuration by more than its seeds differ, and by more than luck gives."""
    base = [one.objective.objective for one in judged if _is_base(sweep, one) and one.objective is not None]
    drawn = [one for one in judged if one.trial is not None and not _is_base(sweep, one) and one.objective is not None]
    if not drawn:
        return {"text": "no trial has been measured", "stable": None, "better_than_luck": None}
    best = min(drawn, key=lambda one: one.objective.objective if one.objective is not None else 0.0)
    value = best.objective.objective if best.objective is not None else 0.0
    said: dict[str, Any] = {"best": best.name, "objective": value, "stable": None, "better_than_luck": None}
    if len(base) < 2:
        why = "with fewer than two seeds of the base configuration nobody knows whether that is luck (--base_seeds 3)"
        return said | {"text": f"{best.name} has the lowest objective, {100 * value:.1f}; {why}"}
    spread = Spread.of(base, sum(not spec.is_base for spec in sweep.trials))
    gain = spread.mean - value
    better = gain > spread.luck
    over_trials = _spread_over_trials(sweep, trials)
    said |= {
        "stable": spread.stable,
        "better_than_luck": better,
        "gain": gain,
        "seeds": asdict(spread),
        "deviation_over_trials": over_trials,
    }
    ending = (
        f"better by {100 * gain:.1f} than the base configuration's mean of {100 * spread.mean:.1f}, which is more than luck gives"
        if better
        else f"{100 * abs(gain):.1f} {'below' if gain >= 0 else 'above'} the base configuration's mean of {100 * spread.mean:.1f}: "
        "NO MORE THAN LUCK gives; do not change the base configuration for it"
    )
    trials_say = "" if over_trials is None else f" Over trials the standard deviation at the first rung is {100 * over_trials:.1f}."
    return said | {"text": f"{best.name} has the lowest objective, {100 * value:.1f}: {ending}. There, {spread.describe()}.{trials_say}"}


def print_table(console: Console, table: Mapping[str, Any]) -> None:
    """The judged policies for a terminal, and the verdict."""
    title = f"{table['rounds']} rounds of the evaluation list; objective: {table['objective']}"
    shown_table = Table(title=title, title_justify="left", box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0), pad_edge=False, show_edge=False)
    for heading in ("policy", "steps", "objective", "critical\ncrashes", "false\nbraking", "react\ns"):
        shown_table.add_column(heading, justify="left" if heading == "policy" else "right", no_wrap=heading != "objective")
    for row in table["judged"]:
        found, figures, intervals = row["objective"] or {}, row["figures"], row["intervals"]
        shown_table.add_row(
            row["name"],
            _ABSENT if row["timesteps"] is None else f"{row['timesteps']:,}",
            _cell(found.get("objective"), found.get("objective_interval"), 100, 1),
            _cell(figures["critical_hazard_collision_rate"], intervals["critical_hazard_collision_rate"], 100, 1),
            _cell(figures["false_braking_rate"], intervals["false_braking_rate"], 100, 2),
            _cell(figures["avg_reaction_s"], None, 1, 2),
        )
    console.print(shown_table)
    console.print("objective and rates in percent, lower is better; in brackets 95 % intervals\n", soft_wrap=True)
    for row in table["judged"]:
        if row["drawn"]:
            console.print(f"{row['name']}: {shown(row['drawn'])}", soft_wrap=True)
    console.print("", table["verdict"]["text"], _spent(table), sep="\n", soft_wrap=True)


def markdown(table: Mapping[str, Any]) -> str:
    """table.md from table.json."""
    lines = [
        f"# Sweep: {table['algorithm']}, {len(table['trials'])} trials",
        "",
        f"Objective: {table['objective']}, in percent; lower is better. Figures on {table['rounds']} rounds of the evaluation list of "
        f"dataset {table['dataset_hash'][:12]}, in brackets 95 % intervals (docs/evaluation.md). Rungs at "
        f"{', '.join(f'{rung:,}' for rung in table['rungs'])} steps.",
        "",
        table["verdict"]["text"],
        "",
        f"| policy | configuration | steps | objective | {' | '.join(heading for heading, *_ in _COLUMNS)} |",
        "|---" * (4 + len(_COLUMNS)) + "|",
    ]
    lines += [_markdown_row(row) for row in table["judged"]]
    lines += ["", "All trials, by how far they came; the objective is the one of their last rung (training scenarios, short list):", ""]
    lines += ["| trial | configuration | steps | objective | crashes % | false braking % | |", "|---|---|---|---|---|---|---|"]
    ordered = sorted(
        table["trials"], key=lambda trial: (-trial["timesteps"], trial["objective"] if trial["objective"] is not None else 9.0)
    )
    lines += [_markdown_trial(trial) for trial in ordered]
    lines += ["", _spent(table), ""]
    return "\n".join(lines)


def _trial(sweep: SweepFile, trial: TrialFile, tuned: Tuned) -> dict[str, Any]:
    last = trial.last
    status = "failed" if trial.name in tuned.failed else "unfinished" if trial.name in tuned.unfinished else "finished"
    if status == "finished" and last is not None and last.timesteps < sweep.settings.total_timesteps:
        status = "stopped"
    return {
        "name": trial.name,
        "seed": trial.seed,
        "drawn": trial.drawn,
        "status": status,
        "why": tuned.failed.get(trial.name),
        "timesteps": 0 if last is None else last.timesteps,
        "objective": None if last is None else last.objective,
        "rungs": [rung.model_dump(mode="json") for rung in trial.rungs],
        "taken_over": [one.model_dump(mode="json") for one in trial.taken_over],
    }


def _row(one: Judged) -> dict[str, Any]:
    return {
        "name": one.name,
        "drawn": None if one.trial is None else one.trial.drawn,
        "timesteps": None if one.trial is None or one.trial.last is None else one.trial.last.timesteps,
        "objective": None if one.objective is None else one.objective.as_dict(),
        "figures": {key: one.figures[key] for _, key, _, _ in _COLUMNS},
        "intervals": {key: one.figures["intervals"].get(key) for _, key, _, _ in _COLUMNS},
    }


def _markdown_row(row: Mapping[str, Any]) -> str:
    drawn = "reference" if row["drawn"] is None else shown(row["drawn"]) or "base"
    steps = _ABSENT if row["timesteps"] is None else f"{row['timesteps']:,}"
    found = row["objective"] or {}
    cells = [row["name"], drawn, steps, _cell(found.get("objective"), found.get("objective_interval"), 100, 1)]
    cells += [_cell(row["figures"][key], row["intervals"][key], factor, digits) for _, key, factor, digits in _COLUMNS]
    return f"| {' | '.join(cells)} |"


def _markdown_trial(trial: Mapping[str, Any]) -> str:
    last = trial["rungs"][-1] if trial["rungs"] else None
    figures = [_ABSENT] * 3
    if last is not None:
        figures = [
            f"{100 * last['objective']:.1f}",
            f"{100 * last['critical_hazard_collision_rate']:.1f}",
            f"{100 * last['false_braking_rate']:.2f}",
        ]
    remark = trial["status"] + (f": {trial['why']}" if trial["why"] else "")
    if trial["taken_over"]:
        remark += ", took over " + ", ".join(f"{one['trial']} at {one['timesteps']:,}" for one in trial["taken_over"])
    cells = [trial["name"], shown(trial["drawn"]) or f"base, seed {trial['seed']}", f"{trial['timesteps']:,}", *figures, remark]
    return f"| {' | '.join(cells)} |"


def _cell(value: float | None, interval: Sequence[float] | None, factor: float, digits: int) -> str:
    if value is None:
        return _ABSENT
    shown_value = f"{factor * value:.{digits}f}"
    if interval is None:
        return shown_value
    return f"{shown_value} ({factor * interval[0]:.{digits}f} to {factor * interval[1]:.{digits}f})"


def _spent(table: Mapping[str, Any]) -> str:
    cost = table["cost"]
    money = "" if cost is None else f", ${cost['cost_usd']:.2f} (at most ${cost['cost_usd_at_most']:.2f})"
    early = "" if table["stopped_by"] is None else f" Ended early by {table['stopped_by']}."
    return f"{table['timesteps']:,} environment steps in {table['elapsed_s'] / 60:.1f} minutes{money}.{early}"


def _spread_over_trials(sweep: SweepFile, trials: Sequence[TrialFile]) -> float | None:
    base = {spec.name for spec in sweep.trials if spec.is_base}
    first = [trial.rungs[0].objective for trial in trials if trial.rungs and trial.name not in base]
    return statistics.stdev(first) if len(first) > 1 else None


def _is_base(sweep: SweepFile, one: Judged) -> bool:
    return any(spec.name == one.name and spec.is_base for spec in sweep.trials)
