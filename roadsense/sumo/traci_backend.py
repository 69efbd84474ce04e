"""SUMO in a process of its own, spoken to over TraCI: the default, because a SUMO that dies or hangs takes nothing with it."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any, Final

from traci import constants as tc
from traci.exceptions import TraCIException

from roadsense.config import SumoSettings
from roadsense.errors import SumoError, SumoStartError, SumoTimeoutError
from roadsense.sumo.api_backend import ApiBackend
from roadsense.sumo.connection import PortContestedError, connect, hang_up, say_goodbye
from roadsense.sumo.faults import BROKEN_ANSWER
from roadsense.sumo.installation import SumoProgram, find_program
from roadsense.sumo.ports import PortLease
from roadsense.sumo.process import SumoProcess

_PORT_ATTEMPTS: Final = 5
_EXIT_WAIT_S: Final = 2.0
_TIMEOUT_MARGIN: Final = 0.9


class TraciBackend(ApiBackend):
    """A `Backend` over a process of its own; see `connect` and `SumoProcess` for what its constructor raises."""

    def __init__(self, settings: SumoSettings, options: Sequence[str]) -> None:
        program = find_program("sumo-gui" if settings.gui else "sumo")
        # Whoever looks at a window may pause it for as long as he likes.
        self._timeout_s = None if settings.gui else settings.timeout_s
        self._process, connection = self._start(settings, program, options)
        self._is_healthy = True
        super().__init__(connection, BROKEN_ANSWER, (tc.VAR_COLLISIONS,))

    @property
    def pid(self) -> int:
        """Process number of SUMO."""
        return self._process.pid

    @property
    def port(self) -> int:
        """TraCI port."""
        return self._process.port

    def load(self, options: Sequence[str]) -> None:
        """Replace the simulation by one with these options; subscriptions are lost."""
        self._process.begin_episode()
        # The process keeps its log files, and with them its identity.
        super().load([*options, *self._process.log_options])

    def close(self) -> None:
        """Ask SUMO to end, and see to it; never raises, can be called again."""
        if os.getpid() != self._process.owner_pid or not self._is_healthy:
            self.abandon()
            return
        self._is_healthy = False
        self._process.stop(politely=say_goodbye(self._api))

    def abandon(self) -> None:
        """Kill SUMO without a word; in a forked child only let go of the copied descriptors."""
        hang_up(self._api)
        self._process.stop(politely=False)

    def _start(self, settings: SumoSettings, program: SumoProgram, options: Sequence[str]) -> tuple[SumoProcess, Any]:
        contested = None
        for _ in range(_PORT_ATTEMPTS):
            lease = PortLease.acquire(settings.first_port, settings.last_port)
            process = SumoProcess(program, options, lease, settings.start_timeout_s)
            try:
                connection = connect(process, start_timeout_s=settings.start_timeout_s, timeout_s=self._timeout_s)
            except PortContestedError as refused:
                process.stop(politely=False)
                contested = refused
            except BaseException:
                process.stop(politely=False)
                raise
            else:
                return process, connection
        raise SumoStartError(
            f"{_PORT_ATTEMPTS} ports in a row are used by other programs ({contested.message if contested else 'none'}); "
            "choose another band with first_port and last_port"
        )

    def _collision_records(self, results: dict[int, Any]) -> Sequence[Any]:
        records: Sequence[Any] = results[tc.VAR_COLLISIONS]
        return records

    def _failure(self, doing: str, error: Exception, elapsed_s: float) -> SumoError:
        if isinstance(error, TraCIException):
            return SumoError(
                f"SUMO refused {doing}: {_one_line(error)}; only vehicles on the road can be asked and commanded", self._process.log_tail()
            )
        self._is_healthy = False
        if self._timeout_s is not None and elapsed_s >= _TIMEOUT_MARGIN * self._timeout_s and self._process.exit_code() is None:
            return SumoTimeoutError(
                f"SUMO did not answer within {self._timeout_s:g} s while {doing}; reset to start a fresh one, or raise timeout_s",
                self._process.log_tail(),
            )
        if self._process.exit_code(_EXIT_WAIT_S) is not None:
            how = self._process.exit_description()
            return SumoError(
                f"SUMO died while {doing} ({how}); its own last words follow, reset to start a fresh one", self._process.log_tail()
            )
        return SumoError(
            f"SUMO's answer broke off while {doing} ({_one_line(error)}); reset to start a fresh one", self._process.log_tail()
        )


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split()) or repr(error)
