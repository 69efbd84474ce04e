"""The image's scripts without a Docker engine: what run_docker.sh would ask docker for, and the Dockerfile's linter."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

FAKE = """#!/bin/bash
printf '%s\\n' "$@" > "$FAKE_LOG"
echo "GIT_COMMIT=$GIT_COMMIT" >> "$FAKE_LOG"
"""


@pytest.fixture
def docker(tmp_path):
    fake = tmp_path / "docker"
    fake.write_text(FAKE)
    fake.chmod(0o755)

    def run(repository, *words, **environment):
        env = os.environ | {"DOCKER": str(fake), "FAKE_LOG": str(tmp_path / "log")} | environment
        done = subprocess.run([str(repository / "run_docker.sh"), *words], cwd=tmp_path, env=env, capture_output=True, text=True)
        asked = (tmp_path / "log").read_text().splitlines() if (tmp_path / "log").exists() else []
        return done, asked

    return run


@pytest.mark.parametrize("action", ["generate", "train", "evaluate", "pipeline"])
def test_actions_pass_their_arguments_and_the_commit(docker, repository, action):
    done, asked = docker(repository, action, "--help", "--name", "a b")
    assert done.returncode == 0, done.stderr
    at = asked.index("roadsense", asked.index("--shm-size=2g"))
    assert asked[at : at + 6] == ["roadsense", "roadsense", action, "--help", "--name", "a b"]
    commit = subprocess.run(["git", "-C", str(repository), "rev-parse", "HEAD"], capture_output=True, text=True).stdout.strip()
    assert f"GIT_COMMIT={commit or 'unknown'}" in asked


def test_the_gui_gets_a_screen_or_says_that_there_is_none(docker, repository):
    done, _ = docker(repository, "gui", "--run", "runs/x", DISPLAY="")
    assert done.returncode == 2 and "DISPLAY is not set" in done.stderr
    done, asked = docker(repository, "gui", "--run", "runs/x", DISPLAY=":1")
    assert "/tmp/.X11-unix:/tmp/.X11-unix:ro" in asked and asked[-5:-1] == ["replay", "--gui", "--run", "runs/x"]  # noqa: S108
    _, asked = docker(repository, "gui", DISPLAY="localhost:10.0")
    assert "host" in asked, "ssh -X"


def test_secrets_are_passed_by_name_only(docker, repository):
    _, asked = docker(repository, "train", AWS_SECRET_ACCESS_KEY="very-secret")  # noqa: S106
    assert "AWS_SECRET_ACCESS_KEY" in asked and not any("very-secret" in word for word in asked)


def test_help_and_unknown_actions(docker, repository):
    done, asked = docker(repository, "help")
    assert done.returncode == 0 and "generate | train | evaluate | pipeline" in done.stdout and not asked
    done, _ = docker(repository, "fly")
    assert done.returncode == 2 and "unknown action fly" in done.stderr


def test_without_docker_it_is_one_line(repository, tmp_path):
    env = os.environ | {"DOCKER": "no-such-docker"}
    done = subprocess.run([str(repository / "run_docker.sh"), "train"], cwd=tmp_path, env=env, capture_output=True, text=True)
    assert done.returncode == 4 and done.stderr.count("\n") == 1


def test_the_dockerfile_passes_its_linter(repository):
    hadolint = Path(sys.executable).with_name("hadolint")
    done = subprocess.run([str(hadolint), "Dockerfile"], cwd=repository, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout


def test_everything_that_the_image_copies_is_there(repository):
    for line in (repository / "Dockerfile").read_text().splitlines():
        if line.startswith("COPY") and "--from" not in line:
            for name in [word for word in line.split()[1:-1] if not word.startswith("--")]:
                assert (repository / name).exists(), line
    ignored = (repository / ".dockerignore").read_text().split()
    assert {".git", "*.pem", ".aws", "runs", "scenarios/datasets"} <= set(ignored)


def test_push_image_refuses_uncommitted_changes(repository, tmp_path):
    """In a repository of its own, with tools that only note what they are asked for."""
    shutil.copytree(repository / "deploy", tmp_path / "repo" / "deploy")
    for name in ("docker", "aws"):
        (tmp_path / name).write_text(f'#!/bin/bash\necho "{name} $*" >> "{tmp_path}/asked"\n[ "$1" != sts ] || echo 111122223333\n')
        (tmp_path / name).chmod(0o755)
    (tmp_path / "repo" / "cluster.yaml").write_text("docker:\n  image: old\n")
    env = {name: value for name, value in os.environ.items() if not name.startswith(("GIT_", "AWS_"))} | {
        "PATH": f"{tmp_path}:{os.environ['PATH']}"
    }
    git = ["git", "-C", str(tmp_path / "repo"), "-c", "user.name=t", "-c", "user.email=t@example.org"]
    subprocess.run([*git, "init", "-q"], check=True, env=env)
    push = [str(tmp_path / "repo" / "deploy" / "push_image.sh")]
    assert subprocess.run(push, env=env, capture_output=True, text=True).returncode == 2
    subprocess.run([*git, "add", "-A"], check=True, env=env)
    subprocess.run([*git, "commit", "-qm", "x"], check=True, env=env)
    done = subprocess.run(push, env=env, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    commit = subprocess.run([*git, "rev-parse", "HEAD"], capture_output=True, text=True, env=env).stdout.strip()
    image = f"111122223333.dkr.ecr.us-east-1.amazonaws.com/roadsense:{commit[:12]}"
    assert f"image: {image}" in (tmp_path / "repo" / "cluster.yaml").read_text()
    asked = (tmp_path / "asked").read_text()
    assert f"docker push {image}" in asked and f"GIT_COMMIT={commit}" in asked and "put-lifecycle-policy" in asked
