"""`roadsense ablate`."""

from __future__ import annotations

import argparse

from rich.console import Console

from roadsense.ablation.report import write_result
from roadsense.ablation.run import Ablation
from roadsense.ablation.settings import AblateSettings
from roadsense.cli.flags import add_settings_flags, settings_from_flags
from roadsense.evaluation.table import table_console
from roadsense.report.figures.theme import require_matplotlib


def add_flags(parser: argparse.ArgumentParser) -> None:
    """One flag per setting; those of the trainings are reached with `--set training.learning_rate=5e-4`."""
    add_settings_flags(parser, AblateSettings)


def run(flags: argparse.Namespace) -> int:
    """Train what is missing, drive what is missing, and write the result, anew after every seed."""
    settings = settings_from_flags(AblateSettings, flags)
    require_matplotlib()
    console = Console(stderr=True, highlight=False)
    ablation = Ablation(settings, lambda line: console.print(line, markup=False, soft_wrap=True))
    for seed in settings.seed_list:
        for variant in settings.variant_list:
            code = ablation.train(variant, seed)
            if code:
                console.print("stopped; the same command goes on with it", markup=False)
                return code
    ablation.evaluate_references()
    for seed in settings.seed_list:
        for variant in settings.variant_list:
            ablation.evaluate(variant, seed)
        table = write_result(ablation)
    out = table_console()
    out.print(table, markup=False, soft_wrap=True)
    out.print(f"written: {ablation.layout.root}", markup=False, soft_wrap=True)
    return 0
