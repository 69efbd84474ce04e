"""What a session needs from a simulator: one protocol, so that ways of talking to SUMO can be exchanged without touching the session."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, Protocol

from roadsense.config import SumoSettings
from roadsense.errors import DependencyError
from roadsense.state import SimulatorState


class SpeedWrite(NamedTuple):
    """One `setSpeed`, after a `setSpeedMode` when `mode` is given; `speed_mps` -1 hands the speed back to the driver."""

    vehicle_id: str
    mode: int | None
    speed_mps: float


class Backend(Protocol):
    """One running simulation. Every method raises SumoError (SumoTimeoutError, SumoStartError), after which only `close` makes sense.

    A step has two halves, so that a client may send everything in the first and wait only in the second, and a caller that drives several
    simulations may begin them all before it finishes any.
    """

    @property
    def pid(self) -> int:
        """Process number of the simulator."""
        ...

    @property
    def port(self) -> int | None:
        """TraCI port, None without one."""
        ...

    def load(self, options: Sequence[str]) -> None:
        """Replace the simulation by one with these options; subscriptions are lost."""
        ...

    def step_length_s(self) -> float:
        """The simulation's step length."""
        ...

    def watch_simulation(self) -> None:
        """Ask for time, departures, arrivals and collisions with every step."""
        ...

    def watch_vehicles(self, ego_id: str, radius_m: float) -> SimulatorState:
        """Ask for the vehicles around the ego with every step; the state as it is now."""
        ...

    def unwatch_vehicles(self) -> None:
        """Ask for no vehicles any more, until `watch_vehicles` is called again."""
        ...

    def vehicle_ids(self) -> tuple[str, ...]:
        """The vehicles on the road."""
        ...

    def begin_step(self, writes: Sequence[SpeedWrite], until_s: float = 0.0) -> None:
        """First half: command the vehicles, and ask for one step, or for all steps up to the simulated time `until_s`."""
        ...

    def await_step(self) -> None:
        """Between the halves, for callers with several simulations: wait for the simulator, where `finish_step` can do without it then."""
        ...

    def finish_step(self) -> SimulatorState:
        """Second half: wait for the simulator and read what it says."""
        ...

    def route_edges(self, vehicle_id: str) -> tuple[str, ...]:
        """The edges of a vehicle's route."""
        ...

    def keep_lanes(self, vehicle_ids: Sequence[str]) -> None:
        """Forbid vehicles to change lanes on their own account."""
        ...

    def limit_emergency_decels(self, vehicle_ids: Sequence[str], limit_mps2: float) -> None:
        """Lower the emergency deceleration of vehicles to `limit_mps2` where it is higher."""
        ...

    def follow(self, vehicle_id: str) -> None:
        """With a window: keep a vehicle in its middle, near enough to see what it does."""
        ...

    def close(self) -> None:
        """End the simulator in good order; never raises, can be called again, and leaves a parent's simulator alone in a forked child."""
        ...

    def abandon(self) -> None:
        """As `close`, but at once and without waiting for a lock: for finalizers, which run at any place of any thread."""
        ...


def start_backend(settings: SumoSettings, options: Sequence[str]) -> Backend:
    """Start a simulator of the kind that the settings name, with the simulation of these options loaded.

    Raises:
        SumoError: it did not start.
        DependencyError: it, or its Python package, is missing or has the wrong version.
    """
    # Imported here: the clients cost 0.1 s and more, and libsumo is optional.
    try:
        if settings.backend == "libsumo":
            from roadsense.sumo.libsumo_backend import LibsumoBackend

            return LibsumoBackend(options)
        if settings.backend == "traci-stock":
            from roadsense.sumo.traci_backend import TraciBackend

            return TraciBackend(settings, options)
        from roadsense.sumo.lean_backend import LeanBackend

        return LeanBackend(settings, options)
    except ImportError as missing:
        raise DependencyError(f"the backend {settings.backend!r} cannot be loaded ({missing}); {_remedy(settings.backend)}") from missing


def _remedy(backend: str) -> str:
    return "install it with: pip install 'roadsense[libsumo]'" if backend == "libsumo" else "reinstall with: pip install roadsense"
