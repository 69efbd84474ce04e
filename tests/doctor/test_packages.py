"""Versions: what is installed against what is asked for, from metadata alone."""

import json
import os
import re
import subprocess
import sys

import pytest

from roadsense.doctor import packages
from roadsense.doctor.packages import installed_version, package_findings, requirements, satisfies
from roadsense.errors import DependencyError
from roadsense.findings import exit_code_of


@pytest.mark.parametrize(
    ("version", "wanted", "fits"),
    [
        ("2.60.0", "==2.60.*", True),
        ("2.60.12", "==2.60.*", True),
        ("2.6", "==2.60.*", False),
        ("2.600.0", "==2.60.*", False),
        ("2.13.0+cpu", "==2.13.0", True),
        ("2.13.1", "==2.13.0", False),
        ("2.12.9", ">=2", True),
        ("10.0", ">=9.5", True),
        ("1.9", ">=2", False),
        ("1.9", ">=1,<2", True),
        ("2.0", ">=1,<2", False),
        ("1.5", "!=1.5", False),
        ("anything", "", True),
    ],
)
def test_conditions(version, wanted, fits):
    assert satisfies(version, wanted) is fits


def test_what_is_required_is_what_pyproject_says(repository):
    required = {(one.name, one.extra): one.wanted for one in requirements()}
    text = (repository / "pyproject.toml").read_text()
    assert required["torch", None] == "==" + re.search(r'"torch==([\d.]+)"', text).group(1)
    assert required["ray", None] == "==2.60.*", "the extras of ray in brackets are no part of its name"
    assert required["numpy", None] == "" and required["onnx", "export"].startswith("==")


def test_an_installed_wheel_is_asked_where_no_source_lies(tmp_path, monkeypatch):
    monkeypatch.setattr(packages, "source_root", lambda: tmp_path)
    fake = tmp_path / "site" / "roadsense-9.dist-info"
    fake.mkdir(parents=True)
    (fake / "METADATA").write_text(
        "Metadata-Version: 2.1\nName: roadsense\nVersion: 9\nRequires-Dist: ray[rllib]==2.60.*\nRequires-Dist: numpy\n"
        'Requires-Dist: onnx==1.2; extra == "export"\n'
    )
    monkeypatch.syspath_prepend(str(tmp_path / "site"))
    found = [(one.name, one.wanted, one.extra) for one in requirements()]
    assert found == [("ray", "==2.60.*", None), ("numpy", "", None), ("onnx", "==1.2", "export")]


def test_without_source_and_installation_nothing_can_be_told(tmp_path, monkeypatch):
    monkeypatch.setattr(packages, "source_root", lambda: tmp_path)
    monkeypatch.setattr(packages.metadata, "requires", raising(packages.metadata.PackageNotFoundError("roadsense")))
    with pytest.raises(DependencyError, match="pip install roadsense"):
        list(requirements())


def raising(error):
    def call(*_):
        raise error

    return call


def fake_package(folder, name, version):
    info = folder / f"{name.replace('-', '_')}-{version}.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")


def test_a_wrong_version_is_found_and_named(tmp_path, monkeypatch):
    fake_package(tmp_path, "torch", "2.0.1")
    fake_package(tmp_path, "onnx", "0.1")
    monkeypatch.syspath_prepend(str(tmp_path))
    findings = {finding.what: finding for finding in package_findings()}
    assert installed_version("torch") == "2.0.1"
    wrong = findings["torch"]
    assert (
        not wrong.ok and wrong.seen == "2.0.1, expected 2.13.0" and wrong.remedy == "pip install 'torch==2.13.0'" and wrong.exit_code == 4
    )
    extra = findings["extra export"]
    assert not extra.ok and extra.exit_code == 0 and "onnx 0.1 instead of" in extra.seen and "roadsense[export]" in extra.remedy
    assert exit_code_of(findings.values()) == 4


HIDE = """
import importlib.metadata as metadata
HIDDEN = {hidden!r}
distribution = metadata.distribution
def hiding(name):
    if name in HIDDEN:
        raise metadata.PackageNotFoundError(name)
    return distribution(name)
metadata.distribution = hiding
"""


@pytest.mark.parametrize(
    ("hidden", "line", "remedy"),
    [
        (("eclipse-sumo", "numba"), "sumo: no sumo program was found", "pip install eclipse-sumo==1.28.0"),
        (("ray",), "ray: missing, expected 2.60.*", "pip install 'ray==2.60.*'"),
    ],
)
def test_the_command_says_what_is_missing_and_what_to_do(tmp_path, hidden, line, remedy):
    """A process of its own, in which packages are not to be found, nor is a SUMO on the path."""
    (tmp_path / "sitecustomize.py").write_text(HIDE.format(hidden=hidden))
    environment = os.environ | {"PYTHONPATH": f"{tmp_path}{os.pathsep}{os.environ.get('PYTHONPATH', '')}", "PATH": "/usr/bin:/bin"}
    environment.pop("SUMO_HOME", None)
    done = subprocess.run(
        [sys.executable, "-m", "roadsense", "doctor", "--quick", "--json", str(tmp_path / "found.json")],
        capture_output=True, text=True, timeout=120, env=environment,
    )  # fmt: skip
    assert done.returncode == 4, done.stdout + done.stderr
    lines = done.stdout.splitlines()
    place = next(number for number, one in enumerate(lines) if one.startswith("MISSING") and line in one)
    assert lines[place + 1].strip().endswith(remedy)
    assert "no training can run: a dependency is missing or wrong" in lines
    assert sum(one.startswith("MISSING") for one in lines) == (4 if "numba" in hidden else 1)
    assert (tmp_path / "found.json").is_file() and "Traceback" not in done.stderr


@pytest.mark.parametrize("absent", ["boto3", "psutil", "scipy"])
def test_it_speaks_where_a_package_cannot_be_imported(tmp_path, absent):
    """What the doctor's own parts need may be what is missing."""
    blocked = f"import sys\nsys.modules[{absent!r}] = None\n"
    (tmp_path / "sitecustomize.py").write_text(HIDE.format(hidden=(absent,)) + blocked)
    environment = os.environ | {"PYTHONPATH": f"{tmp_path}{os.pathsep}{os.environ.get('PYTHONPATH', '')}"}
    done = subprocess.run(
        [sys.executable, "-m", "roadsense", "doctor", "--quick", "--json", str(tmp_path / "found.json")],
        capture_output=True, text=True, timeout=120, env=environment,
    )  # fmt: skip
    assert done.returncode == 4, done.stdout + done.stderr
    lines = done.stdout.splitlines()
    assert f"MISSING  {absent}: missing" in lines and f"         pip install '{absent}'" in lines
    assert lines[-1] == "no training can run: a dependency is missing or wrong" and done.stderr == ""
    assert json.loads((tmp_path / "found.json").read_text())["exit_code"] == 4
