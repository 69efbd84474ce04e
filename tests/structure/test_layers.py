"""The import linter's contracts, as a test."""

import subprocess
import sys
from pathlib import Path


def test_imports_point_one_way(repository):
    linter = Path(sys.executable).with_name("lint-imports")
    result = subprocess.run([str(linter), "--no-cache"], cwd=repository, capture_output=True, text=True)
    assert result.returncode == 0, result.stdout


def test_files_keep_their_size(repository):
    """A file near 450 lines wants a split."""
    lengths = {
        path: len(path.read_text().splitlines())
        for path in (repository / "roadsense").rglob("*")
        if path.suffix in (".py", ".js", ".css", ".j2")
    }
    assert {path.name: lines for path, lines in lengths.items() if lines > 450} == {}
