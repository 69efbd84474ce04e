"""Rebuild the networks of the base scenarios from their plain XML: `python -m roadsense.scenario.build_networks scenarios/base`.

The committed `network.net.xml` files are what netconvert makes of `nodes.nod.xml`, `edges.edg.xml` and (where there is one)
`connections.con.xml`, less the header comment that holds date and paths: the same sources and SUMO version give the same bytes.
"""

from __future__ import annotations

import argparse
import re
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from roadsense.errors import DatasetError, RoadSenseError
from roadsense.sumo.installation import find_program

NETWORK_FILE = "network.net.xml"
_SOURCES = {"nodes.nod.xml": "--node-files", "edges.edg.xml": "--edge-files", "connections.con.xml": "--connection-files"}
_OPTIONAL_SOURCES = frozenset({"connections.con.xml"})
# Coordinates stay those of the sources; a road that ends has no U-turn at its end.
_OPTIONS = ("--offset.disable-normalization", "true", "--no-turnarounds", "true")
_HEADER_COMMENT = re.compile(rb"<!-- generated on .*?-->\s*", re.DOTALL)


def build_network(directory: Path) -> bytes:
    """The bytes of `network.net.xml` for a directory with plain XML sources; raises DatasetError when netconvert refuses them."""
    arguments: list[str] = []
    for name, option in _SOURCES.items():
        if (directory / name).is_file():
            arguments += [option, str(directory / name)]
        elif name not in _OPTIONAL_SOURCES:
            raise DatasetError(f"{directory / name}: no such file; a base scenario's network is built from it")
    with tempfile.TemporaryDirectory() as scratch:
        output = Path(scratch, NETWORK_FILE)
        command = [str(find_program("netconvert").path), *arguments, *_OPTIONS, "--output-file", str(output)]
        result = subprocess.run(command, capture_output=True, text=True, check=False)
        if result.returncode != 0 or not output.is_file():
            reason = (result.stderr.strip() or "no message").splitlines()[0]
            raise DatasetError(f"{directory}: netconvert refused the network sources ({reason}); correct them and build again")
        return _HEADER_COMMENT.sub(b"", output.read_bytes(), count=1)


def rebuild(base_dir: Path) -> tuple[Path, ...]:
    """Rewrite the network of every base scenario that has plain XML sources; returns the files written."""
    directories = sorted(path.parent for path in base_dir.glob("*/nodes.nod.xml"))
    if not directories:
        raise DatasetError(f"{base_dir}: holds no <name>/nodes.nod.xml; point to the folder of the base scenarios")
    networks = [(directory / NETWORK_FILE, build_network(directory)) for directory in directories]
    for path, content in networks:
        path.write_bytes(content)
    return tuple(path for path, _ in networks)


def main(arguments: Sequence[str] | None = None) -> int:
    """Command line of the module; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m roadsense.scenario.build_networks", description="rebuild base networks from plain XML")
    parser.add_argument("base_dir", type=Path, help="folder whose subfolders hold nodes.nod.xml and edges.edg.xml")
    try:
        written = rebuild(parser.parse_args(arguments).base_dir)
    except RoadSenseError as error:
        sys.stderr.write(f"error: {error}\n")
        return error.exit_code
    sys.stdout.writelines(f"{path}\n" for path in written)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
