"""The C sources: clean under strict flags, as C and as C++, and right on another processor."""

import re
import shutil
import subprocess

import pytest
from export_support import run_golden

from roadsense.export.c_library import STRICT_FLAGS

WARNINGS = STRICT_FLAGS[1:]
POOLS = ["max", "mean", "max+mean", "beside ego", "mirrored"]
cross = [
    pytest.mark.cross,
    pytest.mark.skipif(shutil.which("arm-linux-gnueabihf-gcc") is None, reason="apt-get install gcc-arm-linux-gnueabihf"),
    pytest.mark.skipif(shutil.which("qemu-arm") is None, reason="apt-get install qemu-user"),
]
needs_gxx = pytest.mark.skipif(shutil.which("g++") is None, reason="g++ is not installed (apt-get install g++)")


def syntax(command, source, folder, *include):
    """Compile every header's text as a program of its own."""
    path = folder / ("unit.cpp" if command[0].endswith("g++") else "unit.c")
    path.write_text(source)
    built = subprocess.run(
        [*command, *(f"-I{directory}" for directory in include), "-fsyntax-only", str(path)], capture_output=True, text=True
    )
    assert built.returncode == 0, built.stderr


@pytest.mark.parametrize("pool", POOLS)
def test_golden_vectors_with_gcc(exports, tmp_path, pool):
    assert "golden: ok" in run_golden(["gcc", "-std=c99", *WARNINGS], exports[pool], tmp_path)


@needs_gxx
@pytest.mark.parametrize("pool", POOLS)
def test_golden_vectors_with_gxx(exports, tmp_path, pool):
    assert "golden: ok" in run_golden(["g++", "-x", "c++", "-std=c++11", *WARNINGS], exports[pool], tmp_path)


class TestAnotherProcessor:
    pytestmark = cross

    @pytest.mark.parametrize("pool", POOLS)
    def test_golden_vectors_on_arm(self, exports, tmp_path, pool):
        command = ["arm-linux-gnueabihf-gcc", "-static", "-mthumb", "-std=c99", *WARNINGS]
        assert "golden: ok" in run_golden(command, exports[pool], tmp_path, emulator=("qemu-arm",))


def test_sanitizers_find_nothing(exports, tmp_path):
    command = ["gcc", "-std=c99", *WARNINGS, "-g", "-fsanitize=address,undefined", "-fno-sanitize-recover"]
    assert "golden: ok" in run_golden(command, exports["max+mean"], tmp_path)


@pytest.mark.parametrize("header", ["policy.h", "neighbours.h", "message.h", "golden.h"])
@pytest.mark.parametrize("command", [("gcc", "-std=c99"), pytest.param(("g++", "-std=c++11"), marks=needs_gxx)])
def test_headers_are_clean_alone_and_twice(exports, tmp_path, header, command):
    source = f'#include "{header}"\n#include "{header}"\nint main(void) {{ return 0; }}\n'
    for pool in POOLS:
        syntax([*command, *WARNINGS], source, tmp_path, exports[pool])


def test_fast_math_is_refused(exports, tmp_path):
    (tmp_path / "unit.c").write_text('#include "policy.h"\nint main(void) { return 0; }\n')
    built = subprocess.run(
        ["gcc", "-ffast-math", f"-I{exports['max']}", str(tmp_path / "unit.c")], capture_output=True, text=True, cwd=tmp_path
    )
    assert built.returncode != 0 and "-ffast-math" in built.stderr


@pytest.mark.parametrize("place", ["parameter", "action", "ego", "peer"])
def test_a_changed_golden_vector_is_noticed(exports, tmp_path, place):
    """The self-test can fail: by a hundredth, in any part of a vector."""
    copy = shutil.copytree(exports["max"], tmp_path / "export")
    text = (copy / "golden.h").read_text()
    table = "roadsense_golden_cases[ROADSENSE_GOLDEN_CASES] = {"
    patterns = {  # each ends before the number that is changed
        "parameter": re.escape(table) + r"[^}]*\}, \d+, \d+, \{[^,]+, ",
        "action": re.escape(table) + r"[^}]*\}, \d+, \d+, \{[^}]*\}, ",
        "ego": re.escape(table) + r"\s*\{\{",
        "peer": r"roadsense_golden_peers\[\d+\] = \{\s*\{[^,]+, [^,]+, [^,]+, [^,]+, ",
    }
    changed, count = re.subn(f"({patterns[place]})", r"\g<1>0.01f + ", text, count=1)
    assert count == 1
    (copy / "golden.h").write_text(changed)
    with pytest.raises(AssertionError, match="FAILED"):
        run_golden(["gcc", "-std=c99"], copy, tmp_path)


@needs_gxx
def test_the_sketch_compiles_against_the_declared_board_interface(exports, repository, tmp_path):
    """The names and types of Arduino and ESP-NOW are declared, not implemented: this proves the sketch's grammar, not the board."""
    declarations = repository / "tests" / "export" / "board"
    sketch = exports["max"] / "roadsense_esp32" / "roadsense_esp32.ino"
    source = f'#include "Arduino.h"\n#include "{sketch}"\n'
    syntax(["g++", "-std=c++17", "-Wall", "-Wextra", "-Werror"], source, tmp_path, declarations, exports["max"])
