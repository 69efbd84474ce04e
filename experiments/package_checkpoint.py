"""The policy of a checkpoint as a model file, for a run that is still going on or was ended for good.

Purpose
    A finished training packages its policy itself. This does the same for the newest checkpoint, or another one, of any run; nothing of the
    run is changed, and it may be training meanwhile.

How to run
    python experiments/package_checkpoint.py runs/<run_id> policy.zip
    python experiments/package_checkpoint.py runs/<run_id> policy.zip --step 250000      the newest one of at most 250,000 steps

What to expect
    One line that says which checkpoint was taken. The model file is the one that a training of so many steps would have written.
    A checkpoint holds pickles, so unlike a model file it executes code when it is read: take your own alone.
"""

import argparse
import logging
import sys
from pathlib import Path

from roadsense.artifacts.layout import RunLayout
from roadsense.errors import RoadSenseError, RunDirectoryError
from roadsense.model.policy_file import save_policy
from roadsense.training.checkpoint import TrainingState, latest


def newest(run: Path, step: int | None) -> tuple[Path, TrainingState]:
    """The checkpoint to take and its state.

    Raises:
        RunDirectoryError: there is none.
    """
    layout = RunLayout(run)
    if step is None:
        found = latest(layout)
        return found.path, found.state
    states = {path.parent: TrainingState.load_json(path, RunDirectoryError) for path in layout.checkpoints.glob("step_*/roadsense.json")}
    early = {path: state for path, state in states.items() if state.timesteps <= step}
    if not early:
        kept = ", ".join(str(steps) for steps in sorted(state.timesteps for state in states.values())) or "none"
        raise RunDirectoryError(f"{run}: no checkpoint of at most {step} steps; kept are {kept}")
    return max(early.items(), key=lambda item: item[1].timesteps)


def run(arguments: list[str]) -> int:
    """Package one checkpoint."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0], allow_abbrev=False)
    parser.add_argument("run", type=Path, help="run directory")
    parser.add_argument("output", type=Path, help="the model file to write")
    parser.add_argument("--step", type=int, help="take the newest checkpoint of at most so many steps")
    flags = parser.parse_args(arguments)
    checkpoint, state = newest(flags.run, flags.step)
    from ray.rllib.core.rl_module.rl_module import RLModule  # seconds to import: after what may be refused

    logging.getLogger("ray").setLevel(logging.ERROR)  # its warnings about its own defaults
    # Ray takes a relative path for an address without a scheme.
    module = RLModule.from_checkpoint(checkpoint.resolve() / "learner_group" / "learner" / "rl_module" / "default_policy")
    metadata = {"seed": state.config.get("seed"), "dataset_hash": state.dataset_hash, "training_timesteps": state.timesteps}
    save_policy(flags.output, module.network, metadata=metadata)
    print(f"written: {flags.output}, the policy after {state.timesteps:,} steps ({checkpoint.name} of {flags.run})")
    return 0


if __name__ == "__main__":
    try:
        sys.exit(run(sys.argv[1:]))
    except RoadSenseError as error:
        print(f"package_checkpoint: {error}", file=sys.stderr)
        sys.exit(error.exit_code)
