import os
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from roadsense.sumo import workspace as module
from roadsense.sumo.workspace import Workspace


@pytest.fixture(autouse=True)
def own_temporary_directory(tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.setattr(module, "_swept_by_pid", None)
    return tmp_path


def test_it_is_private_and_removed():
    workspace = Workspace()
    assert workspace.path.stat().st_mode & 0o777 == 0o700
    assert f"-{os.getpid()}-" in workspace.path.name
    workspace.log_path.write_text("a line")
    workspace.remove()
    workspace.remove()
    assert not workspace.path.exists()


def test_directories_of_dead_processes_are_swept_and_no_others(own_temporary_directory):
    script = "import tempfile,sys; tempfile.tempdir=sys.argv[1]; from roadsense.sumo.workspace import Workspace; print(Workspace().path)"
    made = subprocess.run([sys.executable, "-c", script, str(own_temporary_directory)], check=True, capture_output=True, text=True)
    abandoned = Path(made.stdout.strip())
    (abandoned / "log.txt").write_text("a line")
    _, _, namespace, _, _, _ = abandoned.name.split("-", 5)
    recycled = own_temporary_directory / f"roadsense-sumo-{namespace}-{os.getpid()}-1-abc"  # our number, but another process
    elsewhere = own_temporary_directory / "roadsense-sumo-1-999999999-1-abc"  # another process namespace
    stranger = own_temporary_directory / "roadsense-sumo-notes"
    for path in (recycled, elsewhere, stranger):
        path.mkdir()
    first = Workspace()
    assert [path.exists() for path in (abandoned, recycled, elsewhere, stranger)] == [False, False, True, True]
    second = Workspace()
    assert first.path.exists() and second.path.exists()


def test_tail_joins_all_files_without_repeating_lines():
    workspace = Workspace()
    assert workspace.log_tail() == "(SUMO wrote nothing)"
    workspace.log_path.write_text("".join(f"line {number}\n" for number in range(100)) + "Error: bad\nbye\n")
    workspace.error_log_path.write_text("Error: bad\n")
    workspace.stderr_path.write_bytes(b"Error: bad\nQuitting \xff(on error).\n")
    lines = workspace.log_tail().splitlines()
    assert len(lines) == 15
    assert lines[0] == "line 88" and lines[-3] == "bye" and lines[-2] == "Error: bad" and lines[-1].startswith("Quitting")
    workspace.truncate_output()
    assert "Quitting" not in workspace.log_tail()
