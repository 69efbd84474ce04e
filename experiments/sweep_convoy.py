"""A sweep over the convoy task with Ray Tune: learning rate, entropy, batch, pooling, radio randomisation, reward weights.

Purpose
    Find a better configuration than the recipe of docs/decisions/0007 within a budget, or be told that the differences are luck.

How to run
    python experiments/sweep_convoy.py                                            16 trials and 3 base seeds, at most 500,000 steps each
    python experiments/sweep_convoy.py --algorithm random --trials 8              every trial to its end
    python experiments/sweep_convoy.py --algorithm pbt --trials 8                 population based training
    python experiments/sweep_convoy.py --stop_after_minutes 120                   go on later with --resume runs/sweep_convoy
    python experiments/sweep_convoy.py --vary 'learning_rate=log(3e-4,3e-3)' --vary 'model.pool=max|mean|max+mean'
    ray submit cluster.yaml experiments/sweep_convoy.py                           on a cluster, unchanged
    Every flag of `roadsense sweep` works and wins over the recipe's; without --dataset_dir the default dataset of seed 42 is made.

What to expect
    A line whenever a trial has been measured at a rung, a line that says whether the base configuration is stable over seeds, and at the
    end runs/sweep_convoy/table.md: the best trials and the base configuration on the evaluation list, with intervals. Trials are run
    directories (runs/sweep_convoy/trials/*) for `roadsense report`, `evaluate` and `export`. docs/sweep.md says how long it takes.
"""

import sys
from pathlib import Path

from roadsense.cli import main

DATASET = Path("runs/sweep_dataset")
OWN = ["--checkpoint_every", "25000", "--output_dir", "runs/sweep_convoy"]
# Before a third of the way a policy that will learn the task often does not brake at all yet (docs/results/2026-11-27_sweep.md).
LENGTH = ["--total_timesteps", "500000", "--first_rung", "166668"]


def run(arguments: list[str]) -> int:
    """Make the dataset where none is given, and sweep; of flags that come twice the last one counts."""
    given = {word.partition("=")[0].removeprefix("--").replace("-", "_") for word in arguments if word.startswith("--")}
    if "resume" in given:
        return main(["sweep", *arguments])
    dataset = []
    if not given & {"dataset_dir", "sumo_cfg"}:
        if not (DATASET / "manifest.json").exists() and (code := main(["generate", "--seed", "42", "--output_dir", str(DATASET)])):
            return code
        dataset = ["--dataset_dir", str(DATASET)]
    length = [] if "total_timesteps" in given else LENGTH
    return main(["sweep", "--recipe", *OWN, *length, *dataset, *arguments])


if __name__ == "__main__":
    sys.exit(run(sys.argv[1:]))
