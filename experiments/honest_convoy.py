"""The figures of docs/results: reference policies and several trained policies on identical episodes.

Purpose
    Show what the task asks (never_brake, oracle), what rules reach on it (ttc_radio and others), and what is learned, over training seeds.

How to run
    python experiments/honest_convoy.py                                  3 seeds, 1,000,000 steps each
    python experiments/honest_convoy.py --seeds 1 --total_timesteps 250000
    python experiments/honest_convoy.py --eval_seed 2027                 judged on the list of a dataset that nobody has looked at
    A step whose result lies in the output folder already is not done again, so a run that was interrupted goes on where it was.
    Further flags go to `roadsense train`, for example --learning_rate 5e-4.

What to expect
    On 2 quiet cores about 4 minutes for the reference policies and 6 minutes per seed. For each seed a table of the learned policy against
    ttc_radio, crashes counted episode by episode, and at the end all policies side by side; everything is under runs/honest_convoy.
"""

import argparse
import json
import sys
from pathlib import Path
from typing import Any

from roadsense.cli import main
from roadsense.evaluation.reference import REFERENCE_POLICIES

# (figure of metrics.json, heading, factor, digits)
FIGURES = [
    ("hazard_collision_rate", "hazard crashes %", 100, 1),
    ("critical_hazard_collision_rate", "in critical hazards %", 100, 1),
    ("false_braking_rate", "false braking %", 100, 2),
    ("avg_reaction_s", "reaction s", 1, 2),
    ("avg_peak_braking_mps2", "peak m/s2", 1, 1),
    ("avg_impact_speed_mps", "impact m/s", 1, 1),
    ("avg_progress_m", "driven m", 1, 0),
    ("avg_reward", "return", 1, 2),
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


def row(name: str, figures: dict[str, Any]) -> str:
    """One policy as a line of Markdown, 95 % intervals in brackets."""
    cells = [name]
    for key, _, factor, digits in FIGURES:
        value, interval = figures[key], figures["intervals"].get(key)
        shown = "--" if value is None else f"{factor * value:.{digits}f}"
        if value is not None and interval is not None:
            shown += f" ({factor * interval[0]:.{digits}f} to {factor * interval[1]:.{digits}f})"
        cells.append(shown)
    return f"| {' | '.join(cells)} |"


def summary(out: Path, seeds: list[str], list_name: str) -> str:
    """Every reference policy and every seed, side by side, as a Markdown table."""
    references = json.loads((out / f"references{list_name}" / "metrics.json").read_text())
    lines = [f"| policy | {' | '.join(heading for _, heading, _, _ in FIGURES)} |", "|---" * (1 + len(FIGURES)) + "|"]
    lines.append(row(references["policy"], references["evaluation"]))
    lines += [row(name, figures) for name, figures in references["references"].items()]
    for seed in seeds:
        judged = json.loads((out / f"seed_{seed}_evaluation{list_name}" / "against_ttc_radio.json").read_text())
        lines.append(row(f"learned, seed {seed}", judged["evaluation"]))
    return "\n".join(lines) + "\n"


def run(arguments: list[str]) -> int:
    """References once, then each seed: train, evaluate on the same episodes, compare."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0], allow_abbrev=False)
    parser.add_argument("--seeds", default="1,2,3", help='training seeds, separated by commas; none with ""')
    parser.add_argument("--total_timesteps", type=int, default=1_000_000, help="steps per seed")
    parser.add_argument("--rounds", type=int, default=7, help="times the evaluation list is driven")
    parser.add_argument("--dataset_seed", type=int, default=42, help="seed of the dataset")
    parser.add_argument("--output_dir", type=Path, default=Path("runs/honest_convoy"), help="where everything goes")
    parser.add_argument("--eval_seed", type=int, help="seed of another dataset whose evaluation list is driven instead of the first one's")
    flags, further = parser.parse_known_args(arguments)
    out: Path = flags.output_dir
    dataset = judging = out / "dataset"
    list_name = ""
    step(dataset / "manifest.json", ["generate", "--seed", str(flags.dataset_seed), "--output_dir", str(dataset)])
    if flags.eval_seed is not None:
        list_name = f"_on_list_{flags.eval_seed}"
        judging = out / f"dataset{list_name}"
        step(judging / "manifest.json", ["generate", "--seed", str(flags.eval_seed), "--output_dir", str(judging)])
    references = out / f"references{list_name}"
    rounds = ["--dataset_dir", str(judging), "--rounds", str(flags.rounds)]
    first, *others = REFERENCE_POLICIES
    compared = ["--policy", first, "--compare", ",".join(others), "--output_dir", str(references)]
    step(references / "metrics.json", ["evaluate", *rounds, *compared])
    seeds = list(filter(None, flags.seeds.split(",")))
    for seed in seeds:
        trained, judged = out / f"seed_{seed}", out / f"seed_{seed}_evaluation{list_name}"
        training = ["--dataset_dir", str(dataset), "--total_timesteps", str(flags.total_timesteps), "--seed", seed, "--skip_eval"]
        step(trained / "model_final.zip", ["train", *training, "--output_dir", str(trained), "--recipe", *further])
        step(judged / "metrics.json", ["evaluate", *rounds, "--run", str(trained), "--no_references", "--output_dir", str(judged)])
        tables = [str(judged / "episodes.parquet"), str(references / "episodes.parquet")]
        step(
            judged / "against_ttc_radio.json",
            ["compare", *tables, "--policies", "learned,ttc_radio", "--json", str(judged / "against_ttc_radio.json")],
        )
    table = summary(out, seeds, list_name)
    (out / f"summary{list_name}.md").write_text(table)
    print(table)
    return 0


if __name__ == "__main__":
    sys.exit(run(sys.argv[1:]))
