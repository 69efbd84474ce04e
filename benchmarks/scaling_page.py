"""Make docs/scaling.md anew: every table between its marks, from a result of the benchmark and, if given, new measurements.

    roadsense scaling --measure new.json                                       # minutes, on a quiet machine
    python benchmarks/scaling_page.py --bench benchmarks/results/X_bench_quick.json --measured new.json

New measurements also become those of the package (what `doctor` and `cloud plan` predict from) and a dated file under benchmarks/results/.
"""

from __future__ import annotations

import argparse
import re
import shutil
from pathlib import Path

from roadsense.cli.scaling import ScalingSettings, page_blocks
from roadsense.scaling.measured import MEASURED_NAME, read_measured

ROOT = Path(__file__).resolve().parent.parent
PAGE = ROOT / "docs" / "scaling.md"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bench", type=Path, required=True)
    parser.add_argument("--measured", type=Path)
    flags = parser.parse_args()
    if flags.measured is not None:
        day = str(read_measured(flags.measured).provenance["timestamp"])[:10]
        for target in (ROOT / "roadsense" / "scaling" / MEASURED_NAME, ROOT / "benchmarks" / "results" / f"{day}_scaling.json"):
            if flags.measured.resolve() != target:
                shutil.copyfile(flags.measured, target)
    # By path, not from the package that was imported before the copy.
    blocks = page_blocks(ScalingSettings(bench=flags.bench, measured=ROOT / "roadsense" / "scaling" / MEASURED_NAME))
    text = PAGE.read_text(encoding="utf-8")
    for name, block in blocks.items():
        marks = re.compile(rf"(<!-- scaling: {re.escape(name)} -->\n).*?(<!-- end -->)", re.DOTALL)
        text, count = marks.subn(lambda found, block=block: f"{found.group(1)}\n{block}\n\n{found.group(2)}", text)
        if count != 1:
            raise SystemExit(f"{PAGE}: {count} places for {name!r}, expected 1")
    PAGE.write_text(text, encoding="utf-8")
    print(f"made: {PAGE}")


if __name__ == "__main__":
    main()
