"""The road as it is drawn: lanes with their widths and junctions, clipped to what the cars drove past."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from roadsense.scenario.route_geometry import shared_net

Point = tuple[float, float]


@dataclass(frozen=True, slots=True, kw_only=True)
class Box:
    """A rectangle in the network's coordinates, metres."""

    left_m: float
    bottom_m: float
    right_m: float
    top_m: float

    @classmethod
    def around(cls, points: Sequence[Point], margin_m: float) -> Box:
        """The smallest box with all points (at least one) and a margin."""
        xs, ys = [x for x, _ in points], [y for _, y in points]
        return cls(left_m=min(xs) - margin_m, bottom_m=min(ys) - margin_m, right_m=max(xs) + margin_m, top_m=max(ys) + margin_m)

    def touches(self, points: Sequence[Point]) -> bool:
        """Whether the boxes of both overlap."""
        xs, ys = [x for x, _ in points], [y for _, y in points]
        return min(xs) <= self.right_m and max(xs) >= self.left_m and min(ys) <= self.top_m and max(ys) >= self.bottom_m


@dataclass(frozen=True, slots=True, kw_only=True)
class Lane:
    """The middle of a lane and its width."""

    width_m: float
    shape: tuple[Point, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class RoadMap:
    """What is drawn of a network."""

    lanes: tuple[Lane, ...]
    junctions: tuple[tuple[Point, ...], ...]


def road_map(network_file: Path, box: Box) -> RoadMap:
    """Lanes, those inside junctions too, and junctions that touch the box.

    Raises:
        DatasetError: the network cannot be read.
    """
    net = shared_net(network_file)
    lanes = [lane for edge in net.getEdges(withInternal=True) if edge.getFunction() in ("", "internal") for lane in edge.getLanes()]
    shapes = [(lane, _clipped(_points(lane.getShape()), box)) for lane in lanes]
    junctions = [_points(node.getShape()) for node in net.getNodes()]
    return RoadMap(
        lanes=tuple(Lane(width_m=float(lane.getWidth()), shape=shape) for lane, shape in shapes if len(shape) > 1 and box.touches(shape)),
        junctions=tuple(shape for shape in junctions if len(shape) > 2 and box.touches(shape)),
    )


def _points(shape: Sequence[Any]) -> tuple[Point, ...]:
    return tuple((float(point[0]), float(point[1])) for point in shape)


def _clipped(shape: tuple[Point, ...], box: Box) -> tuple[Point, ...]:
    """A long lane without the parts before and after the box: no point is moved, only whole segments go."""
    touching = [place for place in range(len(shape) - 1) if box.touches(shape[place : place + 2])]
    return shape[touching[0] : touching[-1] + 2] if touching else ()
