"""The exceptions by which a broken or foreign TraCI answer shows itself, whatever byte the stream broke at.

Nothing wider is caught around SUMO: what a signal handler raises in the middle of an answer is not SUMO's and must get through.
"""

from __future__ import annotations

import struct
from typing import Final

from traci.exceptions import FatalTraCIError, TraCIException

BROKEN_ANSWER: Final = (
    TraCIException,
    FatalTraCIError,
    OSError,
    struct.error,
    ValueError,  # also UnicodeDecodeError
    LookupError,
    TypeError,
    AttributeError,
    AssertionError,
    OverflowError,
    MemoryError,  # a length field that is none
)
