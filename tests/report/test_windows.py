"""`--gui`: real windows of sumo-gui, on a real X server."""

import shutil

import pytest

from roadsense.cli import main
from roadsense.cli.pace import Pace
from roadsense.report.dataset.window import some_scenarios
from roadsense.scenario.dataset import Dataset


@pytest.mark.display
@pytest.mark.skipif(shutil.which("Xvfb") is None, reason="Xvfb is not installed (apt-get install xvfb)")
def test_a_recorded_episode_is_replayed_exactly_in_a_window(display, evaluation_dir, crash, capsys):
    _, row = crash
    assert main(["replay", "--run", str(evaluation_dir), "--episode", str(row), "--gui", "--speed", "1000"]) == 0
    out = capsys.readouterr().out
    assert "policy never_brake: collision" in out and "replayed exactly" in out


@pytest.mark.display
@pytest.mark.skipif(shutil.which("Xvfb") is None, reason="Xvfb is not installed (apt-get install xvfb)")
def test_three_random_scenarios_open_one_after_the_other(display, dataset_dir, tmp_path, capsys):
    words = [
        "inspect",
        str(dataset_dir),
        "--output",
        str(tmp_path / "page.html"),
        "--gui",
        "3",
        "--seed",
        "4",
        "--gui_s",
        "2",
        "--speed",
        "1000",
    ]
    assert main(words) == 0
    shown = capsys.readouterr().out.splitlines()[1:]
    assert shown == [scenario.scenario_id for scenario in some_scenarios(Dataset.load(dataset_dir), 3, 4)]


def test_without_a_display_the_error_says_so(dataset_dir, tmp_path, capsys, monkeypatch):
    monkeypatch.delenv("DISPLAY", raising=False)
    assert main(["inspect", str(dataset_dir), "--output", str(tmp_path / "page.html"), "--gui", "1", "--gui_s", "1"]) == 2
    assert "unable to open display" in capsys.readouterr().err


def test_the_pace_waits_for_each_step_and_never_hurries(monkeypatch):
    from roadsense.cli import pace

    now, slept = [100.0], []
    monkeypatch.setattr(pace.time, "monotonic", lambda: now[0])
    monkeypatch.setattr(pace.time, "sleep", lambda seconds: (slept.append(round(seconds, 6)), now.__setitem__(0, now[0] + seconds)))
    wait = Pace(speed=2.0)
    wait()
    wait()
    now[0] += 3.0  # somebody moved the window about
    wait()
    wait()
    assert slept == [0.05, 0.05]
