"""Scalars for TensorBoard, written by the caller's own thread."""

from __future__ import annotations

import itertools
import os
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from tensorboardX.event_file_writer import EventsWriter
from tensorboardX.proto.event_pb2 import Event, SessionLog
from tensorboardX.summary import scalar

_NUMBERS = itertools.count()


class Board:
    """One event file at a time.

    tensorboardX's `SummaryWriter` hands everything to a thread over a short queue. On a full disk that thread dies, and the training would
    wait for room in the queue for ever; here a failure is an OSError of `add`, and the next call begins another file.
    """

    def __init__(self, directory: Path, start_step: int = 0) -> None:
        self._directory = directory
        self._start_step = start_step
        self._writer: EventsWriter | None = None

    def add(self, values: Mapping[str, float], step: int) -> None:
        """Write one point of each series, and see it on the disk.

        Raises:
            OSError: it cannot be written.
        """
        try:
            if self._writer is None:
                self._writer = self._begin()
            for name, value in values.items():
                self._writer.write_event(Event(wall_time=time.time(), step=step, summary=scalar(name, value)))
            self._writer.flush()
        except OSError:
            self.close()
            raise

    def close(self) -> None:
        """Close the file."""
        if self._writer is not None:
            with suppress(OSError):
                self._writer.close()
            self._writer = None

    def _begin(self) -> EventsWriter:
        if not self._directory.is_dir():
            # Not with its parents: where the run directory has vanished, nothing is to be begun.
            self._directory.mkdir()
        # The name holds the second; two files of one second must not be one.
        writer = EventsWriter(str(self._directory / "events"), filename_suffix=f".{os.getpid()}.{next(_NUMBERS):04d}")
        if self._start_step:
            # TensorBoard then forgets what an earlier session wrote from this step on.
            writer.write_event(Event(wall_time=time.time(), step=self._start_step + 1, session_log=SessionLog(status=SessionLog.START)))
        return writer
