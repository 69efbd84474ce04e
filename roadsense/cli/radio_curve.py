"""`roadsense radio-curve`."""

from __future__ import annotations

import argparse

from rich.console import Console

from roadsense.ablation.curve import RadioCurve
from roadsense.ablation.settings import RadioCurveSettings
from roadsense.cli.flags import add_settings_flags, settings_from_flags
from roadsense.evaluation.table import table_console
from roadsense.report.figures.theme import require_matplotlib


def add_flags(parser: argparse.ArgumentParser) -> None:
    """One flag per setting."""
    add_settings_flags(parser, RadioCurveSettings)


def run(flags: argparse.Namespace) -> int:
    """Drive what is missing and write the curve."""
    settings = settings_from_flags(RadioCurveSettings, flags)
    require_matplotlib()
    console = Console(stderr=True, highlight=False)
    curve = RadioCurve(settings, lambda line: console.print(line, markup=False, soft_wrap=True))
    text = curve.run()
    out = table_console()
    out.print(text, markup=False, soft_wrap=True)
    out.print(f"written: {curve.root}", markup=False, soft_wrap=True)
    return 0
