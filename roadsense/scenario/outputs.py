"""Silencing outputs inside a base's own files: generated scenarios write nothing while they are driven.

Detectors and devices write beside the scenario, where parallel workers would race on the files.
"""

from __future__ import annotations

from typing import Final
from xml.etree.ElementTree import Element

from roadsense.errors import DatasetError

_NULL_FILE: Final = "NUL"  # SUMO's name for its null device, on every platform
_FILE_ATTRIBUTES: Final = {
    "calibrator": "output",
    "timedEvent": "dest",
    **dict.fromkeys(
        ("e1Detector", "inductionLoop", "instantInductionLoop", "e2Detector", "laneAreaDetector", "e3Detector", "entryExitDetector"), "file"
    ),
    **dict.fromkeys(("edgeData", "laneData", "routeProbe"), "file"),
}
_OUTPUT_DEVICES: Final = ("has.ssm.", "device.ssm.", "has.fcd.", "device.fcd.", "has.toc.", "device.toc.file", "has.btreceiver.")


def silence_outputs(root: Element, source: str) -> None:
    """Send every output to the null device and drop devices that only write; raises DatasetError for an `<include>`, which is not read."""
    for element in list(root.iter()):
        if element.tag == "include":
            raise DatasetError(f"{source}: includes {element.get('href')!r}, which is not followed; name the file in the .sumocfg instead")
        attribute = _FILE_ATTRIBUTES.get(element.tag)
        if attribute is not None and attribute in element.attrib:
            element.set(attribute, _NULL_FILE)
        for parameter in [child for child in element.findall("param") if child.get("key", "").startswith(_OUTPUT_DEVICES)]:
            element.remove(parameter)
