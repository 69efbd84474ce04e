"""Every command of docs/tutorial.md, run as it stands there but for smaller numbers."""

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from roadsense.cli import main

# What is written there -> what is run here. Each must be there, so that none outlives a change of the page.
SMALLER = {
    "--seed 42": "--seed 42 --train_count 5 --eval_count 5",
    "--total_timesteps 500000": "--total_timesteps 1600 --eval_episodes 2 --num_env_runners 2 --num_envs_per_env_runner 2 "
    "--n_steps 400 --minibatch_size 200",
    "--output runs/tutorial/report.html": "--output runs/tutorial/report.html --replays 1",
    "--rounds 3": "--eval_episodes 2",
    "--dataset_dir runs/tutorial/dataset --compare ttc_radio": "--dataset_dir runs/tutorial/dataset --compare ttc_radio --eval_episodes 1",
}
PRODUCTS = (
    "dataset/manifest.json",
    "dataset.html",
    "run/model_final.zip",
    "run/metrics.json",
    "report.html",
    "first.html",
    "first.gif",
    "evaluation/episodes.parquet",
    "own/metrics.json",
    "both.html",
)


def commands(page: str) -> list[str]:
    """The lines of all ```bash blocks, continued ones joined."""
    blocks = re.findall(r"^```bash\n(.*?)^```", page, re.DOTALL | re.MULTILINE)
    return [" ".join(line.split()) for block in blocks for line in block.replace("\\\n", " ").splitlines() if line.strip()]


@pytest.fixture(scope="module")
def page(repository):
    return (repository / "docs" / "tutorial.md").read_text()


@pytest.mark.timeout(900)  # of real work, which a busy machine stretches
def test_the_tutorial_runs(page, repository, tmp_path, monkeypatch):
    written = commands(page)
    assert len(written) >= 8 and all(command.startswith("roadsense ") for command in written)
    monkeypatch.chdir(tmp_path)
    for name in ("scenarios", "experiments"):
        (tmp_path / name).symlink_to(repository / name)
    used = set()
    for command in written:
        smaller = command
        for text, replacement in SMALLER.items():
            if text in smaller:
                smaller = smaller.replace(text, replacement)
                used.add(text)
        words = shlex.split(smaller)[1:]
        # Ray wants a process of its own; the others spare the time of starting Python.
        assert (run_apart(words, repository) if words[0] == "train" else main(words)) == 0, smaller
    assert used == set(SMALLER)
    missing = [name for name in PRODUCTS if not (Path("runs/tutorial") / name).is_file()]
    assert missing == []


def test_the_tutorial_names_nothing_that_does_not_exist(page, repository):
    links = re.findall(r"\]\(([^)#]+)", page)
    assert [link for link in links if not (repository / "docs" / link).exists()] == []


def run_apart(words, repository) -> int:
    environment = os.environ | {"RAY_ADDRESS": "local", "PYTHONPATH": f"{repository}{os.pathsep}{os.environ.get('PYTHONPATH', '')}"}
    done = subprocess.run([sys.executable, "-m", "roadsense", *words], env=environment, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stderr
    return done.returncode
