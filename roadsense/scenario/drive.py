"""Driving scenarios without an agent: SUMO's drivers must get through them by themselves."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain

from roadsense.config import STEP_LENGTH_S, SumoSettings
from roadsense.errors import DependencyError, EgoNeverAppearedError, RoadSenseError, SumoError
from roadsense.scenario.convoy import HORIZON_S
from roadsense.scenario.dataset import Scenario
from roadsense.scenario.defect import Defect, DefectKind
from roadsense.scenario.order import ConvoyOrder
from roadsense.scenario.sumocfg import read_sumocfg
from roadsense.scenario.traffic import parse_time
from roadsense.state import SimulatorState
from roadsense.sumo.session import SumoSession

# Where the generator does not lay out the road, the route's end is the base's affair, but an episode must get beyond its warm-up.
_SHORTEST_DRIVE_S = 10.0

# Kind, the two cars, and one line.
_Finding = tuple[DefectKind, str, str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class DriveTask:
    """Scenarios, each with SUMO's seed, that one session drives one after the other."""

    scenarios: tuple[tuple[Scenario, int], ...]
    sumo: SumoSettings


def drive(task: DriveTask) -> list[Defect]:
    """Drive every scenario of a task for the horizon; returns what went wrong.

    Raises:
        DependencyError: SUMO is missing or has the wrong version.
    """
    defects: list[Defect] = []
    sessions: dict[str, SumoSession] = {}
    try:
        for scenario, seed in task.scenarios:
            if scenario.ego_id not in sessions:
                sessions[scenario.ego_id] = SumoSession(task.sumo, ego_id=scenario.ego_id)
            defects += _drive_one(sessions[scenario.ego_id], scenario, seed)
    finally:
        for session in sessions.values():
            session.close()
    return defects


def _drive_one(session: SumoSession, scenario: Scenario, seed: int) -> list[Defect]:
    try:
        return list(_observe(session, scenario, seed))
    except DependencyError:
        raise
    except EgoNeverAppearedError as problem:
        return [_defect(scenario, "late", problem.message)]
    except SumoError as problem:
        last_line = problem.log_tail.splitlines()[-1:]
        return [_defect(scenario, "simulator", "; ".join([problem.message, *last_line]))]
    except RoadSenseError as problem:
        return [_defect(scenario, "simulator", str(problem))]


def _observe(session: SumoSession, scenario: Scenario, seed: int) -> Iterator[Defect]:
    state = session.reset(scenario.options(), seed=seed)
    begin_s = _begin_s(scenario)
    watched = {scenario.ego_id, *(scenario.peer_ids or ())}
    yield from _late(scenario, state, watched, begin_s)
    if scenario.peer_ids is not None:  # on a foreign network the ego may need another lane to follow its route
        session.keep_lane(tuple(sorted(watched & set(state.vehicles.ids))))
    order = ConvoyOrder.drawn(scenario, session.route_edges(scenario.ego_id))
    reported: set[tuple[DefectKind, str, str]] = set()
    while state.time_s < begin_s + HORIZON_S:
        for kind, first, second, problem in chain(_contacts(state, watched), _disorder(state, order)):
            if (kind, first, second) not in reported:
                reported.add((kind, first, second))
                yield _defect(scenario, kind, problem)
        yield from _departures(scenario, state, watched, begin_s)
        if scenario.ego_id in state.arrived_ids:
            return
        state = session.step([])


def _late(scenario: Scenario, state: SimulatorState, watched: set[str], begin_s: float) -> Iterator[Defect]:
    if state.time_s > begin_s + 1.5 * STEP_LENGTH_S:
        late = f"the ego {scenario.ego_id} enters only at {state.time_s:.1f} s; let it depart at {begin_s:g} s with room in front"
        yield _defect(scenario, "late", late)
    missing = sorted(watched - set(state.vehicles.ids))
    if missing:
        yield _defect(scenario, "late", f"{', '.join(missing)} not on the road in the first step; give every car of the convoy room")


def _contacts(state: SimulatorState, watched: set[str]) -> Iterator[_Finding]:
    for collision in state.collisions:
        collider, victim = collision.collider_id, collision.victim_id
        if watched.intersection((collider, victim)):
            yield "collision", collider, victim, f"{collider} runs into {victim} at {state.time_s:.1f} s although nobody interferes"


def _disorder(state: SimulatorState, order: ConvoyOrder) -> Iterator[_Finding]:
    for leader, follower in order.broken(state.vehicles):
        yield "order", leader, follower, f"{leader} is not ahead of {follower} at {state.time_s:.1f} s; a convoy keeps its order"


def _departures(scenario: Scenario, state: SimulatorState, watched: set[str], begin_s: float) -> Iterator[Defect]:
    limit_s = HORIZON_S if scenario.peer_ids is not None else _SHORTEST_DRIVE_S
    if state.time_s - begin_s >= limit_s:
        return
    for vehicle_id in sorted(watched.intersection(state.arrived_ids)):
        after_s = state.time_s - begin_s
        problem = f"{vehicle_id} leaves the road after {after_s:.1f} s, expected {limit_s:.0f} s and more; lengthen its route"
        yield _defect(scenario, "left_road", problem)


def _begin_s(scenario: Scenario) -> float:
    options = read_sumocfg(scenario.sumocfg).options
    return next((parse_time(option.value) for option in options if option.name == "begin"), None) or 0.0


def _defect(scenario: Scenario, kind: DefectKind, problem: str) -> Defect:
    return Defect(scenario_id=scenario.scenario_id, kind=kind, problem=problem)
