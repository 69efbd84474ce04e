"""SUMO inside this process: several times faster per step, but one simulation per process, no watchdog, and its crash is ours."""

from __future__ import annotations

import contextlib
import importlib
import io
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from roadsense.errors import SumoError, SumoStartError
from roadsense.sumo.api_backend import ApiBackend
from roadsense.sumo.faults import BROKEN_ANSWER
from roadsense.sumo.installation import require_package
from roadsense.sumo.workspace import Workspace

_holder: LibsumoBackend | None = None


class LibsumoBackend(ApiBackend):
    """A `Backend` over the `libsumo` module.

    Raises:
        SumoStartError: another session of this process has libsumo, or SUMO refuses the options.
        DependencyError: libsumo is missing or has the wrong version.
    """

    def __init__(self, options: Sequence[str]) -> None:
        global _holder  # noqa: PLW0603 (the module itself is the simulation)
        if _holder is not None:
            raise SumoStartError(
                "libsumo runs one simulation per process and another session has it; close that session, or use the backend 'traci'"
            )
        api = _import_libsumo()
        super().__init__(api, (api.TraCIException, api.FatalTraCIError, *BROKEN_ANSWER))
        self._owner_pid = os.getpid()
        self._workspace = Workspace()
        _holder = self
        try:
            with _errors_into(self._workspace.stderr_path), self._talking("starting"):
                api.start(["sumo", *_complete(options)])
        except BaseException:
            self.close()
            raise

    @property
    def pid(self) -> int:
        """The number of this process."""
        return self._owner_pid

    @property
    def port(self) -> None:
        """There is none."""
        return

    def load(self, options: Sequence[str]) -> None:
        """Replace the simulation by one with these options; subscriptions are lost."""
        with _errors_into(self._workspace.stderr_path):
            super().load(_complete(options))

    def close(self) -> None:
        """End the simulation; never raises, can be called again."""
        global _holder  # noqa: PLW0603
        if _holder is not self:
            return
        with contextlib.suppress(*self._faults):
            self._api.close()
        _holder = None
        if os.getpid() == self._owner_pid:
            self._workspace.remove()

    def abandon(self) -> None:
        """End the simulation."""
        self.close()

    def _collision_records(self, results: dict[int, Any]) -> Sequence[Any]:  # noqa: ARG002 (they are not among the results)
        # libsumo knows no subscription to collisions.
        records: Sequence[Any] = self._api.simulation.getCollisions()
        return records

    def _failure(self, doing: str, error: Exception, elapsed_s: float) -> SumoError:  # noqa: ARG002 (there is no watchdog)
        kind = SumoStartError if doing == "starting" else SumoError
        message = " ".join(str(error).split()) or repr(error)
        return kind(f"SUMO failed while {doing}: {message}; its own last words follow", self._workspace.log_tail())


def _complete(options: Sequence[str]) -> list[str]:
    # Warnings would land on the user's terminal: SUMO's error channel is this process's.
    return [*options, "--no-warnings", "true"]


@contextlib.contextmanager
def _errors_into(path: Path) -> Iterator[None]:
    """Send this process's error channel to a file for a moment: it is the only place where libsumo says what is wrong with a scenario."""
    try:
        terminal = os.dup(2)
    except OSError:  # there is no error channel
        yield
        return
    try:
        with path.open("wb") as file:
            os.dup2(file.fileno(), 2)
        yield
    finally:
        os.dup2(terminal, 2)
        os.close(terminal)


def _import_libsumo() -> Any:
    # require_package comes first: a missing libsumo is a matter for pip, a broken one raises ImportError.
    require_package("libsumo")
    importlib.import_module("traci.main")
    # It prints a warning about pyarrow, which is about formats that are not used here.
    with contextlib.redirect_stdout(io.StringIO()):
        return importlib.import_module("libsumo")
