"""One episode of the convoy task: what is commanded before a step, and what a step meant."""

from __future__ import annotations

from dataclasses import dataclass

from roadsense.config import STEP_LENGTH_S
from roadsense.env.cornering import Cornering
from roadsense.env.driving import EgoDriver, HazardDriver
from roadsense.env.episodes import EpisodePlan
from roadsense.env.outcome import Outcome, judge
from roadsense.env.record import EpisodeRecord
from roadsense.env.reward import reward_terms, weighted_sum
from roadsense.env.script import draw_script
from roadsense.env.settings import TaskSettings
from roadsense.env.situation import LaneOffsets, Situation, assess, cars_ahead
from roadsense.env.statistics import EpisodeStatistics
from roadsense.errors import SumoError
from roadsense.features import RELEASE_THRESHOLD
from roadsense.seeding import stream
from roadsense.state import SimulatorState, SpeedCommand


@dataclass(frozen=True, slots=True, kw_only=True)
class StepResult:
    """What a step meant; `outcome` is None while the episode goes on."""

    reward: float
    terms: dict[str, float]
    outcome: Outcome | None


class ConvoyEpisode:
    """The course of one episode from the first decision on. Pure: it sees states and says commands, the session moves the cars."""

    def __init__(
        self, settings: TaskSettings, plan: EpisodePlan, state: SimulatorState, lanes: LaneOffsets, route_edges: tuple[str, ...]
    ) -> None:
        ego_id = plan.scenario.ego_id
        situation = assess(state, state, ego_id, lanes, route_edges)
        if situation is None:
            raise SumoError(f"{plan.scenario.scenario_id}: {ego_id} left the road during the warm-up; give it a longer route")
        self.plan = plan
        self._settings = settings
        self._lanes, self._route_edges = lanes, route_edges
        self._ego_id = ego_id
        self._start_s = state.time_s
        self._initial_speed_mps = situation.speed_mps
        self._situation = situation
        equipped = plan.scenario.peer_ids
        self._peer_count = len(equipped) if equipped is not None else len(state.vehicles) - 1
        ahead = cars_ahead(state.vehicles, ego_id, lanes, route_edges)
        self.script = draw_script(settings, tuple(car for car in ahead if equipped is None or car in equipped), plan.identity)
        self._cornering = Cornering(float(state.vehicles.heading_rad[state.vehicles.index[ego_id]]))
        self._ego_is_commanded = False
        self._ego_driver = EgoDriver(settings, ego_id, self.script, stream(plan.identity, "driver"))
        self._hazard_driver = HazardDriver(self.script.hazard) if self.script.hazard else None
        self.statistics = EpisodeStatistics(self.script.hazard)

    @property
    def situation(self) -> Situation:
        """The true situation at the next decision."""
        return self._situation

    def before_step(self, action: float, state: SimulatorState) -> list[SpeedCommand]:
        """What the cars are told before the next step."""
        time_s = self._time_s(state)
        ego_command = self._ego_driver.command(action, self._situation.speed_mps, time_s)
        self._ego_is_commanded = ego_command.speed_mps is not None
        commands = [ego_command]
        if self._hazard_driver is not None:
            row = state.vehicles.index.get(self._hazard_driver.hazard.vehicle_id)
            command = self._hazard_driver.command(float(state.vehicles.speed_mps[row]), time_s) if row is not None else None
            if command is not None:
                self.statistics.hazard_fires()
                commands.append(command)
        return commands

    def after_step(self, action: float, before: SimulatorState, after: SimulatorState) -> StepResult:
        """Judge the step from `before` to `after` and count it."""
        situation = assess(after, before, self._ego_id, self._lanes, self._route_edges)
        outcome = judge(
            after,
            situation,
            self._ego_id,
            corners_too_hard=self._corners_too_hard(after, situation),
            horizon_reached=self.statistics.steps + 1 >= self._settings.horizon_steps,
        )
        terms = reward_terms(
            situation,
            self._situation,
            agent_brakes=action > RELEASE_THRESHOLD,
            initial_speed_mps=self._initial_speed_mps,
            outcome=outcome,
        )
        reward = weighted_sum(terms, self._settings.reward)
        self.statistics.count(action, self._time_s(before), terms, reward, situation, outcome)
        if situation is not None:
            self._situation = situation
        return StepResult(reward=reward, terms=terms, outcome=outcome)

    def _corners_too_hard(self, after: SimulatorState, situation: Situation | None) -> bool:
        """Whether the ego left the bend. SUMO's own driver keeps to the speeds of its network and is not judged."""
        if situation is None:
            return False
        heading_rad = float(after.vehicles.heading_rad[after.vehicles.index[self._ego_id]])
        lateral_accel_mps2 = self._cornering.lateral_accel_mps2(heading_rad, situation.speed_mps)
        return self._ego_is_commanded and lateral_accel_mps2 > self._settings.max_lateral_accel_mps2

    def record(self, outcome: Outcome) -> EpisodeRecord:
        """The finished episode."""
        scenario = self.plan.scenario
        return self.statistics.record(
            outcome,
            identity=self.plan.identity.label(),
            scenario_id=scenario.scenario_id,
            base=scenario.base,
            peer_count=self._peer_count,
            distracted=self.script.distraction is not None,
        )

    def _time_s(self, state: SimulatorState) -> float:
        """Time since the first decision, rounded to whole steps so that sums of 0.1 do not shift an onset."""
        return round((state.time_s - self._start_s) / STEP_LENGTH_S) * STEP_LENGTH_S
