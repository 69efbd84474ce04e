"""One episode of the convoy task: what is commanded before a step, and what a step meant."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import NamedTuple

from roadsense.config import STEP_LENGTH_S
from roadsense.env.braking import Braking
from roadsense.env.cornering import WINDOW_STEPS, Cornering
from roadsense.env.driving import EgoDriver
from roadsense.env.episodes import EpisodePlan
from roadsense.env.outcome import Outcome, judge
from roadsense.env.record import EpisodeRecord
from roadsense.env.reward import Reward, StepView
from roadsense.env.script import BenignBraking, draw_script
from roadsense.env.settings import TaskSettings
from roadsense.env.situation import LaneOffsets, RouteAhead, Situation, assess
from roadsense.env.statistics import EpisodeFacts, EpisodeStatistics
from roadsense.env.traffic import Traffic
from roadsense.errors import SumoError
from roadsense.radio.message import HeardPeers
from roadsense.seeding import stream
from roadsense.state import SimulatorState, SpeedCommand


class StepResult(NamedTuple):
    """What a step meant; `outcome` is None while the episode goes on."""

    reward: float
    terms: dict[str, float]
    outcome: Outcome | None


class ConvoyEpisode:
    """The course of one episode from the first decision on. Pure: it sees states and says commands, the session moves the cars.

    Args:
        settings: the task.
        plan: which episode it is.
        state: the state at the first decision.
        lanes: where the lanes ahead begin.
        route_edges: the ego's route.
        reward: terms and weights; outlives the episode because it imports the user's terms.
        recent_speeds_mps: the ego's speeds in the steps before.

    Raises:
        SumoError: the ego is not on the road.
        ConfigError: an own hazard cannot be used.
    """

    def __init__(
        self,
        settings: TaskSettings,
        plan: EpisodePlan,
        state: SimulatorState,
        lanes: LaneOffsets,
        route_edges: tuple[str, ...],
        *,
        reward: Reward,
        recent_speeds_mps: Iterable[float] = (),
    ) -> None:
        scenario = plan.scenario
        self._route = RouteAhead(lanes, route_edges, scenario.ego_id)
        situation = assess(state, state, self._route)
        if situation is None:
            raise SumoError(f"{scenario.scenario_id}: {scenario.ego_id} left the road during the warm-up; give it a longer route")
        self.plan = plan
        self._settings = settings
        self._ego_id = scenario.ego_id
        self._start_s = state.time_s
        self._situation = situation
        self._peer_count = len(scenario.peer_ids) if scenario.peer_ids is not None else len(state.vehicles) - 1
        self.script = draw_script(settings, self._peers_ahead(state), plan.identity)
        self._hazard_cancelled = False
        self._benign_driver = _benign_driver(self.script.benign)
        self._cornering = Cornering(float(state.vehicles.heading_rad[state.vehicles.index[self._ego_id]]))
        self._commanded_steps = 0  # in a row, up to now
        self._ego_driver = EgoDriver(settings, self._ego_id, self.script, stream(plan.identity, "driver"), recent_speeds_mps)
        self._reward = reward
        self.statistics = EpisodeStatistics(self.script)

    @property
    def situation(self) -> Situation:
        """The true situation at the next decision."""
        return self._situation

    def car_ahead(self, vehicle_id: str, state: SimulatorState) -> tuple[float, float]:
        """Distance from the ego's front bumper to a car's, and the car's speed in m/s; infinite and 0 when it is not ahead on the route."""
        row = state.vehicles.index.get(vehicle_id)
        if row is None or self._ego_id not in state.vehicles.index:
            return math.inf, 0.0
        start_m = float(self._route.starts_m(state.vehicles)[row])
        own_m = float(state.vehicles.lane_position_m[state.vehicles.index[self._ego_id]])
        distance_m = start_m + float(state.vehicles.lane_position_m[row]) - own_m
        return (distance_m, float(state.vehicles.speed_mps[row])) if distance_m > 0.0 else (math.inf, 0.0)

    def elapsed_s(self, state: SimulatorState) -> float:
        """Time since the first decision, rounded to whole steps so that sums of 0.1 do not shift an onset."""
        return round((state.time_s - self._start_s) / STEP_LENGTH_S) * STEP_LENGTH_S

    def before_step(self, action: float, state: SimulatorState) -> list[SpeedCommand]:
        """What the cars are told before the next step."""
        time_s = self.elapsed_s(state)
        ego_command = self._ego_driver.command(action, self._situation.speed_mps, time_s)
        self._commanded_steps = self._commanded_steps + 1 if ego_command.speed_mps is not None else 0
        others = self._hazard_commands(state, time_s) | self._benign_commands(state, time_s)
        return [ego_command, *(SpeedCommand(vehicle_id=name, speed_mps=speed_mps) for name, speed_mps in others.items())]

    def after_step(self, action: float, before: SimulatorState, after: SimulatorState) -> StepResult:
        """Judge the step from `before` to `after` and count it."""
        situation = assess(after, before, self._route)
        outcome = judge(
            after,
            situation,
            self._ego_id,
            corners_too_hard=self._corners_too_hard(after, situation),
            horizon_reached=self.statistics.steps + 1 >= self._settings.horizon_steps,
        )
        step = StepView(now=situation, before=self._situation, action=action, outcome=outcome)
        terms = self._reward.terms(step)
        reward = self._reward.total(terms)
        self.statistics.count(step, self.elapsed_s(before), terms, reward)
        if situation is not None:
            self._situation = situation
        return StepResult(reward=reward, terms=terms, outcome=outcome)

    def hear(self, heard: HeardPeers, state: SimulatorState) -> None:
        """Notice when the ego first knows of the hazard; `heard` is what the decision at `state` is made on."""
        hazard = self.script.hazard
        fired_s = self.statistics.hazard_fired_s
        if hazard is None or fired_s is None or hazard.vehicle_id not in heard.source_ids:
            return
        now_s = self.elapsed_s(state)
        measured_s = now_s - float(heard.age_s[heard.source_ids.index(hazard.vehicle_id)])
        # The first command shows in the state one step later; half a step is room for rounding.
        if measured_s > fired_s + STEP_LENGTH_S / 2:
            self.statistics.hazard_is_heard(now_s)

    def record(self, outcome: Outcome) -> EpisodeRecord:
        """The finished episode."""
        scenario = self.plan.scenario
        facts = EpisodeFacts(
            identity=self.plan.identity.label(), scenario_id=scenario.scenario_id, base=scenario.base, peer_count=self._peer_count
        )
        return self.statistics.record(outcome, facts)

    def _hazard_commands(self, state: SimulatorState, time_s: float) -> dict[str, float | None]:
        course = self.script.hazard_course
        if course is None or self._hazard_cancelled or time_s < course.hazard.onset_s:
            return {}
        traffic = self._traffic(state)
        if self.statistics.hazard_fired_s is None:
            # On a foreign network the car may have turned off before its onset: then it endangers nobody.
            if course.hazard.vehicle_id not in traffic.cars_ahead:
                self._hazard_cancelled = True
                return {}
            self.statistics.hazard_fires(time_s)
        return course.commands(time_s, traffic)

    def _benign_commands(self, state: SimulatorState, time_s: float) -> dict[str, float | None]:
        benign = self.script.benign
        if benign is None or self._benign_driver is None or time_s < benign.onset_s:
            return {}
        return self._benign_driver.commands(benign.vehicle_id, time_s, self._traffic(state))

    def _traffic(self, state: SimulatorState) -> Traffic:
        return Traffic(state, self._route)

    def _peers_ahead(self, state: SimulatorState) -> tuple[str, ...]:
        """The cars that a hazard may strike, nearest first: equipped, and of the convoy where the scenario has one."""
        peers = self.plan.scenario.peer_ids
        return tuple(car for car in self._traffic(state).cars_ahead if peers is None or car in peers)

    def _corners_too_hard(self, after: SimulatorState, situation: Situation | None) -> bool:
        """Whether the ego left the bend; SUMO's driver keeps to the speeds of its network, so only a second all under command is judged."""
        if situation is None:
            return False
        heading_rad = float(after.vehicles.heading_rad[after.vehicles.index[self._ego_id]])
        lateral_accel_mps2 = self._cornering.lateral_accel_mps2(heading_rad, situation.speed_mps)
        return self._commanded_steps >= WINDOW_STEPS and lateral_accel_mps2 > self._settings.max_lateral_accel_mps2


def _benign_driver(benign: BenignBraking | None) -> Braking | None:
    if benign is None:
        return None
    return Braking(decel_mps2=benign.decel_mps2, end_speed_fraction=benign.end_speed_fraction, hold_s=benign.hold_s)
