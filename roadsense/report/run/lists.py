"""Runs that drove the same list of episodes, put side by side and judged again from their records."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from roadsense.env.record import EpisodeRecord
from roadsense.evaluation.judgement import BASELINE, judge
from roadsense.evaluation.metrics import critical_identities
from roadsense.evaluation.metrics_file import LEARNED
from roadsense.evaluation.paired import paired
from roadsense.evaluation.reference import REFERENCE_POLICIES
from roadsense.report.run.source import Source

# What a learned policy is held against first: the rule on the same radio messages.
YARDSTICK: Final = "ttc_radio"

# The order in which references are read: from nothing over rules to what is unavoidable.
_ORDER: Final = ("ttc_radio", "ttc_leader", "ttc_perfect_radio", "oracle", "never_brake", "always_brake", "random", "leak_rule")


@dataclass(frozen=True, slots=True, kw_only=True)
class EvaluationList:
    """Policies on identical episodes.

    Attributes:
        sources: the runs that drove this list, by the name of their judged policy in it.
        judged: names of the policies that are judged, in the order of the command line.
        records: episodes by name, the judged ones first, then the references.
        figures: figures by name, as in metrics.json.
        paired: for each judged policy its comparison with every other one.
        critical: identities of the critical hazards; None without never_brake.
    """

    sources: dict[str, Source]
    judged: tuple[str, ...]
    records: dict[str, list[EpisodeRecord]] = field(repr=False)
    figures: dict[str, dict[str, Any]] = field(repr=False)
    paired: dict[str, list[dict[str, Any]]] = field(repr=False)
    critical: frozenset[str] | None

    @property
    def references(self) -> tuple[str, ...]:
        """Names of the policies beside the judged ones."""
        return tuple(name for name in self.records if name not in self.judged)

    @property
    def against(self) -> str | None:
        """The reference the judged policies are held against: ttc_radio, else never_brake, if they drove this list."""
        return next((name for name in (YARDSTICK, BASELINE) if name in self.references), None)

    def pair(self, judged: str, other: str) -> Mapping[str, Any] | None:
        """The comparison of a judged policy with another one."""
        return next((pair for pair in self.paired[judged] if pair["b"] == other), None)


def evaluation_lists(sources: Sequence[Source]) -> tuple[EvaluationList, ...]:
    """Runs with the same episodes together, in the order of the command line.

    Raises:
        UsageError: policies of one run, or of runs on the same list, did not drive identical episodes.
    """
    lists: dict[frozenset[str], list[Source]] = {}
    for source in sources:
        lists.setdefault(frozenset(record.identity for record in source.records[source.judged]), []).append(source)
    names = _names(sources)
    return tuple(_judged_list(members, names) for members in lists.values())


def _judged_list(members: Sequence[Source], names: Mapping[int, str]) -> EvaluationList:
    judged: dict[str, Source] = {}
    others: dict[str, list[EpisodeRecord]] = {}
    records: dict[str, list[EpisodeRecord]] = {}
    for source in members:
        for policy, episodes in source.records.items():
            if policy in REFERENCE_POLICIES:
                others.setdefault(policy, episodes)  # the same in every run: a reference follows from the episode alone
            elif policy == source.judged:
                judged[names[id(source)]] = source
                records[names[id(source)]] = episodes
            else:
                others.setdefault(policy, episodes)
    if not judged:  # an evaluation of reference policies alone: its first one is the one that is judged
        first = members[0].judged
        judged, records = {first: members[0]}, {first: others.pop(first)}
    records |= {name: others[name] for name in sorted(others, key=_place)}
    judgement = judge(records)
    first, *further = judged
    against = {first: judgement.paired}
    for name in further:
        against[name] = [paired(name, records[name], other, records[other]) for other in records if other != name]
    return EvaluationList(
        sources=judged,
        judged=tuple(judged),
        records=records,
        figures=judgement.figures,
        paired=against,
        critical=frozenset(critical_identities(records[BASELINE])) if BASELINE in records else None,
    )


def _place(name: str) -> tuple[int, str]:
    return (_ORDER.index(name) if name in _ORDER else len(_ORDER), name)


def _names(sources: Sequence[Source]) -> dict[int, str]:
    """What each judged policy is called: as in the table for one run, by its directory for several, told apart where they share it.

    Evaluations of reference policies alone stand beside the runs and are not counted.
    """
    runs = [source for source in sources if source.judged not in REFERENCE_POLICIES] or sources
    if len(runs) == 1:
        return {id(source): source.judged for source in sources}
    plain = [source.name if source.judged == LEARNED else source.judged for source in sources]
    long = [f"{source.directory.resolve().parent.name}/{source.name}" for source in sources]
    names = [short if plain.count(short) == 1 else full for short, full in zip(plain, long, strict=True)]
    return {
        id(source): name if names.count(name) == 1 else f"{name} ({place})"
        for place, (source, name) in enumerate(zip(sources, names, strict=True), start=1)
    }
