"""What an exported policy costs: time per decision on this host, code and constants by compiler, stack, and TFLM's arena.

How to run
    roadsense export runs/<run_id> --format c,tflite,onnx --int8 --output_dir E
    python benchmarks/exported_policy.py E

What to expect
    A few lines per part; compilers that are not installed are left out (apt-get install gcc-arm-none-eabi libnewlib-arm-none-eabi
    gcc-xtensa-lx106 picolibc-xtensa-lx106-elf). Sizes depend on the compiler's version alone; times need a quiet machine.
"""

from __future__ import annotations

import argparse
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from roadsense.export.artifact import physical_inputs
from roadsense.export.c_library import c_compiler
from roadsense.export.load import load_artifact
from roadsense.features import PEER_SIZE

COUNTS = (0, 1, 3, 8, 20, 50)
CORTEX_M4 = ["arm-none-eabi-gcc", "-mcpu=cortex-m4", "-mthumb", "-mfpu=fpv4-sp-d16", "-mfloat-abi=hard"]
COMPILERS = {
    "x86-64": ["gcc"],
    "Cortex-M4F": CORTEX_M4,
    "Cortex-M0+ (no FPU)": ["arm-none-eabi-gcc", "-mcpu=cortex-m0plus", "-mthumb"],
    "Xtensa LX106 (ESP8266, no FPU)": ["xtensa-lx106-elf-gcc", "--specs=/usr/lib/xtensa-lx106-elf/picolibc.specs"],
}
TIMER = """#define _POSIX_C_SOURCE 199309L
#include <stdio.h>
#include <time.h>
#include "policy.h"
int main(void) {
  const int counts[] = {%s};
  unsigned k;
  for (k = 0; k < sizeof counts / sizeof counts[0]; ++k) {
    const int repeats = 4000;
    struct timespec begin, end;
    float action = 0.0f, sum = 0.0f;
    int i, r;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &begin);
    for (r = 0; r < repeats; ++r) {
      roadsense_policy policy;
      roadsense_ego ego = {20.0f + 0.001f * (float)r, -1.0f, 0.0f};
      roadsense_begin(&policy, &ego);
      for (i = 0; i < counts[k]; ++i) {
        roadsense_peer peer = {10.0f + (float)i, 1.0f, -2.0f, 0.1f, -3.0f, 0.1f};
        roadsense_add_peer(&policy, &peer);
      }
      roadsense_act(&policy, &action);
      sum += action;
    }
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &end);
    printf("  n = %%3d: %%6.1f us%%s\\n", counts[k],
           ((double)(end.tv_sec - begin.tv_sec) * 1e9 + (double)(end.tv_nsec - begin.tv_nsec)) / 1e3 / repeats, sum < 0.0f ? "!" : "");
  }
  return 0;
}
"""
UNIT = """#include "policy.h"
float decide(const roadsense_ego *ego, const roadsense_peer *peers, int count);
float decide(const roadsense_ego *ego, const roadsense_peer *peers, int count) {
  roadsense_policy policy;
  float action;
  int i;
  roadsense_begin(&policy, ego);
  for (i = 0; i < count; ++i) {
    roadsense_add_peer(&policy, &peers[i]);
  }
  roadsense_act(&policy, &action);
  return action;
}
"""


def main() -> None:
    """Measure every part and print it."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("export", type=Path, help="directory of `roadsense export`")
    directory = parser.parse_args().export.resolve()
    with tempfile.TemporaryDirectory() as folder:
        print("policy.h, time per decision on this host (gcc -O2, processor time)")
        print(timed(directory, Path(folder)), end="")
        print("policy.h, size of one decision (-Os; without libm) and deepest stack frame")
        for name, compiler in COMPILERS.items():
            if shutil.which(compiler[0]):
                print(f"  {name}: {sized(compiler, directory, Path(folder))}")
    for name in ("policy.h", "encoder.tflite", "encoder_int8.tflite", "policy.onnx"):
        if (directory / name).exists():
            print(f"{name} through Python: {from_python(directory / name)}")
    for name in ("encoder", "head", "encoder_int8", "head_int8"):
        path = directory / f"{name}.tflite"
        if path.exists():
            print(f"{path.name}: {path.stat().st_size} bytes, smallest arena in TFLM {smallest_arena(path)} bytes")


def timed(directory: Path, folder: Path) -> str:
    """The timer's lines."""
    source = folder / "timer.c"
    source.write_text(TIMER % ", ".join(map(str, COUNTS)))
    program = str(folder / "timer")
    subprocess.run([c_compiler(), "-std=c99", "-O2", f"-I{directory}", str(source), "-lm", "-o", program], check=True)
    return subprocess.run([program], capture_output=True, text=True, check=True).stdout


def sized(compiler: list[str], directory: Path, folder: Path) -> str:
    """Code, constants and stack of a decision."""
    source, unit = folder / "unit.c", folder / "unit.o"
    source.write_text(UNIT)
    subprocess.run(
        [*compiler, "-std=c99", "-Os", "-fstack-usage", f"-I{directory}", "-c", str(source), "-o", str(unit)], check=True, cwd=folder
    )
    size = compiler[0].replace("gcc", "size")
    table = subprocess.run([size, "-A", str(unit)], capture_output=True, text=True, check=True).stdout
    sections = {name: int(count) for name, count in re.findall(r"^\.?(\S+)\s+(\d+)", table, re.MULTILINE)}
    code = sum(count for name, count in sections.items() if name.startswith(("text", "literal")))
    constants = sum(count for name, count in sections.items() if name.startswith("rodata"))
    stack = max(int(line.split("\t")[1]) for line in (folder / "unit.su").read_text().splitlines())
    return f"code {code} bytes, constants {constants} bytes, stack {stack} bytes"


def from_python(path: Path) -> str:
    """Time per decision through the runner that the evaluation uses."""
    artifact = load_artifact(path)
    rng = np.random.default_rng(0)
    shown = []
    for count in (0, 8, 50):
        ego, peers = physical_inputs(np.array([20.0, -1.0, 0.0]), rng.normal(size=(count, PEER_SIZE)))
        shown.append(f"n = {count}: {fastest(lambda e=ego, p=peers: artifact.decide(e, p)) * 1e6:.0f} us")
    return ", ".join(shown)


def fastest(call: Callable[[], object]) -> float:
    """The fastest of some runs in seconds: what the machine's other work adds is no property of the call."""
    best = float("inf")
    for _ in range(300):
        began = time.perf_counter()
        call()
        best = min(best, time.perf_counter() - began)
    return best


def smallest_arena(path: Path) -> int:
    """The smallest arena in which TFLM's own interpreter runs the file; each try is a process, as a refusal may end it."""
    low, high = 0, 16 * 1024
    while high - low > 64:
        middle = (low + high) // 2
        low, high = (low, middle) if runs_in_tflm(path, middle) else (middle, high)
    return high


def runs_in_tflm(path: Path, arena_bytes: int) -> bool:
    """Whether the interpreter accepts the file and computes something."""
    script = (
        "import sys, numpy as np\n"
        "from tflite_micro.python.tflite_micro import runtime\n"
        "i = runtime.Interpreter.from_file(sys.argv[1], arena_size=int(sys.argv[2]))\n"
        "d = i.get_input_details(0)\n"
        "i.set_input(np.zeros(d['shape'], d['dtype']), 0); i.invoke(); i.get_output(0)\n"
    )
    command = [sys.executable, "-c", script, str(path), str(arena_bytes)]
    return subprocess.run(command, check=False, capture_output=True).returncode == 0


if __name__ == "__main__":
    main()
