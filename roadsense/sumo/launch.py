"""Becomes SUMO, bound to the life of the process that asked for it. Run as a script: `launch.py PARENT_PID PROGRAM ARGUMENT...`.

Setting the parent-death signal here, in a fresh interpreter, instead of between fork and exec lets the parent use vfork: a parent full of
threads (Ray, gRPC, torch) must not run its fork handlers, or Python code, in a forked copy of itself.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys
from typing import Final

_PR_SET_PDEATHSIG: Final = 1  # linux/prctl.h


def main(arguments: list[str]) -> int:
    """Set the signal, make sure that the parent is still there, become SUMO; returns only when that is impossible."""
    parent_pid, program = int(arguments[0]), arguments[1]
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0) != 0:
        sys.stderr.write(f"prctl(PR_SET_PDEATHSIG) failed: {os.strerror(ctypes.get_errno())}\n")
        return 1
    # The parent may have died before the signal was set; then nobody would ever end this process.
    if os.getppid() != parent_pid:
        return 1
    signal.pthread_sigmask(signal.SIG_SETMASK, ())
    try:
        os.execv(program, arguments[1:])  # noqa: S606 (no shell is wanted)
    except OSError as refused:
        sys.stderr.write(f"cannot run {program}: {refused}\n")
    return 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
