"""What the driver of a sweep sees while Tune runs: lines for the user, the end of the budget, signals; and what a resume must know."""

from __future__ import annotations

import json
import re
import shutil
import signal
import time
from collections import defaultdict
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

from ray.tune import Callback

from roadsense.artifacts.cost import cost_so_far
from roadsense.training.progress import Say
from roadsense.training.stop import StopSignals
from roadsense.training.sweep.files import BASE_PREFIX, SweepLayout
from roadsense.training.sweep.live import from_live
from roadsense.training.sweep.schedulers import Halving
from roadsense.training.sweep.settings import SweepSettings
from roadsense.training.sweep.spread import Spread
from roadsense.training.sweep.trial import CRITICAL_CRASHES, FALSE_BRAKING, OBJECTIVE, TIMESTEPS

_TRIALS: Final = "experiment_state-*.json"
_CALLBACKS: Final = "callback-states-*.pkl"
_SEARCH: Final = "basic-variant-state-*.json"  # a pickle all the same
_STATE_FILES: Final = (_TRIALS, _CALLBACKS, _SEARCH, "tuner.pkl")
_RAISED: Final = re.compile(r"[A-Za-z_][\w.]*(Error|Exception)\b.*: ")
_PICKLE_ENDS: Final = b"."  # with this instruction, and half of one with it by chance only


class Watch(Callback):
    """Tune's callback in the driver.

    Attributes:
        stopped_by: why the sweep ended early, in words; None when it did not.
        elapsed_s: time spent in all sessions.
        session: 0, and one more after every resume.
    """

    def __init__(self, settings: SweepSettings, layout: SweepLayout, say: Say, stop: StopSignals) -> None:
        self._settings = settings
        self._layout = layout
        self._say = say
        self._stop = stop
        self._timesteps: dict[str, int] = {}
        self._driven: dict[str, int] = defaultdict(int)  # steps made, those that population based training threw away included
        self._by_rung: dict[int, dict[str, float]] = {}
        self._told_spread: set[int] = set()
        self._began_s = time.monotonic()
        self._before_s = 0.0
        self.scheduler: Any = None
        self.session = 0
        self.stopped_by: str | None = None

    def __reduce__(self) -> Any:
        """Tune keeps a copy for a resume; there the one of that process is wanted."""
        return from_live, ("watch",)

    @property
    def elapsed_s(self) -> float:
        """Time spent in all sessions."""
        return self._before_s + time.monotonic() - self._began_s

    @property
    def steps(self) -> int:
        """Environment steps of all trials."""
        return sum(self._driven.values())

    def on_trial_result(self, iteration: int, trials: Any, trial: Any, result: dict[str, Any], **info: Any) -> None:  # noqa: ARG002
        """Count the steps, and tell of a rung."""
        name, timesteps = str(trial), int(result[TIMESTEPS])
        self._driven[name] += max(0, timesteps - self._timesteps.get(name, 0))
        self._timesteps[name] = timesteps
        if OBJECTIVE in result:
            self._tell_rung(name, timesteps, result)

    def on_trial_error(self, iteration: int, trials: Any, trial: Any, **info: Any) -> None:  # noqa: ARG002
        """A trial has failed for good."""
        self._say(f"{trial}: given up; what it did is in {self._layout.trial(str(trial)).log}")

    def on_trial_start(self, iteration: int, trials: Any, trial: Any, **info: Any) -> None:  # noqa: ARG002
        """A trial begins, or goes on."""
        # Where it goes on is known with its first result: a step counts from there.
        name = str(trial)
        checkpoint = trial.checkpoint
        if checkpoint is not None:
            with suppress(OSError, ValueError, KeyError):
                pointer = json.loads((Path(checkpoint.path) / "checkpoint.json").read_text())
                self._timesteps[name] = int(pointer["timesteps"])
                self._say(
                    f"{name}: goes on at {self._timesteps[name]:,} steps" + ("" if pointer["trial"] == name else f" of {pointer['trial']}")
                )
                return
        self._timesteps[name] = 0

    def on_step_end(self, iteration: int, trials: Any, **info: Any) -> None:  # noqa: ARG002
        """End the sweep in good order when a signal has come or the budget is used: Tune's own way, so that it can be resumed."""
        if self.stopped_by is None:
            self.stopped_by = self._reason_to_stop()
            if self.stopped_by is not None:
                signal.raise_signal(signal.SIGUSR1)

    def get_state(self) -> dict[str, Any]:
        """What Tune keeps with its snapshot of the trials: it would forget its own scheduler's rungs otherwise."""
        keep_copy(self._layout.tune)
        state: dict[str, Any] = {
            "elapsed_s": self.elapsed_s,
            "session": self.session,
            "driven": dict(self._driven),
            "by_rung": self._by_rung,
        }
        if isinstance(self.scheduler, Halving):
            state["scheduler"] = dict(vars(self.scheduler))
        return state

    def set_state(self, state: dict[str, Any]) -> None:
        """Go on from there."""
        self._before_s, self.session = state["elapsed_s"], state["session"] + 1
        self._driven = defaultdict(int, state["driven"])
        self._by_rung = state["by_rung"]
        if "scheduler" in state:
            vars(self.scheduler).update(state["scheduler"])

    def _tell_rung(self, name: str, timesteps: int, result: Mapping[str, Any]) -> None:
        rung = max((rung for rung in self._settings.rungs if rung <= timesteps), default=0)
        there = self._by_rung.setdefault(rung, {})
        there[name] = float(result[OBJECTIVE])
        place = sorted(there.values()).index(there[name]) + 1
        self._say(
            f"{name}: {timesteps:,} steps, objective {100 * there[name]:.1f} ({place} of {len(there)} at this rung), critical crashes "
            f"{100 * result[CRITICAL_CRASHES]:.1f} %, false braking {100 * result[FALSE_BRAKING]:.2f} %" + _money()
        )
        self._tell_spread(rung, there)

    def _tell_spread(self, rung: int, there: Mapping[str, float]) -> None:
        """As soon as all seeds of the base configuration have been at a rung: before the money for the later ones is spent."""
        base = [value for name, value in there.items() if name.startswith(BASE_PREFIX)]
        if rung not in self._told_spread and len(base) == self._settings.base_seeds >= 2:
            self._told_spread.add(rung)
            self._say(f"at {rung:,} steps: {Spread.of(base, self._settings.trials).describe()}")

    def _reason_to_stop(self) -> str | None:
        settings = self._settings
        if self._stop.requested():
            return f"signal {self._stop.signal_number}"
        if settings.stop_after_steps is not None and self.steps >= settings.stop_after_steps:
            return f"--stop_after_steps {settings.stop_after_steps:,}"
        if settings.stop_after_minutes is not None and self.elapsed_s >= 60 * settings.stop_after_minutes:
            return f"--stop_after_minutes {settings.stop_after_minutes:g}"
        cost = cost_so_far()
        if settings.stop_after_usd is not None and cost is not None and cost.cost_usd >= settings.stop_after_usd:
            return f"--stop_after_usd {settings.stop_after_usd:g}"
        return None


def reason_of(tune: Path, name: str) -> str:
    """Why a trial failed, in one line: what was raised last in the traceback that Tune keeps."""
    try:
        lines = (tune / name / "error.txt").read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError):
        return "for an unknown reason"
    raised = [line.strip() for line in lines if _RAISED.match(line)]
    return raised[-1] if raised else next((line.strip() for line in reversed(lines) if line.strip()), "for an unknown reason")


def keep_copy(tune: Path) -> None:
    """Keep the snapshot that is complete now: a kill in the middle of the next one leaves half a file."""
    newest = newest_state(tune)
    if newest is None:
        return
    copy, unfinished = before(tune), tune.with_name(".unfinished-tune")
    with suppress(OSError, shutil.Error):
        shutil.rmtree(unfinished, ignore_errors=True)
        unfinished.mkdir()
        for pattern in _STATE_FILES:
            for path in tune.glob(pattern):
                shutil.copyfile(path, unfinished / path.name)
        if newest_state(unfinished) is not None:
            shutil.rmtree(copy, ignore_errors=True)
            unfinished.rename(copy)


def before(tune: Path) -> Path:
    """Where the copy lies."""
    return tune.with_name(".tune-before")


def newest_state(tune: Path) -> Path | None:
    """Tune's snapshot of the trials; None when there is none, or half of one: its files are written in place."""
    trials, callbacks, search = (max(tune.glob(pattern), default=None) for pattern in (_TRIALS, _CALLBACKS, _SEARCH))
    if trials is None:
        return None
    try:
        json.loads(trials.read_text(encoding="utf-8"))
        pickled = [path.read_bytes() for path in (callbacks, search) if path is not None]
    except (OSError, ValueError):
        return None
    return trials if all(content.endswith(_PICKLE_ENDS) for content in pickled) else None


def _money() -> str:
    cost = cost_so_far()
    return "" if cost is None else f", ${cost.cost_usd:.2f} so far"
