"""The answer in words: what the numbers say of a policy, and what they do not. Every number carries its interval."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from roadsense.report.run.lists import EvaluationList

_ABSENT: Final = "—"


@dataclass(frozen=True, slots=True, kw_only=True)
class Tile:
    """One large number, ready to be shown; `theirs` is the same of the yardstick, empty without one."""

    label: str
    value: str
    interval: str
    theirs: str
    their_interval: str
    note: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What stands at the top for one policy: a sentence, what it rests on, and three tiles."""

    policy: str
    verdict: str
    basis: str
    tiles: tuple[Tile, ...]


def answer(listed: EvaluationList, policy: str) -> Answer:
    """The answer for one judged policy."""
    figures = listed.figures[policy]
    key = "critical_hazard_collision_rate" if listed.critical is not None else "hazard_collision_rate"
    what = "critical hazards" if listed.critical is not None else "hazards"
    count = figures["critical_hazards"] if listed.critical is not None else figures["hazard_episodes"]
    crashes = figures["critical_hazard_collisions"] if listed.critical is not None else figures["hazard_collisions"]
    tiles = (
        _tile(listed, policy, f"crashes in {what}", key, percent, f"{crashes} of {count}"),
        _tile(listed, policy, "false braking", "false_braking_rate", percent, "of the steps outside hazards"),
        _tile(listed, policy, "reaction time", "avg_reaction_s", seconds, "after the first message heard"),
    )
    faults = f"; {figures['faults']} broke off when the simulator failed and count for nothing" if figures["faults"] else ""
    basis = (
        f"{figures['eval_episodes']} episodes on {figures['scenarios_evaluated']} scenarios, "
        f"{figures['hazard_episodes']} with a hazard{faults}. Intervals are 95 %."
    )
    return Answer(policy=policy, verdict=_verdict(listed, policy), basis=basis, tiles=tiles)


def _tile(listed: EvaluationList, policy: str, label: str, key: str, form: Any, note: str) -> Tile:
    figures = listed.figures[policy]
    theirs = listed.figures[listed.against] if listed.against is not None else None
    return Tile(
        label=label,
        value=form(figures[key]),
        interval=interval_text(figures["intervals"][key], form).strip(),
        theirs=form(theirs[key]) if theirs is not None else "",
        their_interval=interval_text(theirs["intervals"][key], form).strip() if theirs is not None else "",
        note=note,
    )


def _verdict(listed: EvaluationList, policy: str) -> str:
    """One or two sentences against the yardstick, as far as the paired intervals carry."""
    if listed.against is None:
        return "No reference policy drove these episodes, so there is nothing to hold the figures against."
    pair = listed.pair(policy, listed.against)
    if pair is None:
        return f"{policy} was not compared with {listed.against}."
    other = listed.against
    by_crashes, by_braking = _by_how_much(pair, "hazard_collision_rate_difference"), _by_how_much(pair, "false_braking_rate_difference")
    crashes = compared(pair, "hazard_collision_rate_difference", "crashes less often", "crashes more often")
    braking = compared(pair, "false_braking_rate_difference", "brakes less for nothing", "brakes more for nothing")
    if crashes is None:
        first = f"On these episodes no difference in hazard crashes between {policy} and {other} is shown ({by_crashes})"
    else:
        first = f"{policy} {crashes} in hazards than {other} ({by_crashes})"
    if braking is None:
        return f"{first}, {'nor one' if crashes is None else 'while no difference is shown'} in false braking ({by_braking})."
    return f"{first}, {'but' if crashes is None or crashes[:12] != braking[:12] else 'and'} {policy} {braking} ({by_braking})."


def _by_how_much(pair: Mapping[str, Any], key: str) -> str:
    value, interval = pair[key], pair["intervals"][key]
    if value is None:
        return "no case"
    return f"{points(value)} points" + ("" if interval is None else f", interval {points(interval[0])} to {points(interval[1])}")


def spread(listed: EvaluationList) -> str:
    """What is known of the spread between trainings: the range over several judged policies, or that one says nothing about it."""
    if len(listed.judged) == 1:
        if next(iter(listed.sources.values())).training is None:
            return ""
        return "One policy of one training: another seed gives another policy, and this report says nothing about that spread."
    key = "critical_hazard_collision_rate" if listed.critical is not None else "hazard_collision_rate"
    rates = [rate for name in listed.judged if (rate := listed.figures[name][key]) is not None]
    if not rates:
        return ""
    what = "critical hazards" if listed.critical is not None else "hazards"
    return f"Between the {len(listed.judged)} policies, crashes in {what} range from {percent(min(rates))} to {percent(max(rates))}."


def compared(pair: Mapping[str, Any], key: str, less: str, more: str) -> str | None:
    """`less` or `more` where the interval of the difference lies on one side of 0, else None: not shown."""
    interval = pair["intervals"][key]
    if interval is None:
        return None
    return less if interval[1] < 0 else more if interval[0] > 0 else None


def percent(share: float | None) -> str:
    """0.163 as 16 %, 0.0021 as 0.2 %: whole percents from 10 on, where the intervals are wider than a digit."""
    if share is None:
        return _ABSENT
    return f"{100 * share:.1f} %" if abs(100 * share) < 9.95 else f"{100 * share:.0f} %"


def points(share: float) -> str:
    """A difference of shares in percentage points with its sign."""
    return f"{100 * share:+z.1f}".replace("-", "−")


def seconds(value: float | None) -> str:
    """Two digits after the point."""
    return _ABSENT if value is None else f"{value:z.2f} s".replace("-", "−")


def number(value: float | None, digits: int = 1) -> str:
    """A number, or a dash where there is no case."""
    return _ABSENT if value is None else f"{value:z,.{digits}f}".replace("-", "−")


def interval_text(interval: Sequence[float] | None, form: Any) -> str:
    """The interval in brackets, with a space before; nothing where there is none."""
    if interval is None:
        return ""
    low, high = (form(end).removesuffix(" %").removesuffix(" s") for end in interval)
    return f" ({low} to {high})"


def difference_text(pair: Mapping[str, Any], key: str, form: Any) -> str:
    """A difference with its interval and unit."""
    value, interval = pair[key], pair["intervals"][key]
    if value is None:
        return "no case"
    ends = "" if interval is None else f" ({form(interval[0])} to {form(interval[1])})"
    return f"{form(value)}{ends} points"
