"""A recorded episode with everything that can be seen in it, step by step: the cars, the air, and what the ego knew."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from roadsense.env.convoy_env import ConvoyEnv
from roadsense.env.outcome import Outcome
from roadsense.env.record import EpisodeRecord
from roadsense.env.script import EpisodeScript
from roadsense.env.situation import Situation
from roadsense.env.task import ConvoyEpisode
from roadsense.errors import DefectsFoundError
from roadsense.evaluation.replay import replay
from roadsense.radio.message import HeardPeers
from roadsense.radio.view import RadioView
from roadsense.scenario.dataset import Scenario
from roadsense.state import SimulatorState


@dataclass(frozen=True, slots=True, kw_only=True)
class Frame:
    """One instant at which the agent decides.

    Attributes:
        time_s: time since the first decision.
        state: where everybody is.
        situation: the ego and the car ahead; that of the frame before where the ego has left the road.
        heard: what the ego knows of the others.
        radio: what happened on the air; None where the ego has left the road.
        action: what the agent decides now, a fraction of full braking; None in the last frame.
        is_distracted: whether the driver holds the speed unless the agent brakes.
    """

    time_s: float
    state: SimulatorState
    situation: Situation
    heard: HeardPeers
    radio: RadioView | None
    action: float | None
    is_distracted: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Recording:
    """A whole episode; `frames` has one entry more than there were decisions."""

    record: EpisodeRecord
    policy: str
    scenario: Scenario
    script: EpisodeScript
    fired_s: float | None  # when the hazard really began
    frames: tuple[Frame, ...]
    equipped_ids: frozenset[str]
    stale_after_s: float

    @property
    def network_file(self) -> Path:
        """The road it was driven on."""
        return self.scenario.network_file

    @property
    def late_id(self) -> str | None:
        """The car of a pile-up whose driver is late, if it is one."""
        late: str | None = getattr(self.script.hazard_course, "late_id", None)
        return late

    @property
    def has_collided(self) -> bool:
        """Whether the ego ran into a car ahead."""
        return self.record.outcome is Outcome.COLLISION


class _Watcher:
    """Looks at the environment after every step of a replay."""

    def __init__(self, env: ConvoyEnv, also: Callable[[], None]) -> None:
        self._env = env
        self._also = also
        self._instants: list[tuple[float, SimulatorState, Situation, HeardPeers, RadioView | None]] = []
        self._actions: list[float] = []
        self.episode: ConvoyEpisode

    def __call__(self, action: float | None) -> None:
        env = self._env
        self._also()
        if env.episode is not None:  # it is None after the last step, when this one is still asked for the situation
            self.episode = env.episode
        if action is not None:
            self._actions.append(action)
        state = env.state
        is_here = self.episode.plan.scenario.ego_id in state.vehicles.index
        view = env.radio.view(state) if is_here else None
        self._instants.append((self.episode.elapsed_s(state), state, self.episode.situation, env.senses[1], view))

    def frames(self) -> tuple[Frame, ...]:
        script = self.episode.script
        actions = [*self._actions, None]
        return tuple(
            Frame(
                time_s=time_s,
                state=state,
                situation=situation,
                heard=heard,
                radio=radio,
                action=action,
                is_distracted=script.is_distracted(time_s),
            )
            for (time_s, state, situation, heard, radio), action in zip(self._instants, actions, strict=True)
        )


def record_episode(env: ConvoyEnv, recorded: EpisodeRecord, policy: str, also: Callable[[], None] = lambda: None) -> Recording:
    """Drive a recorded episode again and write down what there is to see; `also` is called after the reset and after every step.

    Raises:
        DefectsFoundError: the replay differs from the record, so it would show another episode.
        UsageError: the episode belongs to another dataset. SumoError: SUMO cannot drive it.
    """
    watcher = _Watcher(env, also)
    result = replay(env, recorded, watcher)
    if result.differences:
        raise DefectsFoundError(
            f"{recorded.identity}: the replay differs from the record ({'; '.join(result.differences[:3])}); "
            "the code or SUMO has changed since, evaluate again"
        )
    episode, frames = watcher.episode, watcher.frames()
    scenario = episode.plan.scenario
    seen = {vehicle_id for frame in frames for vehicle_id in frame.state.vehicles.ids}
    return Recording(
        record=recorded,
        policy=policy,
        scenario=scenario,
        script=episode.script,
        fired_s=episode.hazard_times.fired_s,
        frames=frames,
        equipped_ids=frozenset(filter(scenario.is_equipped, seen)),
        stale_after_s=env.radio.stale_after_s,
    )
