"""Sweeps are run as integration tests run trainings."""

import sys
from pathlib import Path

sys.path[:0] = [str(Path(__file__).parent), str(Path(__file__).parent.parent / "integration")]
