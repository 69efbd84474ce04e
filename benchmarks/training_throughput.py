"""Steps/s of a whole training (learner included) beside the yardstick 2T, in one run.

Purpose: show what a change costs or gains, as a ratio that holds on a noisy machine.

How to run: python benchmarks/training_throughput.py [--steps 80000] [--json FILE]
What to expect: about two minutes on 2 cores; the run is refused when 2T before and after differ by more than 10 %, unless --anyway.
"""

import argparse
import csv
import json
import os
import statistics
import sys
import tempfile
from datetime import UTC, datetime
from pathlib import Path

from yardstick import two_loops

from roadsense.artifacts.provenance import collect_provenance
from roadsense.experiment import run_experiment
from roadsense.scenario.generate import GenerateSettings, generate
from roadsense.training.settings import TrainSettings

LARGEST_DRIFT = 0.10


def training_rates(steps: int) -> list[float]:
    """Steps/s of every iteration but the first, in which workers and simulators start."""
    with tempfile.TemporaryDirectory() as scratch:
        dataset = generate(GenerateSettings(output_dir=Path(scratch) / "dataset"))
        settings = TrainSettings(
            dataset_dir=dataset.directory, output_dir=Path(scratch) / "run", total_timesteps=steps, num_env_runners=2, skip_eval=True
        )
        result = run_experiment(settings, quiet=True)
        with result.layout.progress.open() as file:
            return [float(row["steps_per_s"]) for row in csv.DictReader(file)][1:]


def main() -> int:
    """Measure, print, and write the JSON file."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--steps", type=int, default=80_000)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--anyway", action="store_true", help="report although the machine was too restless")
    flags = parser.parse_args()
    before = two_loops(6.0)
    rates = training_rates(flags.steps)
    after = two_loops(6.0)
    yardstick = (before + after) / 2
    figures = {
        "two_t_before": before,
        "two_t_after": after,
        "training_steps_per_s": {"median": statistics.median(rates), "min": min(rates), "max": max(rates)},
        "ratios": {"training_vs_2T": statistics.median(rates) / yardstick},
    }
    print(json.dumps(figures, indent=2))
    drift = abs(after - before) / yardstick
    if drift > LARGEST_DRIFT and not flags.anyway:
        print(f"refused: 2T moved by {drift:.0%} during the run; try again on a quieter machine, or give --anyway", file=sys.stderr)
        return 1
    if flags.json is not None:
        measured = {"measured": datetime.now(UTC).isoformat(timespec="seconds"), "cores": len(os.sched_getaffinity(0))}
        flags.json.write_text(json.dumps(measured | figures | {"provenance": collect_provenance({})}, indent=2) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
