"""`policy.h` compiled to a shared object and driven from Python: the closed loop runs the very code that goes on the device."""

from __future__ import annotations

import ctypes
import os
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import Final

import numpy as np

from roadsense.errors import DependencyError, PolicyError
from roadsense.export.artifact import Decision
from roadsense.export.c_header import firmware_source
from roadsense.export.layers import FloatArray
from roadsense.features import EGO_SIZE, PEER_SIZE
from roadsense.model.settings import ACTION_PARAMETERS

# What the header promises to be clean under; the export compiles with it, so a header that is not clean is never kept.
STRICT_FLAGS: Final = ("-std=c99", "-Wall", "-Wextra", "-Wpedantic", "-Wconversion", "-Wdouble-promotion", "-Wshadow", "-Werror")
_COMPILERS: Final = ("gcc", "cc", "clang")
_COMPILE_TIMEOUT_S: Final = 120.0
_FLOATS: Final = ctypes.POINTER(ctypes.c_float)


class CompiledPolicy:
    """A header as an artifact.

    Args:
        header: a `policy.h` that an export wrote.

    Raises:
        DependencyError: there is no C compiler. PolicyError: the header is missing, or does not compile.
    """

    def __init__(self, header: Path) -> None:
        self._library = _load(header)
        self._decide = self._library.roadsense_decide
        self._decide.argtypes = [_FLOATS, _FLOATS, ctypes.c_long, _FLOATS, _FLOATS]
        self._decide.restype = ctypes.c_int

    def decide(self, ego_E: FloatArray, peers_NF: FloatArray) -> Decision:
        """See `Artifact`; raises PolicyError when the C code refuses values that were checked before it."""
        ego, peers = np.ascontiguousarray(ego_E, np.float32), np.ascontiguousarray(peers_NF, np.float32)
        parameters, action = np.full(ACTION_PARAMETERS, np.nan, np.float32), np.full(1, np.nan, np.float32)
        status = self.status(ego, peers, parameters, action)
        if status != 0:
            raise PolicyError(f"policy.h answered with status {status} to finite values; export the policy again")
        return Decision(parameters=parameters, action=float(action[0]))

    def status(self, ego_E: FloatArray, peers_NF: FloatArray, parameters: FloatArray, action: FloatArray) -> int:
        """The C call itself, unchecked values included: fills `parameters` (3,) and `action` (1,), returns a `roadsense_status`.

        All arrays are float32 and contiguous; anything else would be read as other numbers.
        """
        if ego_E.shape != (EGO_SIZE,) or peers_NF.shape[1:] != (PEER_SIZE,):
            raise PolicyError(f"ego {ego_E.shape} and peers {peers_NF.shape} do not fit policy.h; give ({EGO_SIZE},) and (n, {PEER_SIZE})")
        pointers = [array.ctypes.data_as(_FLOATS) for array in (ego_E, peers_NF, parameters, action)]
        return int(self._decide(pointers[0], pointers[1], len(peers_NF), pointers[2], pointers[3]))


def c_compiler() -> str:
    """The C compiler of this machine: $CC, else the first of gcc, cc and clang.

    Raises:
        DependencyError: there is none.
    """
    wanted = os.environ.get("CC")
    for name in (wanted,) if wanted else _COMPILERS:
        found = shutil.which(name)
        if found is not None:
            return found
    raise DependencyError(
        f"no C compiler ({wanted or ', '.join(_COMPILERS)}) was found; install one, for example: apt-get install gcc libc6-dev"
    )


def _load(header: Path) -> ctypes.CDLL:
    """Compile a header and load it; the folder is gone before this returns, as a loaded library needs its file no longer."""
    compiler = c_compiler()
    try:
        text = header.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as problem:
        raise PolicyError(f"{header}: cannot be read ({problem}); give the policy.h of an export") from None
    if "ROADSENSE_POLICY_H" not in text:
        raise PolicyError(f"{header}: is no RoadSense policy; give the policy.h of an export")
    with tempfile.TemporaryDirectory(prefix="roadsense-policy-") as name:
        folder = Path(name)
        (folder / "policy.h").write_text(text, encoding="utf-8")
        (folder / "shared.c").write_text(firmware_source("shared.c"), encoding="utf-8")
        command = [compiler, *STRICT_FLAGS, "-O2", "-fPIC", "-shared", "shared.c", "-lm", "-o", "policy.so"]
        try:
            done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=_COMPILE_TIMEOUT_S, check=False)
        except (OSError, subprocess.TimeoutExpired) as problem:
            raise DependencyError(f"{compiler} cannot compile ({problem}); install a working C compiler, or name one in CC") from None
        if done.returncode != 0:
            first = next((line for line in done.stderr.splitlines() if "error" in line), "no message")
            raise PolicyError(f"{header}: does not compile with {compiler} ({first}); export the policy again")
        return ctypes.CDLL(str(folder / "policy.so"))
