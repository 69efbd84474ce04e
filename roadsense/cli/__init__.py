"""The command line: the composition root."""

from roadsense.cli.main import main

__all__ = ["main"]
