"""Running the trials of a sweep with Ray Tune, from the start or from where it was."""

from __future__ import annotations

import os
import shutil
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from ray import tune
from ray.tune.logger import JsonLoggerCallback

from roadsense.errors import RunDirectoryError
from roadsense.training.capacity import require_same_versions, wait_for_workers
from roadsense.training.cluster import ray_cluster
from roadsense.training.guard import guarded
from roadsense.training.plan import TrainingPlan
from roadsense.training.progress import Say
from roadsense.training.stop import StopSignals
from roadsense.training.sweep.files import SweepFile, SweepLayout
from roadsense.training.sweep.live import set_live
from roadsense.training.sweep.room import bundles, find_room
from roadsense.training.sweep.schedulers import scheduler_of
from roadsense.training.sweep.trial import SweepTrial
from roadsense.training.sweep.watch import Watch, before, newest_state, reason_of

# Of one trial: machines that are taken away, memory that is short. What fails as often for its own reasons is given up.
_ATTEMPTS: Final = 3
_ENVIRONMENT: Final = {
    "TUNE_DISABLE_AUTO_CALLBACK_LOGGERS": "1",  # every trial has its own progress.csv and TensorBoard; Tune's would be a second series
    "TUNE_DISABLE_SIGINT_HANDLER": "1",  # StopSignals hears them, SIGTERM as well
    "TUNE_DISABLE_STRICT_METRIC_CHECKING": "1",  # the objective is known at rungs only
    "TUNE_GLOBAL_CHECKPOINT_S": "3",  # between two snapshots; what a trial has done since the last one is done again after a kill
    "TUNE_WARN_EXCESSIVE_EXPERIMENT_CHECKPOINT_SYNC_THRESHOLD_S": "0",
    "RAY_CHDIR_TO_TRIAL_DIR": "0",  # users' own parts lie where the user works
    "RAY_AIR_NEW_OUTPUT": "0",
    "TUNE_MAX_PENDING_TRIALS_PG": "1000",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Tuned:
    """What came of the trials.

    Attributes:
        failed: trial that was given up -> why.
        unfinished: trials that a resume would go on with.
        stopped_by: why the sweep ended early; None when it did not.
        steps: environment steps of all trials.
        elapsed_s: time of all sessions.
    """

    failed: dict[str, str]
    unfinished: tuple[str, ...]
    stopped_by: str | None
    steps: int
    elapsed_s: float


def run_trials(layout: SweepLayout, sweep: SweepFile, plan: TrainingPlan, stop: StopSignals, say: Say) -> Tuned:
    """Train all trials, or those that are left; the directory knows which.

    Args:
        layout: the sweep's directory; sweep.json is there.
        sweep: its content.
        plan: of the base configuration.
        stop: entered when Ray is there.
        say: is told what happens.

    Raises:
        RoadSenseError: no trial has room, or the state of the sweep is damaged.
    """
    settings = sweep.settings
    os.environ.update({name: os.environ.get(name, value) for name, value in _ENVIRONMENT.items()})
    with ExitStack() as stack:
        stack.enter_context(guarded())
        cluster = stack.enter_context(ray_cluster(None, plan.dataset_dir, dashboard=settings.dashboard))
        room = find_room(settings, cluster, len(sweep.trials))
        if cluster.address is not None:
            say(f"joined the Ray cluster at {cluster.address} with {cluster.cpus} CPUs")
            wait_for_workers(room.at_once * room.cpus, say)
            require_same_versions()
        say(room.describe())
        stack.enter_context(stop)
        watch = Watch(settings, layout, say, stop)
        trainable = tune.with_resources(tune.with_parameters(SweepTrial, sweep_dir=str(layout.root)), bundles(room))
        resumed = _mend(layout.tune)
        if not resumed and any(layout.trial(spec.name).root.exists() for spec in sweep.trials):
            say("Tune has no state that can be read of the session before: its trials begin anew")
        watch.session = _session(layout) if resumed else 0
        watch.scheduler = scheduler_of(settings, watch.session)
        set_live(watch=watch, scheduler=watch.scheduler)
        tuner = _restored(layout, trainable) if resumed else _new(layout, sweep, trainable, watch, room.at_once)
        results = tuner.fit()
        return _tuned(results, layout, sweep, watch)


def _new(layout: SweepLayout, sweep: SweepFile, trainable: Any, watch: Watch, at_once: int) -> Any:
    shutil.rmtree(layout.tune, ignore_errors=True)
    configurations = [{"name": spec.name, "drawn": spec.drawn} for spec in sweep.trials]
    return tune.Tuner(
        trainable,
        param_space={"trial": tune.grid_search(configurations)},
        tune_config=tune.TuneConfig(
            scheduler=watch.scheduler,
            # A population that is larger than the machine takes turns, which Tune sees to where all its trials exist.
            max_concurrent_trials=None if sweep.settings.algorithm == "pbt" else at_once,
            reuse_actors=False,
            trial_name_creator=_name_of,
            trial_dirname_creator=_name_of,
        ),
        run_config=tune.RunConfig(
            name=layout.tune.name,
            storage_path=str(layout.root),
            callbacks=[watch, JsonLoggerCallback()],
            verbose=0,
            failure_config=tune.FailureConfig(max_failures=_ATTEMPTS),
            checkpoint_config=tune.CheckpointConfig(num_to_keep=None),
        ),
    )


def _restored(layout: SweepLayout, trainable: Any) -> Any:
    try:
        return tune.Tuner.restore(str(layout.tune), trainable=trainable, resume_unfinished=True, resume_errored=True)
    except Exception as problem:
        first_line = str(problem).strip().splitlines()[0] if str(problem).strip() else type(problem).__name__
        raise RunDirectoryError(f"{layout.tune}: cannot be restored ({first_line}); start the sweep anew in another --output_dir") from None


def _mend(state: Path) -> bool:
    """Whether there is a state to go on from; half a snapshot gives way to the one before."""
    if newest_state(state) is None and newest_state(before(state)) is not None:
        shutil.copytree(before(state), state, dirs_exist_ok=True)
    return newest_state(state) is not None and tune.Tuner.can_restore(str(state))


def _session(layout: SweepLayout) -> int:
    """Counted by what sessions leave; Tune begins a snapshot of its own in each of them."""
    return len(list(layout.tune.glob("experiment_state-*.json")))


def _name_of(trial: Any) -> str:
    return str(trial.config["trial"]["name"])


def _tuned(results: Any, layout: SweepLayout, sweep: SweepFile, watch: Watch) -> Tuned:
    trials = {str(trial): trial for trial in results._experiment_analysis.trials}
    failed = {name: reason_of(layout.tune, name) for name, trial in trials.items() if trial.status == "ERROR"}
    finished = {name for name, trial in trials.items() if trial.status == "TERMINATED"}
    unfinished = tuple(spec.name for spec in sweep.trials if spec.name not in failed and spec.name not in finished)
    return Tuned(failed=failed, unfinished=unfinished, stopped_by=watch.stopped_by, steps=watch.steps, elapsed_s=watch.elapsed_s)
