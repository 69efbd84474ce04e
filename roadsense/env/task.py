"""One episode of the convoy task: what is commanded before a step, and what a step meant."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import NamedTuple

from roadsense.config import STEP_LENGTH_S
from roadsense.env import ledger
from roadsense.env.braking import Braking
from roadsense.env.cornering import WINDOW_STEPS
from roadsense.env.driving import EgoDriver
from roadsense.env.episodes import EpisodePlan
from roadsense.env.ledger import new_ledger
from roadsense.env.outcome import Outcome, ego_contact, judge, judge_vanished
from roadsense.env.record import EpisodeRecord
from roadsense.env.reward import TERM_NAMES, Reward, StepView
from roadsense.env.script import BenignBraking, draw_script
from roadsense.env.settings import TaskSettings
from roadsense.env.situation import LaneOffsets, RouteAhead, Situation
from roadsense.env.statistics import EpisodeFacts, HazardTimes, summed_up
from roadsense.env.traffic import Traffic
from roadsense.errors import SumoError
from roadsense.radio.message import HeardPeers
from roadsense.seeding import stream
from roadsense.state import FloatArray, SimulatorState, SpeedCommand


class StepResult(NamedTuple):
    """What a step meant; `outcome` is None while the episode goes on."""

    reward: float
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
        self.plan = plan
        self._settings = settings
        self._ego_id = scenario.ego_id
        self._start_s = state.time_s
        self._route = RouteAhead(lanes, route_edges, scenario.ego_id)
        self._ledger_RC = new_ledger(settings.horizon_steps)
        self._steps = 0
        self._vehicle_ids = state.vehicles.ids  # those that the last row's leader is one of
        self._speed_mps = self._open(state)
        self._peer_count = len(scenario.peer_ids) if scenario.peer_ids is not None else len(state.vehicles) - 1
        self.script = draw_script(settings, self._peers_ahead(state), plan.identity)
        self.hazard_times = HazardTimes()
        self._hazard_cancelled = False
        self._benign_driver = _benign_driver(self.script.benign)
        self._first_event_s = min(
            math.inf if self.script.hazard_course is None else self.script.hazard_course.hazard.onset_s,
            math.inf if self.script.benign is None else self.script.benign.onset_s,
        )
        self._commanded_steps = 0  # in a row, up to now
        self._ego_driver = EgoDriver(settings, self._ego_id, self.script, stream(plan.identity, "driver"), recent_speeds_mps)
        self._reward = reward
        self._own_terms: dict[str, float] = {}  # of the last step
        self._own_sums: dict[str, float] = {}

    @property
    def situation(self) -> Situation:
        """The true situation at the next decision; after the ego has left the road, the last one on it."""
        row = self.latest.tolist()
        leader = int(row[ledger.LEADER])
        return Situation(
            speed_mps=row[ledger.SPEED_MPS],
            speed_limit_mps=row[ledger.LIMIT_MPS],
            accel_mps2=row[ledger.ACCEL_MPS2],
            leader_id=None if leader < 0 else self._vehicle_ids[leader],
            gap_m=row[ledger.GAP_M],
            leader_speed_mps=row[ledger.LEADER_SPEED_MPS],
        )

    @property
    def steps(self) -> int:
        """Decisions taken so far."""
        return self._steps

    @property
    def ledger(self) -> FloatArray:
        """What was true and earned so far: rows 0 to `steps`, columns of `roadsense.env.ledger`. Not to be written."""
        return self._ledger_RC[: self._steps + 1]

    @property
    def latest(self) -> FloatArray:
        """The last row of the ledger with the ego on the road: (C,)."""
        row: FloatArray = self._ledger_RC[self._steps]
        return row if row[ledger.ON_ROAD] else self._ledger_RC[self._steps - 1]

    @property
    def starts_m(self) -> FloatArray:
        """Where the lane of each vehicle begins on the ego's route, as of the last state with the ego on the road: (N,)."""
        return self._route.known_starts_m

    @property
    def ego_id(self) -> str:
        """The ego's vehicle id."""
        return self._ego_id

    def reward_terms(self) -> dict[str, float]:
        """The unweighted reward terms of the last step, the built-in ones first."""
        built_in = self._ledger_RC[self._steps, ledger.FIRST_TERM : ledger.REWARD].tolist()
        return {**dict(zip(TERM_NAMES, built_in, strict=True)), **self._own_terms}

    def elapsed_s(self, state: SimulatorState) -> float:
        """Time since the first decision, rounded to whole steps so that sums of 0.1 do not shift an onset."""
        return round((state.time_s - self._start_s) / STEP_LENGTH_S) * STEP_LENGTH_S

    def before_step(self, action: float, state: SimulatorState) -> list[SpeedCommand]:
        """What the cars are told before the next step."""
        time_s = self._steps * STEP_LENGTH_S
        ego_command = self._ego_driver.command(action, self._speed_mps, time_s)
        self._commanded_steps = 0 if ego_command.speed_mps is None else self._commanded_steps + 1
        if time_s < self._first_event_s:
            return [ego_command]
        others = self._hazard_commands(state, time_s) | self._benign_commands(state, time_s)
        return [ego_command, *(SpeedCommand(vehicle_id=name, speed_mps=speed_mps) for name, speed_mps in others.items())]

    def after_step(self, action: float, after: SimulatorState) -> StepResult:
        """Judge the step that led to `after`, and write it down."""
        decided_s, vehicles = self._steps * STEP_LENGTH_S, after.vehicles
        situation_before = self.situation if self._reward.has_own_terms else None
        self._steps += 1
        ego = vehicles.index.get(self._ego_id)
        if ego is None:
            row = self._ledger_RC[self._steps]
            row[ledger.DECIDED_S], row[ledger.ACTION] = decided_s, action
            reward = 0.0
            outcome: Outcome | None = judge_vanished(after, self._ego_id)
        else:
            contact = ego_contact(after, self._ego_id) if after.collisions else None
            starts_m = self._route.starts_m(vehicles)
            reward, gap_m, self._speed_mps, lateral_accel_mps2 = ledger.settle(
                self._ledger_RC,
                self._steps,
                ego,
                starts_m,
                vehicles.lane_position_m,
                vehicles.length_m,
                vehicles.speed_mps,
                vehicles.heading_rad,
                self._route.limit_mps,
                decided_s,
                action,
                contact is Outcome.COLLISION,
                self._reward.weights,
            )
            self._vehicle_ids = vehicles.ids
            outcome = judge(
                gap_m=gap_m,
                contact=contact,
                # SUMO's driver keeps to the speeds of its network, so only a second all under command is judged.
                corners_too_hard=lateral_accel_mps2 > self._settings.max_lateral_accel_mps2 and self._commanded_steps >= WINDOW_STEPS,
                horizon_reached=self._steps >= self._settings.horizon_steps,
            )
        if situation_before is not None:
            now = None if ego is None else self.situation
            reward += self._own_reward(StepView(now=now, before=situation_before, action=action, outcome=outcome))
        return StepResult(reward, outcome)

    def _own_reward(self, step: StepView) -> float:
        """The share of the user's own terms in the reward of the last step, which is written down with them."""
        self._own_terms = self._reward.own_terms(step)
        for name, value in self._own_terms.items():
            self._own_sums[name] = self._own_sums.get(name, 0.0) + value
        own = self._reward.own_total(self._own_terms)
        self._ledger_RC[self._steps, ledger.REWARD] += own
        return own

    def hear(self, heard: HeardPeers, state: SimulatorState) -> None:
        """Notice when the ego first knows of the hazard; `heard` is what the decision at `state` is made on."""
        hazard = self.script.hazard
        fired_s = self.hazard_times.fired_s
        if hazard is None or fired_s is None or self.hazard_times.heard_s is not None or hazard.vehicle_id not in heard.source_ids:
            return
        now_s = self.elapsed_s(state)
        measured_s = now_s - float(heard.age_s[heard.source_ids.index(hazard.vehicle_id)])
        # The first command shows in the state one step later; half a step is room for rounding.
        if measured_s > fired_s + STEP_LENGTH_S / 2:
            self.hazard_times.is_heard(now_s)

    def record(self, outcome: Outcome) -> EpisodeRecord:
        """The finished episode."""
        scenario = self.plan.scenario
        facts = EpisodeFacts(
            identity=self.plan.identity.label(), scenario_id=scenario.scenario_id, base=scenario.base, peer_count=self._peer_count
        )
        return summed_up(self.ledger, outcome, facts, self.script, self.hazard_times, self._own_sums)

    def _open(self, state: SimulatorState) -> float:
        """Write down the moment of the first decision; the ego's speed then."""
        vehicles = state.vehicles
        ego = vehicles.index.get(self._ego_id)
        if ego is None:
            raise SumoError(f"{self.plan.scenario.scenario_id}: {self._ego_id} left the road during the warm-up; give it a longer route")
        starts_m = self._route.starts_m(vehicles)
        ledger.look(
            self._ledger_RC,
            0,
            ego,
            starts_m,
            vehicles.lane_position_m,
            vehicles.length_m,
            vehicles.speed_mps,
            vehicles.heading_rad,
            self._route.limit_mps,
        )
        self._ledger_RC[0, ledger.ACCEL_MPS2] = vehicles.accel_mps2[ego]
        return float(vehicles.speed_mps[ego])

    def _hazard_commands(self, state: SimulatorState, time_s: float) -> dict[str, float | None]:
        course = self.script.hazard_course
        if course is None or self._hazard_cancelled or time_s < course.hazard.onset_s:
            return {}
        traffic = self._traffic(state)
        if self.hazard_times.fired_s is None:
            # On a foreign network the car may have turned off before its onset: then it endangers nobody.
            if course.hazard.vehicle_id not in traffic.cars_ahead:
                self._hazard_cancelled = True
                return {}
            self.hazard_times.fires(time_s)
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


def _benign_driver(benign: BenignBraking | None) -> Braking | None:
    if benign is None:
        return None
    return Braking(decel_mps2=benign.decel_mps2, end_speed_fraction=benign.end_speed_fraction, hold_s=benign.hold_s)
