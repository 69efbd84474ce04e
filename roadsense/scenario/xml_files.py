"""Reading XML that others wrote, and writing XML that is the same bytes every time.

No file of SUMO needs a DOCTYPE, and entities (the XML bombs among them) can only be declared in one: files with a DOCTYPE are refused.
"""

from __future__ import annotations

import gzip
import math
import zlib
from pathlib import Path
from typing import Final
from xml.etree import ElementTree
from xml.etree.ElementTree import Element, TreeBuilder

from roadsense.errors import DatasetError

_GZIP_MAGIC: Final = b"\x1f\x8b"


def read_bytes(path: Path) -> bytes:
    """The content of a file, decompressed when it is gzipped; raises DatasetError when it cannot be read."""
    try:
        content = path.read_bytes()
        return gzip.decompress(content) if content.startswith(_GZIP_MAGIC) else content
    except FileNotFoundError:
        raise DatasetError(f"{path}: no such file; check the path") from None
    except (OSError, EOFError, zlib.error) as problem:
        raise DatasetError(f"{path}: cannot be read ({problem}); check that it is a readable, complete file") from None


def parse_xml(content: bytes, source: str) -> Element:
    """The root element; raises DatasetError for malformed XML and for a DOCTYPE."""
    parser = ElementTree.XMLParser(target=_RefusesDoctype(source))  # noqa: S314 - the target refuses what makes it unsafe
    try:
        parser.feed(content)
        root = parser.close()
    # ValueError and LookupError: an encoding that is unknown or not supported.
    except (ElementTree.ParseError, ValueError, LookupError) as problem:
        raise DatasetError(f"{source}: not well-formed XML ({problem}); restore or correct the file") from None
    return root


def read_xml(path: Path) -> Element:
    """The root element of a file, gzipped or not; raises DatasetError when it is missing, malformed or has a DOCTYPE."""
    return parse_xml(read_bytes(path), str(path))


def number_attribute(element: Element, name: str, default: float | None = None) -> float:
    """An attribute as a finite number; raises DatasetError when it is missing without a default, or no number."""
    text = element.get(name)
    if text is None and default is not None:
        return default
    try:
        value = float(text or "")
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise DatasetError(f"<{element.tag} id={element.get('id')!r}>: {name} is {text!r}, expected a number; correct the file")
    return value


def xml_bytes(root: Element) -> bytes:
    """UTF-8 with a declaration, four spaces of indentation and a final newline; `root` is indented in place."""
    ElementTree.indent(root, "    ")
    content: bytes = ElementTree.tostring(root, encoding="UTF-8", xml_declaration=True)
    return content + b"\n"


class _RefusesDoctype(TreeBuilder):
    def __init__(self, source: str) -> None:
        super().__init__()
        self._source = source

    def doctype(self, name: str, _public_id: str | None, _system: str | None) -> None:
        raise DatasetError(f"{self._source}: declares a DOCTYPE ({name}), which SUMO files never need; remove the declaration")
