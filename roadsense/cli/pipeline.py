"""`roadsense pipeline`: generate, check, train, evaluate, package, and show."""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console

from roadsense.cli import train
from roadsense.cli.check import report_defects
from roadsense.cli.flags import add_settings_flags
from roadsense.cloud.job import run_job
from roadsense.errors import UsageError
from roadsense.experiment import describe, run_experiment, show_result
from roadsense.live.console import progress_console
from roadsense.scenario.generate import DEFAULT_OUTPUT_PARENT, GenerateSettings, generate
from roadsense.training.plan import plan_training
from roadsense.training.settings import TrainSettings

_GENERATE_FLAGS = ("base_dir", "train_count", "eval_count")


def add_flags(parser: argparse.ArgumentParser) -> None:
    """The flags of `train`, and those of `generate` that it lacks."""
    add_settings_flags(parser, TrainSettings)
    train.add_recipe_flag(parser)
    train.add_quiet_flag(parser)
    for name in _GENERATE_FLAGS:
        field = GenerateSettings.model_fields[name]
        parser.add_argument(f"--{name}", metavar=name.upper(), help=f"generate: {field.description}")
    parser.add_argument("--dataset_seed", metavar="INT", help="generate: seed of the dataset (default: --seed)")
    parser.add_argument("--skip_check", action="store_true", help="do not drive every scenario before training")
    parser.add_argument(
        "--report",
        action="store_true",
        help="leave report.html and episode.gif in the run directory, not in its mirror (needs roadsense[report])",
    )
    parser.add_argument(
        "--job",
        type=Path,
        metavar="LAUNCH_FILE",
        help="as the job of a cloud launch: apart from this terminal, then upload, then end the machines",
    )
    parser.add_argument("--dry_run", action="store_true", help="check every path and print the plan; start nothing, leave nothing")


def run(flags: argparse.Namespace) -> int:
    """Run all steps, or with --dry_run only say what they would be."""
    if flags.job is not None:
        return run_job(flags.job, without_job(flags.words))
    settings = train.settings(flags)
    needs_dataset = settings.dataset_dir is None and settings.sumo_cfg is None
    generation = _generation(flags, settings) if needs_dataset else None
    if flags.report:
        _require_showcase(settings)
    if flags.dry_run:
        return _dry_run(settings, generation)
    console = progress_console(quiet=flags.quiet)
    if generation is not None:
        console.rule("generate", align="left")
        dataset = generate(generation, say=lambda line: console.print(line, soft_wrap=True))
        settings = settings.model_copy(update={"dataset_dir": dataset.directory})
    if settings.dataset_dir is not None and not flags.skip_check:
        console.rule("check", align="left")
        report_defects(settings.dataset_dir, settings.sumo, console)
    console.rule("train, evaluate, package", align="left")
    result = run_experiment(settings, quiet=flags.quiet)
    show_result(result)
    if flags.report and result.judgement is not None:
        _show(result.layout.root, quiet=flags.quiet)
    return result.exit_code


def _require_showcase(settings: TrainSettings) -> None:
    """Before hours of training, not after them."""
    from roadsense.report.showcase import require_showcase

    if settings.skip_eval:
        raise UsageError("--report shows an evaluation, and --skip_eval leaves it out; give one of them")
    require_showcase()


def _show(run: Path, *, quiet: bool) -> None:
    from roadsense.report.showcase import write_showcase

    with progress_console(quiet=quiet).status("report") as status:
        written = write_showcase(run, lambda step: status.update(f"report: {step}"))
    Console(highlight=False).print(f"to look at: {', '.join(map(str, written))}", soft_wrap=True, markup=False)


def without_job(words: Sequence[str]) -> list[str]:
    """The pipeline's command line without `--job`; a recipe is called without the word `pipeline`."""
    kept = list(words[1:] if list(words[:1]) == ["pipeline"] else words)
    for position, word in enumerate(kept):
        if word.startswith("--job"):
            del kept[position : position + (1 if "=" in word else 2)]
            break
    return ["pipeline", *kept]


def _generation(flags: argparse.Namespace, settings: TrainSettings) -> GenerateSettings:
    values = {name: getattr(flags, name) for name in _GENERATE_FLAGS if getattr(flags, name) is not None}
    values["seed"] = settings.seed if flags.dataset_seed is None else flags.dataset_seed
    values |= {"emulator_params": settings.emulator_params, "ego_id": settings.ego_id}
    return GenerateSettings.parse(values, "command line")


def _dry_run(settings: TrainSettings, generation: GenerateSettings | None) -> int:
    """Everything that can be checked without starting anything; generating is quick and really done, in a temporary folder."""
    console = Console(highlight=False)
    with tempfile.TemporaryDirectory(prefix="roadsense-dry-run-") as scratch:
        if generation is not None:
            dataset = generate(generation.model_copy(update={"output_dir": Path(scratch) / "dataset"}))
            name = dataset.manifest.dataset_id if dataset.manifest is not None else dataset.hash[:8]
            console.print(f"generate: {DEFAULT_OUTPUT_PARENT / name}", soft_wrap=True)
            settings = settings.model_copy(update={"dataset_dir": dataset.directory})
        console.print(describe(plan_training(settings)), soft_wrap=True)
    console.print("dry run: nothing was started, nothing is left")
    return 0
