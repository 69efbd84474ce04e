"""The Dockerfile's own steps in a debootstrap chroot, and a training inside as its user; for `make soak`, with root and Debian's debootstrap."""

import os
import shutil
import subprocess

import pytest
from image_build import build, enter, instructions


def test_instructions_are_read_as_docker_reads_them():
    text = '# no\nFROM a AS b\nRUN one \\\n    && two\n# no\nCMD ["x"]\n'
    assert instructions(text) == [("FROM", "a AS b"), ("RUN", "one      && two"), ("CMD", '["x"]')]


@pytest.mark.slow
@pytest.mark.root
@pytest.mark.timeout(3600)
@pytest.mark.skipif(os.geteuid() != 0 or shutil.which("debootstrap") is None, reason="needs root and Debian's debootstrap")
def test_the_image_is_built_and_trains(repository, tmp_path):
    commit = "0123abc"
    image = build(repository, tmp_path, {"GIT_COMMIT": commit})
    size = subprocess.run(["du", "-sm", str(image.root)], capture_output=True, text=True).stdout.split()[0]
    print(f"unpacked: {size} MB")
    assert image.user == "1000", "the image does not run as root"
    assert enter(image, ["tini", "--version"]).returncode == 0
    assert enter(image, ["train", "--help"], check=False).returncode in (0, 1)
    assert "usage: roadsense" in enter(image, ["roadsense", "--help"]).stdout
    words = ["--train_count", "3", "--eval_count", "2", "--eval_episodes", "1", "--total_timesteps", "400", "--n_steps", "200"]
    words += ["--minibatch_size", "100", "--num_envs_per_env_runner", "1", "--num_env_runners", "1", "--output_dir", "runs/one"]
    done = enter(image, ["tini", "-g", "--", "roadsense", "pipeline", *words], check=False)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-4000:]
    proof = enter(
        image, ["python", "-m", "pytest", "-q", "-p", "no:cacheprovider", "tests/model", "tests/env", "-k", "not libsumo"], check=False
    )
    assert proof.returncode == 0, proof.stdout[-3000:] + proof.stderr[-1000:]
    provenance = (image.root / "work" / "runs" / "one" / "provenance.json").read_text()
    assert commit in provenance
    assert "very-secret" not in provenance
    left = [path for path in (image.root / "work").rglob("*") if path.name in (".git", ".env", ".aws", ".venv")]
    assert left == [], "what .dockerignore keeps out is not in the image"
