"""The figures of docs/results: reference policies and several trained policies on identical episodes.

Purpose
    Show what the task asks (never_brake, oracle), what rules reach on it (ttc_radio and others), and what is learned, over training seeds.

How to run
    python experiments/honest_convoy.py                                  3 seeds, 1,000,000 steps each
    python experiments/honest_convoy.py --seeds 1 --total_timesteps 250000
    A step whose result lies in the output folder already is not done again, so a run that was interrupted goes on where it was.
    Further flags go to `roadsense train`, for example --learning_rate 5e-4.

What to expect
    On 2 cores about 15 minutes for the reference policies and 20 minutes per seed. For each seed a table of the learned policy against
    ttc_radio, crashes counted episode by episode; everything is under runs/honest_convoy.
"""

import argparse
import sys
from pathlib import Path

from roadsense.cli import main
from roadsense.evaluation.reference import REFERENCE_POLICIES

TRAINING = [
    "--learning_rate",
    "1e-3",
    "--learning_rate_final",
    "1e-4",
    "--ent_coef_final",
    "0",
    "--n_steps",
    "4096",
    "--minibatch_size",
    "1024",
]


def step(result: Path, command: list[str]) -> None:
    """Run a roadsense command unless its result exists; end with its exit code when it fails."""
    if result.exists():
        print(f"{result}: exists")
        return
    print("roadsense", *command, flush=True)
    code = main(command)
    if code:
        sys.exit(code)


def run(arguments: list[str]) -> int:
    """References once, then each seed: train, evaluate on the same episodes, compare."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0], allow_abbrev=False)
    parser.add_argument("--seeds", default="1,2,3", help='training seeds, separated by commas; none with ""')
    parser.add_argument("--total_timesteps", type=int, default=1_000_000, help="steps per seed")
    parser.add_argument("--rounds", type=int, default=7, help="times the evaluation list is driven")
    parser.add_argument("--dataset_seed", type=int, default=42, help="seed of the dataset")
    parser.add_argument("--output_dir", type=Path, default=Path("runs/honest_convoy"), help="where everything goes")
    flags, further = parser.parse_known_args(arguments)
    out: Path = flags.output_dir
    dataset, references = out / "dataset", out / "references"
    rounds = ["--dataset_dir", str(dataset), "--rounds", str(flags.rounds)]
    step(dataset / "manifest.json", ["generate", "--seed", str(flags.dataset_seed), "--output_dir", str(dataset)])
    first, *others = REFERENCE_POLICIES
    compared = ["--policy", first, "--compare", ",".join(others), "--output_dir", str(references)]
    step(references / "metrics.json", ["evaluate", *rounds, *compared])
    for seed in filter(None, flags.seeds.split(",")):
        trained, judged = out / f"seed_{seed}", out / f"seed_{seed}_evaluation"
        training = ["--dataset_dir", str(dataset), "--total_timesteps", str(flags.total_timesteps), "--seed", seed, "--skip_eval"]
        step(trained / "model_final.zip", ["train", *training, "--output_dir", str(trained), *TRAINING, *further])
        step(judged / "metrics.json", ["evaluate", *rounds, "--run", str(trained), "--no_references", "--output_dir", str(judged)])
        tables = [str(judged / "episodes.parquet"), str(references / "episodes.parquet")]
        step(
            judged / "against_ttc_radio.json",
            ["compare", *tables, "--policies", "learned,ttc_radio", "--json", str(judged / "against_ttc_radio.json")],
        )
    return 0


if __name__ == "__main__":
    sys.exit(run(sys.argv[1:]))
