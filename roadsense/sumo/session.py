"""A session is one simulator, whatever happens to the process behind it."""

from __future__ import annotations

import contextlib
import logging
import math
import os
import weakref
from collections.abc import Iterable, Iterator, Sequence
from types import TracebackType
from typing import Self

from roadsense.config import DEFAULT_EGO_ID, STEP_LENGTH_S, SumoSettings
from roadsense.errors import ConfigError, EgoNeverAppearedError, SumoError, UsageError
from roadsense.state import SimulatorState, SpeedCommand
from roadsense.sumo.backend import Backend, start_backend
from roadsense.sumo.control import SpeedControl
from roadsense.sumo.options import run_options

_logger = logging.getLogger(__name__)
_TIME_DIGITS = 3  # SUMO counts milliseconds
_NAMED_VEHICLES = 5
_LARGEST_SEED = 2**31 - 1


class _Process:
    """How many forks led to this process; asking the system for its number would be three system calls per step."""

    ancestry = 0

    @classmethod
    def was_forked(cls) -> None:
        cls.ancestry += 1


os.register_at_fork(after_in_child=_Process.was_forked)


class SumoSession:
    """One SUMO simulation at a time, reset by reloading and restarted when that is safer. For one thread at a time.

    The constructor starts nothing. A pickled or copied session is a fresh one that has not been started; so is a session in a forked child.
    After any SumoError the simulator is gone, and the next `reset` starts another.

    Args:
        settings: how SUMO is run.
        ego_id: the vehicle whose surroundings are watched.

    Raises:
        ConfigError: a window is asked of libsumo, which has none.
    """

    def __init__(self, settings: SumoSettings, ego_id: str = DEFAULT_EGO_ID) -> None:
        if settings.gui and settings.backend == "libsumo":
            raise ConfigError("'gui' needs the backend 'traci'; libsumo opens no window")
        self.settings = settings
        self.ego_id = ego_id
        self._backend: Backend | None = None
        self._finalizer: weakref.finalize[..., SumoSession] | None = None
        self._ancestry = _Process.ancestry
        self._control = SpeedControl()
        self._time_s = 0.0
        self._episodes = 0
        self._restarts = 0
        self._is_stepping = False

    def __reduce__(self) -> tuple[type[SumoSession], tuple[SumoSettings, str]]:
        return type(self), (self.settings, self.ego_id)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None) -> None:
        self.close()

    @property
    def pid(self) -> int | None:
        """Process number of the simulator (this process with libsumo), None while there is none."""
        return self._backend.pid if self._backend else None

    @property
    def port(self) -> int | None:
        """TraCI port, None without one."""
        return self._backend.port if self._backend else None

    @property
    def restarts(self) -> int:
        """How often a simulator was started, the first time included."""
        return self._restarts

    def reset(self, options: Sequence[str], *, seed: int) -> SimulatorState:
        """Begin an episode: load the scenario, and let SUMO run until the ego has entered the road.

        The same options and seed give bit-identical trajectories, whether SUMO was reloaded or started.

        Args:
            options: SUMO command-line options that say what is driven; what the session fixes itself is ignored in them.
            seed: SUMO's `--seed`, in [0, 2**31 - 1].

        Returns:
            the state after the step in which the ego departed.

        Raises:
            UsageError: the seed is out of range.
            EgoNeverAppearedError: the ego did not depart within `ego_wait_s` of simulated time.
            SumoError: a fresh SUMO failed as well; SumoStartError, SumoTimeoutError by kind.
            DependencyError: SUMO is missing or has another version.
        """
        if not 0 <= seed <= _LARGEST_SEED:
            raise UsageError(f"seed {seed} is refused; give one in [0, {_LARGEST_SEED}]")
        self._leave_to_parent()
        complete = run_options(options, seed=seed, gui=self.settings.gui)
        if self._backend is not None and self._episodes < self.settings.recycle_every:
            try:
                return self._reload(self._backend, complete)
            except EgoNeverAppearedError:
                raise
            except SumoError as failed:
                _logger.warning("restarting SUMO: %s", failed.message)
        self.close()
        return self._restart(complete)

    def advance(self, duration_s: float) -> SimulatorState:
        """Let SUMO run alone for a simulated time, rounded up to whole steps, without a word in between.

        Departures and arrivals of all its steps are reported. A collision is reported only if SUMO still lists it after the last step.
        The watchdog's time is for the whole of it.

        Raises:
            UsageError: the duration is not positive and finite.
            SumoError: as `step`.
        """
        if not 0.0 < duration_s < math.inf:
            raise UsageError(f"cannot advance by {duration_s} s; give a positive, finite duration")
        backend = self._running()
        with self._dropping():
            if self.ego_id in backend.vehicle_ids():
                backend.unwatch_vehicles()  # SUMO would collect them in every step of the way
        self.begin_step((), round(self._time_s + duration_s, _TIME_DIGITS))
        state = self.finish_step()
        with self._dropping():
            if self.ego_id not in backend.vehicle_ids():
                return state
            return backend.watch_vehicles(self.ego_id, self.settings.watch_radius_m)

    def step(self, commands: Sequence[SpeedCommand] = ()) -> SimulatorState:
        """Command vehicles and simulate one step of 0.1 s.

        A vehicle keeps its last command until another one, or None, is given. A release of a vehicle that is not commanded is nothing.

        Raises:
            UsageError: a commanded speed is negative or not finite; the simulation is untouched.
            SumoError: no simulation is running, SUMO died or hung (SumoTimeoutError), or a commanded vehicle is not on the road.
        """
        self.begin_step(commands)
        return self.finish_step()

    def begin_step(self, commands: Sequence[SpeedCommand] = (), until_s: float = 0.0) -> None:
        """First half of `step`, for callers that begin the steps of several sessions before they finish any. Raises as `step`.

        Args:
            commands: as for `step`.
            until_s: simulated time up to which SUMO runs alone; 0 for one step.
        """
        backend = self._backend
        if backend is None or self._ancestry != _Process.ancestry:  # as `_running`, which would be one more call in every half step
            backend = self._running()
        if self._is_stepping:
            raise UsageError("begin_step again before finish_step; call them in pairs")
        writes = self._control.writes(commands)
        try:
            backend.begin_step(writes, until_s)
        except BaseException:
            self._drop()
            raise
        self._is_stepping = True

    def await_step(self) -> None:
        """Between the halves: wait for the simulator, so that what comes after several simulations is not mixed with waiting for them.

        Raises as `finish_step`.
        """
        backend = self._backend
        if backend is None or self._ancestry != _Process.ancestry:
            backend = self._running()
        if not self._is_stepping:
            raise UsageError("await_step without begin_step; call it between begin_step and finish_step")
        try:
            backend.await_step()
        except BaseException:
            self._drop()
            raise

    def finish_step(self) -> SimulatorState:
        """Second half of `step`: wait for the simulator. Raises as `step`, and UsageError without a `begin_step`."""
        backend = self._backend
        if backend is None or self._ancestry != _Process.ancestry:
            backend = self._running()
        if not self._is_stepping:
            raise UsageError("finish_step without begin_step; call them in pairs")
        try:  # as `_dropping`, without what a context manager costs ten thousand times a second
            state = backend.finish_step()
        except BaseException:
            self._drop()
            raise
        self._is_stepping = False
        self._time_s = state.time_s
        if state.arrived_ids:
            self._control.forget(state.arrived_ids)
        return state

    def route_edges(self, vehicle_id: str) -> tuple[str, ...]:
        """The edges of a vehicle's route, in driving order. Raises SumoError when it is not on the road."""
        backend = self._running()
        with self._dropping():
            return backend.route_edges(vehicle_id)

    def keep_lane(self, vehicle_ids: Iterable[str]) -> None:
        """Forbid these vehicles to change lanes for the rest of the episode. Raises SumoError when one is not on the road."""
        backend = self._running()
        with self._dropping():
            backend.keep_lanes(tuple(vehicle_ids))

    def limit_emergency_decel(self, vehicle_ids: Iterable[str], max_mps2: float) -> None:
        """Cap the emergency deceleration of these vehicles' drivers. Raises SumoError when one is not on the road."""
        backend = self._running()
        with self._dropping():
            backend.limit_emergency_decels(tuple(vehicle_ids), max_mps2)

    def close(self) -> None:
        """End the simulator; can be called again, and `reset` starts another. Never raises."""
        backend = self._detach()
        if backend is not None:
            backend.close()

    def _restart(self, options: Sequence[str]) -> SimulatorState:
        backend = start_backend(self.settings, options)
        self._backend = backend
        self._finalizer = weakref.finalize(self, backend.abandon)
        self._ancestry = _Process.ancestry
        self._restarts += 1
        self._episodes = 0
        with self._dropping():
            return self._begin_episode(backend)

    def _reload(self, backend: Backend, options: Sequence[str]) -> SimulatorState:
        with self._dropping():
            backend.load(options)
            return self._begin_episode(backend)

    def _begin_episode(self, backend: Backend) -> SimulatorState:
        self._episodes += 1
        self._control = SpeedControl()
        self._is_stepping = False
        step_length_s = backend.step_length_s()
        if not math.isclose(step_length_s, STEP_LENGTH_S, abs_tol=1e-9):
            raise SumoError(f"SUMO steps by {step_length_s} s, expected {STEP_LENGTH_S} s; remove step lengths from the scenario")
        backend.watch_simulation()
        state = self._wait_for_ego(backend)
        if self.settings.gui:
            backend.follow(self.ego_id)
        self._time_s = state.time_s
        return state

    def _wait_for_ego(self, backend: Backend) -> SimulatorState:
        seen: dict[str, None] = {}
        steps = 1 + math.ceil(self.settings.ego_wait_s / STEP_LENGTH_S)
        for _ in range(steps):
            backend.begin_step(())
            waited = backend.finish_step()
            if self.ego_id in backend.vehicle_ids():
                return backend.watch_vehicles(self.ego_id, self.settings.watch_radius_m)
            seen.update(dict.fromkeys(waited.departed_ids))
        raise EgoNeverAppearedError(
            f"the ego {self.ego_id!r} did not enter the road within {self.settings.ego_wait_s:g} s of simulated time "
            f"({_who_was_there(list(seen))}); name an ego of this scenario, let it depart earlier, or raise ego_wait_s"
        )

    def _running(self) -> Backend:
        self._leave_to_parent()
        if self._backend is None:
            raise SumoError("no simulation is running; call reset first")
        return self._backend

    def _leave_to_parent(self) -> None:
        """In a forked child the simulator is the parent's: one word on its socket would break it."""
        if self._ancestry != _Process.ancestry and self._backend is not None:
            self._drop()

    @contextlib.contextmanager
    def _dropping(self) -> Iterator[None]:
        """After any exception, also an interrupt in the middle of an answer, the simulator cannot be trusted any more."""
        try:
            yield
        except BaseException:
            self._drop()
            raise

    def _drop(self) -> None:
        backend = self._detach()
        if backend is not None:
            backend.abandon()

    def _detach(self) -> Backend | None:
        if self._finalizer is not None:
            self._finalizer.detach()
        backend, self._backend, self._finalizer = self._backend, None, None
        self._is_stepping = False
        return backend


def _who_was_there(vehicle_ids: Sequence[str]) -> str:
    if not vehicle_ids:
        return "no vehicle at all did"
    more = f" and {len(vehicle_ids) - _NAMED_VEHICLES} more" if len(vehicle_ids) > _NAMED_VEHICLES else ""
    return f"these did: {', '.join(vehicle_ids[:_NAMED_VEHICLES])}{more}"
