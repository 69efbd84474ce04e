"""`roadsense pipeline`: generate, check, train, evaluate and package."""

from __future__ import annotations

import argparse
from pathlib import Path

from rich.console import Console

from roadsense.cli.check import report_defects
from roadsense.cli.flags import add_settings_flags, settings_from_flags
from roadsense.config import Settings
from roadsense.experiment import describe, run_experiment, show_result
from roadsense.scenario.dataset import Dataset
from roadsense.scenario.generate import GenerateSettings, generate, plan_generation
from roadsense.training.plan import plan_training
from roadsense.training.settings import TrainSettings


class PipelineOptions(Settings):
    """What the pipeline adds to the flags of generate and train."""

    base_dir: Path | None = None
    train_count: int = 80
    eval_count: int = 20
    dataset_seed: int | None = None
    skip_check: bool = False
    dry_run: bool = False


def add_flags(parser: argparse.ArgumentParser) -> None:
    """The flags of `train`, and those of `generate` that it lacks."""
    add_settings_flags(parser, TrainSettings)
    parser.add_argument("--base_dir", metavar="PATH", help="base scenarios to generate from (default: our own)")
    parser.add_argument("--train_count", metavar="INT", help="training scenarios to generate (default: 80)")
    parser.add_argument("--eval_count", metavar="INT", help="evaluation scenarios to generate (default: 20)")
    parser.add_argument("--dataset_seed", metavar="INT", help="seed of the dataset (default: --seed)")
    parser.add_argument("--skip_check", action="store_true", default=None, help="do not drive every scenario before training")
    parser.add_argument("--dry_run", action="store_true", default=None, help="check every path and print the plan; start and write nothing")


def run(flags: argparse.Namespace) -> int:
    """Run all steps, or with --dry_run only say what they would be."""
    settings = settings_from_flags(TrainSettings, flags)
    options = settings_from_flags(PipelineOptions, flags)
    console = Console(stderr=True, highlight=False)
    generation = None if settings.dataset_dir or settings.sumo_cfg else _generation(settings, options)
    if options.dry_run:
        return _dry_run(console, settings, generation)
    if generation is not None:
        console.rule("generate", align="left")
        dataset = generate(generation)
        console.print(f"{len(dataset.train)} train and {len(dataset.eval)} eval scenarios: {dataset.directory}", soft_wrap=True)
        settings = settings.model_copy(update={"dataset_dir": dataset.directory})
    if settings.dataset_dir is not None and not options.skip_check:
        console.rule("check", align="left")
        report_defects(settings.dataset_dir, settings.sumo, console)
    console.rule("train, evaluate, package", align="left")
    result = run_experiment(settings)
    show_result(result)
    return result.exit_code


def _generation(settings: TrainSettings, options: PipelineOptions) -> GenerateSettings:
    values = {
        "seed": settings.seed if options.dataset_seed is None else options.dataset_seed,
        "train_count": options.train_count,
        "eval_count": options.eval_count,
        "emulator_params": settings.emulator_params,
        "ego_id": settings.ego_id,
    }
    if options.base_dir is not None:
        values["base_dir"] = options.base_dir
    return GenerateSettings.parse(values, "command line")


def _dry_run(console: Console, settings: TrainSettings, generation: GenerateSettings | None) -> int:
    """Everything that can be checked without writing, and the plan."""
    out = Console(highlight=False)
    if generation is not None:
        target = plan_generation(generation)
        out.print(f"generate: {generation.train_count} train and {generation.eval_count} eval scenarios into {target}", soft_wrap=True)
        # The dataset does not exist yet; the default scenario stands in for it so that every other path is checked.
        out.print(describe(plan_training(settings)), soft_wrap=True)
    else:
        out.print(describe(plan_training(settings)), soft_wrap=True)
        if settings.dataset_dir is not None:
            Dataset.load(settings.dataset_dir)
    out.print("dry run: nothing was started or written")
    return 0
