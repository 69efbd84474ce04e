"""A short real training on a real pseudo-terminal, made narrower while it runs."""

import csv
import json
import re
import sys

import pytest
from terminal import OnTerminal, shown

# Two of the steps fail: faults to be told above the dashboard.
TROUBLE = """
from itertools import count

calls = count(1)


def sometimes_broken(view):
    if next(calls) in (250, 900):
        raise ZeroDivisionError("a reward term of one's own with a bug")
    return 0.0
"""


@pytest.fixture(scope="module")
def trained(tmp_path_factory, dataset_dir):
    root = tmp_path_factory.mktemp("terminal")
    (root / "broken_parts.py").write_text(TROUBLE)
    words = ["train", "--dataset_dir", dataset_dir, "--output_dir", root / "run", "--local", "--skip_eval", "--total_timesteps", 1500]
    words += ["--n_steps", 300, "--minibatch_size", 150, "--num_epochs", 1, "--num_envs_per_env_runner", 2]
    words += ["--set", 'task.reward.extra={"broken_parts:sometimes_broken": 0.1}']
    terminal = OnTerminal(
        [sys.executable, "-m", "roadsense", *map(str, words)], columns=90, environment={"RAY_USAGE_STATS_ENABLED": "0"}, cwd=root
    )
    terminal.read_until("/1,500 steps")
    terminal.read_until("elapsed")
    terminal.read_until("steps_per_s")
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
    pictures = [place for place, line in enumerate(lines) if line.startswith("episode_return ")]
    # The picture of the wide terminal is left where it was when that became narrow; below it stands the last one.
    assert len(pictures) == 2
    told = [place for place, line in enumerate(lines) if line.startswith("an episode failed: ZeroDivisionError")]
    assert told and told[-1] < pictures[-1]
    assert len(told) == (run / "training.log").read_text().count("an episode failed: ")
    assert "faults 2" in "\n".join(lines[pictures[-1] :])
    assert any(line.startswith("run directory: ") for line in lines[pictures[-1] :])


def test_it_fits_the_terminal_it_is_on(trained):
    terminal, _, _ = trained
    lines = shown(terminal.text)
    first, last = (line for line in lines if line.startswith("steps_per_s "))
    assert len(last) <= 40 < len(next(line for line in lines if "/1,500 steps" in line)) <= 90 and len(first) <= 90
    assert "\x1b[?" not in terminal.text  # no mode is set: a killed driver must leave the terminal as it was
