"""One trial of a sweep, as Tune sees it: a training run like any other, measured at its rungs."""

from __future__ import annotations

import shutil
import time
from collections.abc import Mapping
from contextlib import ExitStack, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

from ray.tune import Trainable
from ray.tune.result import DONE, SHOULD_CHECKPOINT

from roadsense.artifacts.files import write_json
from roadsense.artifacts.layout import RunLayout
from roadsense.config import Settings, read_json_object
from roadsense.errors import RunDirectoryError, SumoError
from roadsense.evaluation.objective import objective
from roadsense.training.checkpoint import Checkpoint
from roadsense.training.checkpoint import read as read_checkpoint
from roadsense.training.generations import Generations
from roadsense.training.plan import TrainingPlan, plan_training
from roadsense.training.run_files import prepare, write_results
from roadsense.training.saving import parts_until
from roadsense.training.sweep.files import Measurement, SweepFile, SweepLayout, TakenOver, TrialSpec
from roadsense.training.sweep.rungs import drive_rung
from roadsense.training.sweep.space import shown, with_drawn
from roadsense.training.train import TrainingRun, opened

OBJECTIVE: Final = "objective"
CRITICAL_CRASHES: Final = "objective_critical_crashes"
FALSE_BRAKING: Final = "objective_false_braking"
TIMESTEPS: Final = "timesteps"
_POINTER: Final = "checkpoint.json"


class Pointer(Settings):
    """What Tune keeps as a trial's checkpoint: where the real one lies. Of another trial when population based training takes it over."""

    trial: str
    timesteps: int
    drawn: dict[str, Any]


class SweepTrial(Trainable):
    """A trial. It runs on the driver's machine, where the sweep's directory is; its env runners run where Ray has room."""

    def setup(self, config: dict[str, Any], sweep_dir: str) -> None:
        """Take notice; nothing is built before Tune has said whether there is a checkpoint."""
        self._layout = SweepLayout(Path(sweep_dir))
        self._sweep: SweepFile = self._layout.read()
        self._spec = next(spec for spec in self._sweep.trials if spec.name == self.trial_name)
        self._drawn: dict[str, Any] = dict(config["trial"]["drawn"])
        self._pointer: Pointer | None = None
        self._stack = ExitStack()
        self._training: TrainingRun | None = None

    def step(self) -> dict[str, Any]:
        """One iteration: the row of progress.csv, and the objective where a rung was reached. Raises as `TrainingRun.run`."""
        if self._training is None:
            self._training = self._open()
        training = self._training
        if training.done:  # it was ended between its last step and Tune's taking notice
            return self._measured(training) | {TIMESTEPS: training.timesteps, DONE: True}
        before, figures = training.timesteps, None
        while figures is None:
            figures = training.iterate()
        result: dict[str, Any] = figures.as_row()
        if any(before < rung <= training.timesteps for rung in self._sweep.settings.rungs):
            result |= self._measured(training)
        return result | {DONE: training.done, SHOULD_CHECKPOINT: training.saved_timesteps == training.timesteps}

    def save_checkpoint(self, checkpoint_dir: str) -> None:
        """Tune asks for a checkpoint: it gets the place of ours."""
        if self._training is None:
            # Asked before the first step: that from which it is to begin.
            pointer = self._pointer or Pointer(trial=self._spec.name, timesteps=0, drawn=self._drawn)
        else:
            self._training.save()
            pointer = Pointer(trial=self._spec.name, timesteps=self._training.timesteps, drawn=self._drawn)
        write_json(Path(checkpoint_dir) / _POINTER, pointer.model_dump(mode="json"))

    def load_checkpoint(self, checkpoint_dir: str) -> None:
        """Begin there."""
        self._pointer = Pointer.parse(read_json_object(Path(checkpoint_dir) / _POINTER, RunDirectoryError), checkpoint_dir)

    def cleanup(self) -> None:
        """End the env runners and close the log."""
        self._stack.close()

    def _open(self) -> TrainingRun:
        layout = self._layout.trial(self._spec.name)
        checkpoint = self._bring_checkpoint(layout)
        plan = plan_trial(self._sweep, self._spec, self._drawn, layout, checkpoint)
        _go_back(plan, self._layout, self._spec)
        self._describe(checkpoint)
        prepare(plan)
        self._plan = plan
        say = _log_of(layout)
        say(f"{self._spec.name}: seed {self._spec.seed}, {shown(self._drawn) or 'the base configuration'}")
        if checkpoint is not None:
            say(
                f"goes on at {checkpoint.state.timesteps:,} steps"
                + (f" of {self._pointer.trial}" if self._is_foreign() and self._pointer else "")
            )
        generations = Generations(layout.generations, used=-1 if checkpoint is None else checkpoint.state.generation)
        training = self._stack.enter_context(opened(plan, plan.settings.num_env_runners or 0, generations, say))
        self._stack.callback(training.close)
        return training

    def _is_foreign(self) -> bool:
        return self._pointer is not None and self._pointer.trial != self._spec.name

    def _bring_checkpoint(self, layout: RunLayout) -> Checkpoint | None:
        """The checkpoint that Tune's pointer means, in the trial's own directory; None to begin anew.

        Later ones are removed: Tune knows nothing of them, and the newest one must be the one from which the run goes on.
        """
        reached = 0 if self._pointer is None else self._pointer.timesteps
        for later in layout.checkpoints.glob("step_*"):
            if int(later.name.removeprefix("step_")) > reached:
                shutil.rmtree(later)
        if not reached or self._pointer is None:
            return None
        name = f"step_{reached:09d}"
        source = self._layout.trial(self._pointer.trial).checkpoints / name
        if self._is_foreign():
            # Also over one of our own with the same number of steps: that was another policy.
            unfinished = layout.checkpoints / f".unfinished-{name}"
            shutil.rmtree(unfinished, ignore_errors=True)
            shutil.copytree(source, unfinished)
            shutil.rmtree(layout.checkpoints / name, ignore_errors=True)
            unfinished.rename(layout.checkpoints / name)
        return read_checkpoint(layout.checkpoints / name)

    def _describe(self, checkpoint: Checkpoint | None) -> None:
        """trial.json as it is now: what was measured after the checkpoint is measured again."""
        reached = 0 if checkpoint is None else checkpoint.state.timesteps
        before = self._layout.read_trial(self._spec)
        trial = before.until(reached)
        if trial.last != before.last:
            # The packaged policy is that of the newest rung, which is driven to again.
            for path in (self._layout.trial(self._spec.name).model, self._layout.trial(self._spec.name).metrics):
                path.unlink(missing_ok=True)
        taken_over = trial.taken_over
        if self._is_foreign() and self._pointer is not None:
            taken_over = (*taken_over, TakenOver(timesteps=reached, trial=self._pointer.trial, drawn=self._drawn))
        self._layout.write_trial(trial.model_copy(update={"drawn": self._drawn, "taken_over": taken_over}))

    def _measured(self, training: TrainingRun) -> dict[str, Any]:
        """Drive the rung's episodes, and leave a run directory that is complete if this was the last the trial gets to do.

        Raises:
            SumoError: SUMO cannot drive them.
        """
        trial = self._layout.read_trial(self._spec)
        found = next((rung for rung in trial.rungs if rung.timesteps == training.timesteps), None)
        if found is None:
            found = self._measure(training)
            training.save()
            training.package()
            write_results(self._plan, training.summary(), None)
            self._layout.write_trial(trial.model_copy(update={"rungs": (*trial.rungs, found)}))
        # Under names of their own: progress.csv has a false_braking_rate, that of the exploring policy.
        return {
            OBJECTIVE: found.objective,
            CRITICAL_CRASHES: found.critical_hazard_collision_rate,
            FALSE_BRAKING: found.false_braking_rate,
            "objective_measuring_s": found.measuring_s,
        }

    def _measure(self, training: TrainingRun) -> Measurement:
        began_s = time.monotonic()
        settings, rung = self._sweep.settings, self._sweep.rung
        records = drive_rung(training, settings.base.training_task, rung.episodes)
        measured = objective(records, rung.critical, settings.false_braking_weight)
        if measured is None:
            raise SumoError("no episode of the rung could be driven to its end; roadsense check shows what is wrong with the scenarios")
        return Measurement(timesteps=training.timesteps, measuring_s=time.monotonic() - began_s, **measured.as_dict())


def plan_trial(
    sweep: SweepFile, spec: TrialSpec, drawn: Mapping[str, Any], layout: RunLayout, checkpoint: Checkpoint | None = None
) -> TrainingPlan:
    """The plan of a trial's training in its directory.

    Raises:
        RoadSenseError: an input is missing or refused.
    """
    settings = with_drawn(sweep.settings.base, drawn).model_copy(update={"seed": spec.seed})
    return replace(plan_training(settings, place=(spec.name, layout.root)), checkpoint=checkpoint)


def _go_back(plan: TrainingPlan, sweep: SweepLayout, spec: TrialSpec) -> None:
    """Remove what a run that ends at the plan's checkpoint would not have; the counter of generations alone never goes back."""
    layout = plan.layout
    parts_until(layout, 0 if plan.checkpoint is None else plan.checkpoint.state.timesteps)
    if plan.checkpoint is None:
        shutil.rmtree(layout.tensorboard, ignore_errors=True)
        for path in (layout.model, layout.metrics, sweep.trial_file(spec.name)):
            path.unlink(missing_ok=True)


def _log_of(layout: RunLayout) -> Any:
    def say(line: str) -> None:
        with suppress(OSError), layout.log.open("a", encoding="utf-8") as log:
            log.write(f"{line}\n")

    return say
