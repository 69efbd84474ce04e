"""A short real training on a real pseudo-terminal, made narrower while it runs."""

import csv
import json
import re
import sys

import pytest
from terminal import OnTerminal, shown

# A failing hazard source costs every episode that draws it: faults to be told above the dashboard.
TROUBLE = """
def often_broken(cars_ahead, settings, rng):
    raise ZeroDivisionError("a hazard of one's own with a bug")
"""


@pytest.fixture(scope="module")
def trained(tmp_path_factory, dataset_dir):
    root = tmp_path_factory.mktemp("terminal")
    (root / "broken_parts.py").write_text(TROUBLE)
    words = ["train", "--dataset_dir", dataset_dir, "--output_dir", root / "run", "--local", "--skip_eval", "--total_timesteps", 1500]
    words += ["--n_steps", 300, "--minibatch_size", 150, "--num_epochs", 1, "--num_envs_per_env_runner", 2, "--set", "task.hazard.source=broken_parts:often_broken"]
    terminal = OnTerminal(
        [sys.executable, "-m", "roadsense", *map(str, words)], columns=90, environment={"RAY_USAGE_STATS_ENABLED": "0"}, cwd=root
    )
    terminal.read_until("300/1,500 steps")
    terminal.resize(40)
    return terminal, terminal.finish(), root / "run"


def test_it_trains_as_ever(trained):
    terminal, code, run = trained
    assert code == 0, terminal.text
    assert json.loads((run / "metrics.json").read_text())["training"]["training_timesteps"] >= 1500
    rows = list(csv.DictReader((run / "progress.csv").open()))
    log = (run / "training.log").read_text()
    assert len(rows) >= 4 and len(re.findall(r"steps/s", log)) == len(rows)


def test_the_dashboard_is_painted_over_and_what_is_told_stays_above(trained):
    terminal, _, run = trained
    lines = shown(terminal.text)
    last = json.loads((run / "metrics.json").read_text())["training"]
    text = "\n".join(lines)
    # One picture of the wide terminal is left where it was when that became narrow, and the last one.
    assert [line.split()[0] for line in lines].count("episode_return") <= 2 if all(lines) else text.count("episode_return ") <= 2
    assert f"faults {last['faults']}" in text and last["faults"] > 0
    faults = [place for place, line in enumerate(lines) if line.startswith("an episode failed: ") and "ZeroDivisionError" in line]
    picture = max(place for place, line in enumerate(lines) if line.startswith("episode_return "))
    assert faults and min(faults) < picture
    assert text.count("an episode failed: ") == (run / "training.log").read_text().count("an episode failed: ")
    assert any(line.startswith("run directory: ") for line in lines[picture:])


def test_it_fits_the_terminal_it_is_on(trained):
    terminal, _, _ = trained
    wide, narrow = terminal.text.split("300/1,500 steps", 1)
    assert max(len(line) for line in shown(wide) if line.startswith(("episode_return", "steps_per_s"))) > 40
    assert all(len(line) <= 40 for line in shown(narrow.rpartition("\x1b[J")[2]) if line.startswith(("episode_return", "steps_per_s")))
    assert "\x1b[?25l" not in terminal.text  # a killed driver must not leave the cursor hidden
