"""`RoadSense-Convoy-v0`: brake in time for what the radio tells, without braking for nothing."""

from __future__ import annotations

import math
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Literal, NamedTuple, cast

import gymnasium
import numpy as np
from numpy.typing import NDArray

from roadsense.config import DEFAULT_EGO_ID, STEP_LENGTH_S, SumoSettings
from roadsense.env.episodes import (
    Assignment,
    EpisodePlan,
    EpisodeSource,
    EvaluationEpisodes,
    TrainingEpisodes,
    evaluation_plan,
    recorded_plan,
)
from roadsense.env.observation import Observation
from roadsense.env.outcome import Outcome
from roadsense.env.record import EpisodeRecord
from roadsense.env.reward import Reward
from roadsense.env.settings import TaskSettings
from roadsense.env.task import ConvoyEpisode
from roadsense.errors import UsageError
from roadsense.extensions import import_callable
from roadsense.peer_set import PeerSet, action_space, observation_space
from roadsense.radio.parameters import load_parameters
from roadsense.radio.radio import HeardPeers, OwnMeasurement, Radio
from roadsense.scenario.dataset import Dataset, Scenario
from roadsense.scenario.route_geometry import LanePaths
from roadsense.seeding import stream, sumo_seed
from roadsense.state import SimulatorState
from roadsense.sumo.session import SumoSession


class ConcludedStep(NamedTuple):
    """What a step led to; `record` is there when `outcome` is."""

    observation: Observation
    reward: float
    outcome: Outcome | None
    record: EpisodeRecord | None


class ConvoyEnv(gymnasium.Env[Observation, NDArray[np.float32]]):
    """The convoy task as a Gymnasium environment. The constructor reads files but starts no process; `reset` starts SUMO.

    Observation: `{"ego": float32 (E,), "peers": PeerSet (n, F)}` as described in `roadsense.features`; any number of peers.
    Action: float32 (1,), the fraction of 8 m/s2 braking; at or below `RELEASE_THRESHOLD` the driver has the car.
    Reward: the weighted sum of the terms in `roadsense.env.reward`.

    Args:
        dataset_dir: a generated dataset; exclusive with `sumo_cfg`.
        sumo_cfg: a single `.sumocfg` with an ego; used for training and evaluation alike.
        scenario_mode: "train" draws at random from the shard, "eval" walks the fixed list.
        scenario_seed: run seed of the training draws, until `reset(seed=...)` gives another.
        emulator_params_path: radio parameter file; default is the packaged convoy profile.
        gui: open sumo-gui (also `render_mode="human"`).
        ego_id: id of the ego in a `sumo_cfg`; a dataset's manifest names its own.
        sumo: settings of the simulator, or a mapping of some of them.
        task: settings of the task, or a mapping of some of them.
        assignment: the place in a parallel run; replaces `scenario_seed`, and `reset(seed=...)` is then ignored.
        dataset: a loaded dataset instead of a path.
        radio_factor: training episodes draw the radio's values between 1/this and this times the nominal ones, instead of as its file says.

    Raises:
        UsageError: both or neither of `dataset_dir` and `sumo_cfg`, or an unknown mode.
        DatasetError, ConfigError: what was read is refused.
    """

    metadata: dict[str, Any] = {  # noqa: RUF012 - Gymnasium declares it as an instance variable
        "render_modes": ["human"],
        "render_fps": 10,
    }

    def __init__(
        self,
        dataset_dir: str | Path | None = None,
        sumo_cfg: str | Path | None = None,
        scenario_mode: Literal["train", "eval"] = "train",
        scenario_seed: int = 0,
        emulator_params_path: str | Path | None = None,
        gui: bool = False,
        render_mode: str | None = None,
        ego_id: str = DEFAULT_EGO_ID,
        sumo: SumoSettings | dict[str, Any] | None = None,
        task: TaskSettings | dict[str, Any] | None = None,
        assignment: Assignment | dict[str, Any] | None = None,
        dataset: Dataset | None = None,
        radio_factor: float | None = None,
    ) -> None:
        if scenario_mode not in ("train", "eval"):
            raise UsageError(f"scenario_mode is {scenario_mode!r}; choose 'train' or 'eval'")
        self.observation_space = cast("gymnasium.Space[Observation]", observation_space())
        self.action_space = action_space()
        self.render_mode = render_mode
        self.dataset = dataset if dataset is not None else open_dataset(dataset_dir, sumo_cfg, ego_id)
        self.task_settings = _settings(TaskSettings, task, "task settings")
        self._radio_parameters, self.emulator_params_hash = load_parameters(
            Path(emulator_params_path) if emulator_params_path is not None else None
        )
        if radio_factor is not None:
            self._radio_parameters = self._radio_parameters.randomized_by(radio_factor)
        sumo_settings = _settings(SumoSettings, sumo, "sumo settings")
        if gui or render_mode == "human":
            sumo_settings = sumo_settings.model_copy(update={"gui": True})
        self._sumo_settings = sumo_settings
        self._session: SumoSession | None = None
        self._scenario_mode = scenario_mode
        self._left_out: set[str] = set()
        self._plan_in_hand: EpisodePlan | None = None
        self._assigned = assignment is not None
        first_place = Assignment(run_seed=scenario_seed) if assignment is None else _settings(Assignment, assignment, "assignment")
        self._source = self._new_source(first_place)
        self._state: SimulatorState
        self._observation: Observation
        self._radio: Radio
        self._reward = Reward(self.task_settings.reward)
        if self.task_settings.hazard.source is not None:
            import_callable(self.task_settings.hazard.source, "hazard source")  # refused now, not in the first episode
        self._episode: ConvoyEpisode | None = None
        self._names: dict[str, str] = {}  # of the episode, for infos
        self._braking = 0.0
        self._equipped_ids: tuple[str, ...] | None = None
        self._equipped_among: tuple[str, ...] = ()

    def assign(self, assignment: Assignment) -> None:
        """Take a place in a parallel run; the next `reset` begins with its first episode."""
        self._assigned = True
        self._source = self._new_source(assignment)

    def leave_out(self, scenario_ids: Iterable[str]) -> None:
        """Draw these training scenarios no more."""
        self._left_out.update(scenario_ids)

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Observation, dict[str, Any]]:
        """Start the next episode.

        Args:
            seed: begins the draws of this seed anew (in eval mode: the fixed list), unless the driver has assigned a place.
            options: `{"scenario_id": ..., "round": 0}` asks for one evaluation episode, `{"identity": ..., "scenario_id": ...}` for a
                recorded one; both leave the order of the others untouched.

        Raises:
            UsageError: unknown options or scenario. SumoError: SUMO cannot drive the scenario, even after a restart.
        """
        super().reset(seed=seed)
        if seed is not None and not self._assigned:
            self._source = self._new_source(Assignment(run_seed=seed))
        self._plan_in_hand = None
        self._plan_in_hand = self._plan(options or {})
        self._start(self._plan_in_hand)
        return self._observation, dict(self._names)

    def step(self, action: NDArray[np.float32]) -> tuple[Observation, float, bool, bool, dict[str, Any]]:
        """Drive one step of 0.1 s. After the last step of an episode `info["record"]` holds its `EpisodeRecord`.

        Raises:
            UsageError: no episode is running, or the action is not one finite number. SumoError: SUMO died, hung or refused.
        """
        self.begin_step(action)
        return self.finish_step()

    def begin_step(self, action: NDArray[np.float32]) -> None:
        """First half of `step`, for callers that begin the steps of several environments before they finish any. Raises as `step`."""
        episode = self._running("step")
        self._braking = _braking(action)
        self._simulator.begin_step(episode.before_step(self._braking, self._state))

    def await_step(self) -> None:
        """Between the halves: wait for SUMO. Raises as `step`, and UsageError without a `begin_step`."""
        self._simulator.await_step()

    def finish_step(self) -> tuple[Observation, float, bool, bool, dict[str, Any]]:
        """Second half of `step`: wait for SUMO. Raises as `step`, and UsageError without a `begin_step`."""
        episode = self._running("finish_step")
        observation, reward, outcome, record = self.conclude_step()
        told = {"reward_terms": episode.reward_terms(), "outcome": None if outcome is None else outcome.value}
        info: dict[str, Any] = {**self._names, **told}
        if outcome is None:
            return observation, reward, False, False, info
        info["record"] = record
        return observation, reward, outcome.is_terminal, not outcome.is_terminal, info

    def conclude_step(self) -> ConcludedStep:
        """`finish_step` without Gymnasium's dress, which costs as much as its content. Raises as `finish_step`."""
        episode = self._running("finish_step")
        state = self._state = self._simulator.finish_step()
        reward, outcome = episode.after_step(self._braking, state)
        if episode.ego_id in state.vehicles.index:
            self._observation = self._observe(episode, self._braking)
        if outcome is None:
            return ConcludedStep(self._observation, reward, None, None)
        self._episode = None
        return ConcludedStep(self._observation, reward, outcome, episode.record(outcome))

    def close(self) -> None:
        """End SUMO; the environment can be reset again afterwards."""
        self._episode = None
        if self._session is not None:
            self._session.close()
            self._session = None

    @property
    def plan(self) -> EpisodePlan | None:
        """What the last `reset` was to start, whether it succeeded or not; None when nothing could be drawn."""
        return self._plan_in_hand

    @property
    def episode(self) -> ConvoyEpisode | None:
        """The running episode with its true situation: for privileged reference policies and diagnosis, never for the agent."""
        return self._episode

    @property
    def state(self) -> SimulatorState:
        """The true state at the next decision; like `episode`, never for the agent."""
        return self._state

    @property
    def senses(self) -> tuple[OwnMeasurement, HeardPeers]:
        """What the last observation was made of, in world coordinates: what a logger on board would write down."""
        return self._radio.senses()

    @property
    def radio(self) -> Radio:
        """The episode's radio: for recordings, never for the agent."""
        return self._radio

    @property
    def session(self) -> SumoSession | None:
        """The simulator, once the first reset has started it."""
        return self._session

    @property
    def _simulator(self) -> SumoSession:
        if self._session is None:
            self._session = SumoSession(self._sumo_settings, ego_id=(*self.dataset.train, *self.dataset.eval)[0].ego_id)
        return self._session

    def _running(self, asked: str) -> ConvoyEpisode:
        if self._episode is None:
            raise UsageError(f"{asked}() was called without a running episode; call reset() first")
        return self._episode

    def _new_source(self, assignment: Assignment) -> EpisodeSource:
        if self._scenario_mode == "eval":
            return EvaluationEpisodes(self.dataset)
        return TrainingEpisodes(self.dataset, assignment, self._left_out)

    def _plan(self, options: dict[str, Any]) -> EpisodePlan:
        unknown = sorted(set(options) - {"scenario_id", "round", "identity"})
        if unknown:
            raise UsageError(f"reset option {unknown[0]!r} is unknown; known are scenario_id, round and identity")
        if "identity" in options:
            return recorded_plan(self.dataset, str(options["identity"]), str(options.get("scenario_id", "")))
        if "scenario_id" in options:
            return evaluation_plan(self.dataset, str(options["scenario_id"]), int(options.get("round", 0)))
        return self._source.next()

    def _start(self, plan: EpisodePlan) -> None:
        """Load the scenario, drive the warm-up, let the radio listen, and draw what will happen."""
        scenario, settings = plan.scenario, self.task_settings
        self._episode = None
        self._equipped_ids = None
        simulator = self._simulator
        state = simulator.reset(scenario.options(), seed=sumo_seed(plan.identity))
        convoy = [scenario.ego_id, *(scenario.peer_ids or ())]
        present = [vehicle_id for vehicle_id in convoy if vehicle_id in state.vehicles.index]
        simulator.keep_lane(present)
        simulator.limit_emergency_decel(present, settings.max_braking_mps2)
        route_edges = simulator.route_edges(scenario.ego_id)
        if settings.warm_up_s > settings.radio_warm_up_s:
            state = simulator.advance(settings.warm_up_s - settings.radio_warm_up_s)
        parameters = self._radio_parameters
        if plan.training:
            parameters = parameters.randomized(stream(plan.identity, "radio_parameters"))
        self._radio = Radio(parameters, ego_id=scenario.ego_id, rng=stream(plan.identity, "radio"))
        speeds_mps = []
        for _ in range(round(min(settings.radio_warm_up_s, settings.warm_up_s) / STEP_LENGTH_S)):
            self._radio.step(state, self._equipped(scenario, state))
            state = simulator.step()
            ego = state.vehicles.index.get(scenario.ego_id)
            if ego is not None:
                speeds_mps.append(float(state.vehicles.speed_mps[ego]))
        lanes = LanePaths(scenario.network_file)
        self._state = state
        self._episode = ConvoyEpisode(settings, plan, state, lanes, route_edges, reward=self._reward, recent_speeds_mps=speeds_mps)
        self._names = {"scenario_id": scenario.scenario_id, "identity": plan.identity.label()}
        self._observation = self._observe(self._episode, 0.0)

    def _observe(self, episode: ConvoyEpisode, previous_action: float) -> Observation:
        state = self._state
        ego, peers = self._radio.observe(state, self._equipped(episode.plan.scenario, state), previous_action)
        if episode.hazard_times.fired_s is not None:  # before that it is of no consequence whom the ego hears
            episode.hear(self._radio.heard(), state)
        return {"ego": ego, "peers": PeerSet.taking(peers)}

    def _equipped(self, scenario: Scenario, state: SimulatorState) -> tuple[str, ...] | None:
        """The cars with a radio among those nearby; None means all."""
        ids = state.vehicles.ids
        if self._equipped_ids is None or (ids is not self._equipped_among and ids != self._equipped_among):
            if scenario.peer_ids is None:
                return None
            self._equipped_ids = tuple(vehicle_id for vehicle_id in ids if scenario.is_equipped(vehicle_id))
            self._equipped_among = ids
        return self._equipped_ids


def open_dataset(dataset_dir: str | Path | None, sumo_cfg: str | Path | None, ego_id: str = DEFAULT_EGO_ID) -> Dataset:
    """The dataset that two exclusive arguments name.

    Raises:
        UsageError: both or neither are given. DatasetError: what was read is refused.
    """
    if (dataset_dir is None) == (sumo_cfg is None):
        seen = "neither" if dataset_dir is None else "both"
        raise UsageError(f"{seen} of dataset_dir and sumo_cfg are given; give exactly one")
    if dataset_dir is not None:
        return Dataset.load(Path(dataset_dir))
    return Dataset.from_sumocfg(Path(str(sumo_cfg)), ego_id=ego_id)


def _braking(action: NDArray[np.float32]) -> float:
    values = np.asarray(action, dtype=np.float32)
    value = values.item() if values.size == 1 else math.nan
    if not math.isfinite(value):
        raise UsageError(f"the action is {action!r}; give one finite number in [0, 1]")
    return min(1.0, max(0.0, value))


def _settings(cls: Any, given: Any, source: str) -> Any:
    if given is None:
        return cls()
    return given if isinstance(given, cls) else cls.parse(given, source)
