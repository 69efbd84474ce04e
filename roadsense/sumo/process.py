"""One SUMO process with its port lease and its log files; it dies with this process, whatever happens to either."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import IO, Final

from roadsense.errors import SumoStartError
from roadsense.sumo.installation import SumoProgram
from roadsense.sumo.ports import PortLease
from roadsense.sumo.spawner import spawn
from roadsense.sumo.workspace import Workspace

_LAUNCHER: Final = Path(__file__).with_name("launch.py")
_POLITE_WAIT_S: Final = 2.0
_TERM_WAIT_S: Final = 1.0
_KILL_WAIT_S: Final = 5.0


class SumoProcess:
    """A running SUMO that serves TraCI on its leased port.

    Args:
        program: from `find_program`.
        options: what SUMO is started with, less its port and logs.
        lease: the port; owned from here on, also when the constructor raises.
        start_timeout_s: how long creating the process may take.

    Raises:
        SumoStartError: the process or its directory cannot be created.
    """

    def __init__(self, program: SumoProgram, options: Sequence[str], lease: PortLease, start_timeout_s: float) -> None:
        self.owner_pid = os.getpid()
        self._lease = lease
        self._stopped = False
        with contextlib.ExitStack() as undo:
            undo.callback(lease.release)
            try:
                self._workspace = Workspace()
                undo.callback(self._workspace.remove)
                self._popen = self._spawn(program, options, start_timeout_s)
            except (OSError, RuntimeError) as failed:  # TimeoutError is an OSError; RuntimeError: no more threads
                raise SumoStartError(
                    f"cannot create the SUMO process ({failed!r}); free memory, processes or space in the temporary directory"
                ) from failed
            undo.pop_all()

    def __del__(self) -> None:
        # The last net, for an exception that strikes while the process is being handed over.
        with contextlib.suppress(Exception):
            self.stop(politely=False)

    @property
    def pid(self) -> int:
        """Process number of SUMO itself."""
        return self._popen.pid

    @property
    def port(self) -> int:
        """The leased TraCI port."""
        return self._lease.port

    @property
    def log_options(self) -> tuple[str, ...]:
        """The options that send SUMO's logs to this process's files; `load` needs them again."""
        return ("--log", str(self._workspace.log_path), "--error-log", str(self._workspace.error_log_path))

    @property
    def identity(self) -> str:
        """The value of SUMO's option `log`: no other SUMO on this machine has it."""
        return str(self._workspace.log_path)

    def exit_code(self, wait_s: float = 0.0) -> int | None:
        """The exit code (negative: the signal), None while SUMO runs; waits up to `wait_s` for it."""
        if wait_s > 0.0:
            self._wait(wait_s)
        return self._popen.poll()

    def exit_description(self) -> str:
        """How SUMO ended, in words."""
        code = self._popen.poll()
        if code is None:
            return "still running"
        if code < 0:
            try:
                return f"killed by {signal.Signals(-code).name}"
            except ValueError:
                return f"killed by signal {-code}"
        return f"exit code {code}"

    def begin_episode(self) -> None:
        """Empty what SUMO printed during the last episode."""
        self._workspace.truncate_output()

    def log_tail(self) -> str:
        """The last lines over SUMO's log files and what it printed."""
        return self._workspace.log_tail()

    def stop(self, *, politely: bool) -> None:
        """End SUMO, reap it, free the port and remove the files; can be called again.

        Args:
            politely: SUMO has been asked to close and gets time to do so; otherwise it is killed at once.
        """
        if self._stopped:
            return
        if os.getpid() != self.owner_pid:
            # A forked copy: the simulator, its files and its lease are the parent's.
            self._lease.release()
            return
        try:
            if politely and not self._wait(_POLITE_WAIT_S):
                self._popen.terminate()
                self._wait(_TERM_WAIT_S)
        finally:
            # A stopped process ignores everything but this.
            self._popen.kill()
            self._wait(_KILL_WAIT_S)
            self._lease.release()
            self._workspace.remove()
            self._stopped = True

    def _spawn(self, program: SumoProgram, options: Sequence[str], timeout_s: float) -> subprocess.Popen[bytes]:
        arguments = [sys.executable, "-I", "-S", str(_LAUNCHER), str(os.getpid()), str(program.path)]
        arguments += [*options, *self.log_options, "--remote-port", str(self.port)]
        environment = dict(os.environ)
        if program.home is not None:
            environment["SUMO_HOME"] = str(program.home)
        # Appending, so that truncating the files between episodes leaves no holes.
        with self._workspace.stdout_path.open("ab") as out, self._workspace.stderr_path.open("ab") as err:
            return spawn(lambda: self._popen_in(arguments, environment, out, err), timeout_s)

    def _popen_in(self, arguments: list[str], environment: dict[str, str], out: IO[bytes], err: IO[bytes]) -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            arguments,
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=err,
            env=environment,
            pass_fds=(self._lease.fileno(),),
            # Ctrl-C on the terminal is for the trainer, which still wants its episodes to end in good order.
            start_new_session=True,
        )

    def _wait(self, timeout_s: float) -> bool:
        try:
            self._popen.wait(timeout_s)
        except subprocess.TimeoutExpired:
            return False
        return True
