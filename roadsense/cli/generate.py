"""`roadsense generate`."""

from __future__ import annotations

import argparse

from rich.console import Console

from roadsense.cli.flags import add_settings_flags, settings_from_flags
from roadsense.scenario.generate import GenerateSettings, generate


def add_flags(parser: argparse.ArgumentParser) -> None:
    """One flag per setting."""
    add_settings_flags(parser, GenerateSettings)


def run(flags: argparse.Namespace) -> int:
    """Generate, and say where the dataset lies."""
    dataset = generate(settings_from_flags(GenerateSettings, flags))
    Console(highlight=False).print(
        f"{len(dataset.train)} train and {len(dataset.eval)} eval scenarios, hash {dataset.hash[:12]}\ndataset: {dataset.directory}",
        soft_wrap=True,
    )
    return 0
