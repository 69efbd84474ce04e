"""Hours of faults: workers drive, their simulators are killed and stopped and they themselves are killed, and nothing may be lost or left.

The same sessions, ports and environments as in training, without Ray and without a learner, so that a fault every second is possible and
everything that is counted belongs to them.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import tempfile
import time
from collections.abc import Callable, Iterator, MutableSequence
from contextlib import suppress
from dataclasses import dataclass, field
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Final

import psutil
from pydantic import Field

from roadsense.config import Settings, SumoSettings
from roadsense.errors import DefectsFoundError, SumoError, SumoStartError
from roadsense.scenario.dataset import Dataset
from roadsense.seeding import named_stream
from roadsense.sumo.ports import PortLease
from roadsense.training.guard import guarded
from roadsense.training.soak_worker import Place, Slot, drive, wait_until_gone

FAULTS: Final = ("simulator killed", "simulator stopped", "worker killed")
_START_TIMEOUT_S: Final = 120.0
_POLL_S: Final = 0.02
_END_TIMEOUT_S: Final = 20.0


class SoakSettings(Settings):
    """A soak."""

    dataset_dir: Path = Field(description="dataset whose scenarios of both splits are driven")
    minutes: float = Field(30.0, gt=0, le=60 * 24 * 30, description="how long faults are injected")
    fault_every: float = Field(20.0, gt=0, description="seconds between faults")
    num_workers: int = Field(2, ge=1, le=1024, description="processes, each with a SUMO of its own")
    seed: int = Field(42, ge=0, lt=2**31, description="of the episodes, and of which worker suffers what")
    sumo: SumoSettings = SumoSettings(timeout_s=5.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Footprint:
    """What the soak holds on the machine: its own process, workers and simulators."""

    processes: int
    ports: int
    descriptors: int
    memory_mb: float
    directories: int


@dataclass(slots=True, kw_only=True)
class SoakResult:
    """What came of it. Recovery is the time from a fault to the next step that its worker makes in an episode begun after it."""

    first: Footprint
    last: Footprint
    end: Footprint  # after everything was closed
    episodes: int
    steps: int
    recoveries_s: dict[str, list[float]] = field(default_factory=lambda: {kind: [] for kind in FAULTS})

    @property
    def survived(self) -> int:
        """Faults after which the worker went on."""
        return sum(map(len, self.recoveries_s.values()))


def soak(settings: SoakSettings, say: Callable[[str], None]) -> SoakResult:
    """Drive and torment; `say` is told a line per fault.

    Raises:
        DatasetError: the dataset is refused.
        SumoError: workers cannot start.
        DefectsFoundError: a worker did not recover, or something was left behind.
    """
    Dataset.load(settings.dataset_dir)
    with guarded(), _Torment(settings) as torment:
        torment.wait_for_first_steps()
        first = torment.settled_footprint()
        recoveries_s = torment.run(say)
        last = torment.settled_footprint()
        episodes, steps = torment.total(Slot.EPISODES), torment.total(Slot.STEPS)
        end = torment.end()
    return SoakResult(first=first, last=last, end=end, episodes=episodes, steps=steps, recoveries_s=recoveries_s)


class _Torment:
    """The workers, and what happens to them."""

    def __init__(self, settings: SoakSettings) -> None:
        self._settings = settings
        self._context = multiprocessing.get_context("spawn")
        self._board: MutableSequence[float] = self._context.RawArray("d", settings.num_workers * Slot.SIZE)
        self._draws = named_stream(settings.seed, "soak faults")
        self._generation = 0
        self._workers: list[BaseProcess] = []
        self._pids: set[int] = set()
        self._ports: set[int] = set()

    def __enter__(self) -> _Torment:
        self._workers = [self._start(worker) for worker in range(self._settings.num_workers)]
        return self

    def __exit__(self, *_: object) -> None:
        for worker in self._workers:
            worker.kill()
            worker.join()

    def wait_for_first_steps(self) -> None:
        """Until every worker has driven."""
        deadline_s = time.monotonic() + _START_TIMEOUT_S
        while not all(self._read(worker, Slot.STEPS) for worker in range(len(self._workers))):
            if time.monotonic() > deadline_s or any(worker.exitcode is not None for worker in self._workers):
                raise SumoError("a worker of the soak did not make a step; roadsense check shows whether the dataset can be driven")
            time.sleep(_POLL_S)

    def run(self, say: Callable[[str], None]) -> dict[str, list[float]]:
        """A fault every so often until the time is over; every one is waited for."""
        recoveries_s: dict[str, list[float]] = {kind: [] for kind in FAULTS}
        began_s = time.monotonic()
        for moment_s in self._moments():
            self._idle_until(began_s + moment_s)
            kind = FAULTS[int(self._draws.integers(len(FAULTS)))]
            worker = int(self._draws.integers(len(self._workers)))
            recovery_s = self._strike(kind, worker)
            recoveries_s[kind].append(recovery_s)
            say(f"{time.monotonic() - began_s:7.1f} s  worker {worker}: {kind}, driving again after {recovery_s:.2f} s")
        self._idle_until(began_s + 60.0 * self._settings.minutes)
        return recoveries_s

    def end(self) -> Footprint:
        """Close everything in good order, and look what is left of anything that ever was.

        Raises:
            DefectsFoundError: something is.
        """
        self._note()
        for worker in range(len(self._workers)):
            self._board[worker * Slot.SIZE + Slot.STOP] = 1.0
        for process in self._workers:
            process.join(_END_TIMEOUT_S)
        left = wait_until_gone(self._pids, _END_TIMEOUT_S)
        footprint = self.footprint(left)
        if left or footprint.ports or footprint.directories:
            raise DefectsFoundError(
                f"left behind: processes {sorted(left)}, {footprint.ports} port leases, {footprint.directories} temporary directories"
            )
        return footprint

    def total(self, slot: Slot) -> int:
        """Sum over the workers."""
        return int(sum(self._read(worker, slot) for worker in range(len(self._workers))))

    def settled_footprint(self) -> Footprint:
        """While every worker has a simulator: one that is replacing it (`sumo.recycle_every`) has none for a tenth of a second.

        What does not settle is returned as it was last seen, so that a process too many or too few shows.
        """
        deadline_s = time.monotonic() + _END_TIMEOUT_S
        workers = len(self._workers)
        while ((footprint := self.footprint()).processes, footprint.ports) != (2 * workers, workers) and time.monotonic() < deadline_s:
            time.sleep(_POLL_S)
        return footprint

    def footprint(self, among: set[int] | None = None) -> Footprint:
        """Now; of the processes `among`, else of all that were seen."""
        self._note()
        processes = list(_running(self._pids if among is None else among))
        return Footprint(
            processes=len(processes),
            ports=sum(not _is_free(port) for port in self._ports),
            descriptors=sum(_descriptors(process) for process in [psutil.Process(), *processes]),
            memory_mb=sum(_memory(process) for process in [psutil.Process(), *processes]) / 1e6,
            directories=sum(
                int(path.name.split("-")[3]) in self._pids for path in Path(tempfile.gettempdir()).glob("roadsense-sumo-*-*-*")
            ),
        )

    def _strike(self, kind: str, worker: int) -> float:
        process = self._workers[worker]
        struck_s = time.monotonic()
        if kind == "worker killed":
            process.kill()
            process.join()
            process = self._workers[worker] = self._start(worker)
        else:
            with suppress(ProcessLookupError):  # it was just being replaced by another one
                os.kill(int(self._read(worker, Slot.PID)), signal.SIGKILL if kind == "simulator killed" else signal.SIGSTOP)
        begun, steps = self._read(worker, Slot.EPISODES), 0.0
        limit_s = struck_s + _START_TIMEOUT_S + self._settings.sumo.timeout_s
        while not steps or self._read(worker, Slot.STEPS) == steps:
            if not steps and self._read(worker, Slot.EPISODES) > begun:
                steps = self._read(worker, Slot.STEPS)
            if time.monotonic() > limit_s or process.exitcode is not None:
                raise DefectsFoundError(f"worker {worker} did not recover from: {kind} (exit code {process.exitcode})")
            self._note()
            time.sleep(_POLL_S)
        return time.monotonic() - struck_s

    def _start(self, worker: int) -> BaseProcess:
        settings = self._settings
        place = Place(
            dataset_dir=settings.dataset_dir.resolve(),
            sumo_json=settings.sumo.model_dump_json(),
            seed=settings.seed,
            worker=worker,
            num_workers=settings.num_workers,
            generation=self._generation,
        )
        self._generation += 1
        process = self._context.Process(target=drive, args=(place, self._board), daemon=True)
        process.start()
        return process

    def _moments(self) -> Iterator[float]:
        moment_s = self._settings.fault_every
        while moment_s < 60.0 * self._settings.minutes:
            yield moment_s
            moment_s += self._settings.fault_every

    def _idle_until(self, when_s: float) -> None:
        while time.monotonic() < when_s:
            self._note()
            for worker, process in enumerate(self._workers):
                if process.exitcode is not None:
                    raise DefectsFoundError(f"worker {worker} ended by itself with exit code {process.exitcode}")
            time.sleep(min(0.2, max(0.0, when_s - time.monotonic())))

    def _note(self) -> None:
        """Remember every process and port that belongs to the soak."""
        self._pids.update(int(self._read(worker, Slot.PID)) for worker in range(len(self._workers)))
        self._pids.update(process.pid for process in self._workers if process.pid is not None)
        self._pids.discard(0)
        self._ports.update(int(self._read(worker, Slot.PORT)) for worker in range(len(self._workers)))
        self._ports.discard(0)

    def _read(self, worker: int, slot: Slot) -> float:
        return self._board[worker * Slot.SIZE + slot]


def _running(pids: set[int]) -> Iterator[psutil.Process]:
    for pid in sorted(pids):
        with suppress(psutil.Error):
            process = psutil.Process(pid)
            if process.status() != psutil.STATUS_ZOMBIE:
                yield process


def _descriptors(process: psutil.Process) -> int:
    try:
        return int(process.num_fds())
    except (psutil.Error, OSError):  # gone meanwhile
        return 0


def _memory(process: psutil.Process) -> float:
    try:
        return float(process.memory_info().rss)
    except (psutil.Error, OSError):
        return 0.0


def _is_free(port: int) -> bool:
    try:
        PortLease.acquire(port, port).release()
    except SumoStartError:
        return False
    return True
