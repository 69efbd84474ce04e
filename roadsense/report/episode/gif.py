"""An episode as an animation for a README or a slide: the road from above, and below it gap and brake over time."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from roadsense.artifacts.files import atomic_path
from roadsense.config import STEP_LENGTH_S
from roadsense.errors import DependencyError, UsageError
from roadsense.features import RELEASE_THRESHOLD
from roadsense.radio.links import DELIVERED, LOST
from roadsense.report.episode.events import OUTCOME_WORDS
from roadsense.report.episode.payload import CAR_WIDTH_M, span_m
from roadsense.report.episode.recording import Frame, Recording
from roadsense.report.episode.road import Box, RoadMap, road_map
from roadsense.report.figures.theme import AMBER, BLUE, CARD, GREEN, INK, LINE, MUTED, RED

if TYPE_CHECKING:
    from PIL.Image import Image

_WIDTH, _ROAD_HEIGHT, _STRIP_HEIGHT, _HEAD_HEIGHT = 760, 210, 58, 30
_SCALE: Final = 2  # drawn this much larger and then shrunk, which smooths every edge
_LEAD_S, _LENGTH_S, _LAST_FRAME_S = 2.0, 12.0, 1.5
_ROAD, _ROAD_EDGE, _PEER = "#e6e7e4", "#c3c7c6", "#4a525a"
_EGO_SHARE: Final = 0.24  # where in the picture the ego drives, from the left
_COLOURS: Final = 64
_TURN_FRAMES: Final = 8


def require_pillow() -> None:
    """Raises DependencyError, with the command that helps, unless animations can be written."""
    try:
        import PIL  # noqa: F401
    except ImportError:
        raise DependencyError("the package pillow is missing; install it with: pip install 'roadsense[report]'") from None


def write_gif(recording: Recording, path: Path, *, from_s: float | None = None, until_s: float | None = None) -> None:
    """Write the animation in real time, ten frames a second; it repeats for ever.

    Args:
        recording: the episode.
        path: the file.
        from_s: begin; default is two seconds before the hazard, or before the first braking.
        until_s: end; default is twelve seconds later, or the end of the episode.

    Raises:
        UsageError: nothing lies between begin and end. RunDirectoryError: the file cannot be written.
        DependencyError: pillow is missing.
    """
    require_pillow()
    from PIL import Image

    first, last = _part(recording, from_s, until_s)
    painter = _Painter.of(recording, first, last)
    frames = [painter.frame(place) for place in range(first, last + 1)]
    palette = _palette(frames[-1])
    indexed = [frame.quantize(palette=palette, dither=Image.Dither.NONE) for frame in frames]
    durations_ms = [round(1000 * STEP_LENGTH_S)] * (len(indexed) - 1) + [round(1000 * _LAST_FRAME_S)]
    with atomic_path(path) as temporary:
        indexed[0].save(temporary, format="GIF", save_all=True, append_images=indexed[1:], duration=durations_ms, loop=0, optimize=False)


def _palette(frame: Image) -> Image:
    """One palette for all frames, so that none flickers: the tones of a frame, and every colour of ours whether it is in it or not."""
    from PIL import Image, ImageDraw

    sample = Image.new("RGB", (frame.width, 2 * frame.height), CARD)
    sample.paste(frame, (0, 0))
    colours = (BLUE, GREEN, RED, AMBER, INK, MUTED, LINE, _PEER, _ROAD, _ROAD_EDGE)
    draw = ImageDraw.Draw(sample)
    width = frame.width / len(colours)
    for place, colour in enumerate(colours):
        draw.rectangle((place * width, frame.height, (place + 1) * width, 2 * frame.height), fill=colour)
    return sample.quantize(_COLOURS, method=Image.Quantize.MAXCOVERAGE, dither=Image.Dither.NONE)


def _part(recording: Recording, from_s: float | None, until_s: float | None) -> tuple[int, int]:
    """First and last frame."""
    end = len(recording.frames) - 1
    braking = next((frame.time_s for frame in recording.frames if (frame.action or 0.0) > RELEASE_THRESHOLD), 0.0)
    moment_s = recording.fired_s if recording.fired_s is not None else braking
    begin_s = max(0.0, moment_s - _LEAD_S) if from_s is None else from_s
    finish_s = begin_s + _LENGTH_S if until_s is None else until_s
    first, last = round(begin_s / STEP_LENGTH_S), min(end, round(finish_s / STEP_LENGTH_S))
    if last <= first:
        raise UsageError(f"no frame lies between {begin_s:g} s and {finish_s:g} s; the episode lasts {recording.frames[-1].time_s:g} s")
    return first, last


@dataclass(frozen=True, slots=True, kw_only=True)
class _Painter:
    recording: Recording
    road: RoadMap
    first: int
    last: int
    pixels_per_m: float
    headings_rad: Sequence[float]

    @classmethod
    def of(cls, recording: Recording, first: int, last: int) -> _Painter:
        ego = recording.scenario.ego_id
        states = [frame.state.vehicles for frame in recording.frames[first : last + 1]]
        own = [(vehicles, vehicles.index[ego]) for vehicles in states if ego in vehicles.index]
        box = Box.around([(float(vehicles.x_m[row]), float(vehicles.y_m[row])) for vehicles, row in own], 2 * span_m(recording))
        headings = np.unwrap([float(vehicles.heading_rad[row]) for vehicles, row in own])
        smooth = [float(headings[max(0, at - _TURN_FRAMES) : at + _TURN_FRAMES + 1].mean()) for at in range(len(headings))]
        smooth += smooth[-1:] * (len(states) - len(smooth))
        scale = _SCALE * _WIDTH * 0.62 / span_m(recording)
        return cls(
            recording=recording, road=road_map(recording.network_file, box), first=first, last=last, pixels_per_m=scale, headings_rad=smooth
        )

    def frame(self, place: int) -> Image:
        """One picture."""
        from PIL import Image, ImageDraw

        height = _HEAD_HEIGHT + _ROAD_HEIGHT + 2 * _STRIP_HEIGHT
        image = Image.new("RGB", (_SCALE * _WIDTH, _SCALE * height), CARD)
        draw = ImageDraw.Draw(image)
        self._road_and_cars(draw, place)
        draw.rectangle((0, 0, _SCALE * _WIDTH, _SCALE * _HEAD_HEIGHT), fill=CARD)
        draw.rectangle((0, _SCALE * (_HEAD_HEIGHT + _ROAD_HEIGHT), _SCALE * _WIDTH, _SCALE * height), fill=CARD)
        self._head(draw, place)
        gaps = [frame.situation.gap_m for frame in self.recording.frames]
        most_m = max([10.0, *(gap for gap in gaps[self.first : self.last + 1] if gap < 100)])
        self._strip(draw, 0, place, f"gap, m (0 to {most_m:.0f})", lambda frame: frame.situation.gap_m / most_m, BLUE)
        self._strip(draw, 1, place, "brake command, share of full braking", lambda frame: frame.action or 0.0, RED)
        return image.resize((_WIDTH, height), Image.Resampling.LANCZOS)

    def _to_pixel(self, place: int) -> Callable[[float, float], tuple[float, float]]:
        """From metres to pixels: the ego stands still and drives to the right."""
        frame = self.recording.frames[place]
        vehicles, ego = frame.state.vehicles, self.recording.scenario.ego_id
        while ego not in vehicles.index:  # it has left the road in the last step
            place -= 1
            vehicles = self.recording.frames[place].state.vehicles
        row = vehicles.index[ego]
        x0, y0 = float(vehicles.x_m[row]), float(vehicles.y_m[row])
        heading = self.headings_rad[min(place - self.first, len(self.headings_rad) - 1)]
        cos, sin = math.cos(heading), math.sin(heading)
        left, middle = _SCALE * _WIDTH * _EGO_SHARE, _SCALE * (_HEAD_HEIGHT + _ROAD_HEIGHT / 2)

        def pixel(x_m: float, y_m: float) -> tuple[float, float]:
            forward, leftward = (x_m - x0) * cos + (y_m - y0) * sin, (y_m - y0) * cos - (x_m - x0) * sin
            return left + self.pixels_per_m * forward, middle - self.pixels_per_m * leftward

        return pixel

    def _road_and_cars(self, draw: Any, place: int) -> None:
        pixel, frame = self._to_pixel(place), self.recording.frames[place]
        shapes = [([pixel(*point) for point in lane.shape], lane.width_m) for lane in self.road.lanes]
        for shape, width_m in shapes:
            draw.line(shape, fill=_ROAD_EDGE, width=round(self.pixels_per_m * width_m + 3 * _SCALE), joint="curve")
        for junction in self.road.junctions:
            draw.polygon([pixel(*point) for point in junction], fill=_ROAD)
        for shape, width_m in shapes:
            draw.line(shape, fill=_ROAD, width=round(self.pixels_per_m * width_m - _SCALE), joint="curve")
        self._links(draw, frame, pixel)
        for vehicle_id in frame.state.vehicles.ids:
            self._car(draw, frame, vehicle_id, pixel)
        radius = 4 * _SCALE
        for x_m, y_m in zip(frame.heard.x_m.tolist(), frame.heard.y_m.tolist(), strict=True):
            x, y = pixel(x_m, y_m)
            draw.ellipse((x - radius, y - radius, x + radius, y + radius), outline=GREEN, width=_SCALE)

    def _links(self, draw: Any, frame: Frame, pixel: Callable[[float, float], tuple[float, float]]) -> None:
        view = frame.radio
        if view is None:
            return
        to = pixel(*self._middle(frame, view.ids[0]))
        for sender, fate in zip(view.ids[1:], view.fates[1:, 0].tolist(), strict=True):
            start = pixel(*self._middle(frame, sender))
            points = _arc(start, to)
            if fate == DELIVERED:
                draw.line(points, fill=GREEN, width=_SCALE, joint="curve")
            elif fate == LOST:
                for place in range(0, len(points) - 1, 2):
                    draw.line(points[place : place + 2], fill=RED, width=_SCALE)

    def _middle(self, frame: Frame, vehicle_id: str) -> tuple[float, float]:
        vehicles = frame.state.vehicles
        row = vehicles.index[vehicle_id]
        half_m, heading = float(vehicles.length_m[row]) / 2, float(vehicles.heading_rad[row])
        return float(vehicles.x_m[row]) - half_m * math.cos(heading), float(vehicles.y_m[row]) - half_m * math.sin(heading)

    def _car(self, draw: Any, frame: Frame, vehicle_id: str, pixel: Callable[[float, float], tuple[float, float]]) -> None:
        vehicles = frame.state.vehicles
        row = vehicles.index[vehicle_id]
        x, y, heading = float(vehicles.x_m[row]), float(vehicles.y_m[row]), float(vehicles.heading_rad[row])
        length_m, cos, sin = float(vehicles.length_m[row]), math.cos(heading), math.sin(heading)

        def corner(back_m: float, left_m: float) -> tuple[float, float]:
            return pixel(x - back_m * cos - left_m * sin, y - back_m * sin + left_m * cos)

        half_m = CAR_WIDTH_M / 2
        hazard, recording = self.recording.script.hazard, self.recording
        colour = (
            BLUE if vehicle_id == recording.scenario.ego_id
            else RED if hazard is not None and vehicle_id == hazard.vehicle_id
            else AMBER if vehicle_id == recording.late_id
            else _PEER if vehicle_id in recording.equipped_ids
            else CARD
        )  # fmt: skip
        outline = _PEER if colour == CARD else CARD
        draw.polygon(
            [corner(0, half_m), corner(0, -half_m), corner(length_m, -half_m), corner(length_m, half_m)], fill=colour, outline=outline
        )
        if float(vehicles.accel_mps2[row]) < -1:
            glow_m = 3 * _SCALE / self.pixels_per_m
            draw.polygon(
                [
                    corner(length_m, half_m),
                    corner(length_m, -half_m),
                    corner(length_m + glow_m, -half_m),
                    corner(length_m + glow_m, half_m),
                ],
                fill=RED,
            )

    def _head(self, draw: Any, place: int) -> None:
        frame, recording = self.recording.frames[place], self.recording
        heard, hazard = dict(zip(frame.heard.source_ids, frame.heard.age_s.tolist(), strict=True)), recording.script.hazard
        brakes = (frame.action or 0.0) > RELEASE_THRESHOLD
        says = "policy brakes" if brakes else "driver looks away" if frame.is_distracted else "driver drives"
        if place == len(recording.frames) - 1:
            says = OUTCOME_WORDS[recording.record.outcome]
        knows = ""
        if hazard is not None:
            age_s = heard.get(hazard.vehicle_id)
            knows = f"{hazard.vehicle_id} not heard" if age_s is None else f"{hazard.vehicle_id} heard {1000 * age_s:.0f} ms ago"
        self._text(draw, 10, 7, f"{frame.time_s:4.1f} s", INK)
        self._text(draw, 80, 7, says, RED if brakes or (recording.has_collided and place == len(recording.frames) - 1) else INK)
        self._text(draw, 280, 7, knows, MUTED)
        self._text(draw, _WIDTH - 120, 7, f"{frame.situation.speed_mps:.1f} m/s", INK)

    def _strip(self, draw: Any, row: int, place: int, title: str, value: Callable[[Frame], float], colour: str) -> None:
        top = _HEAD_HEIGHT + _ROAD_HEIGHT + row * _STRIP_HEIGHT
        low, high = _SCALE * (top + _STRIP_HEIGHT - 6), _SCALE * (top + 22)
        self._text(draw, 10, top + 2, title, MUTED)

        def at(frame_place: int) -> float:
            return _SCALE * (10 + (_WIDTH - 20) * (frame_place - self.first) / max(1, self.last - self.first))

        draw.line((at(self.first), low, at(self.last), low), fill=LINE, width=_SCALE)
        shown = [(at(p), min(1.0, max(0.0, value(self.recording.frames[p])))) for p in range(self.first, place + 1)]
        line = [(x, low - share * (low - high)) for x, share in shown if math.isfinite(share)]
        if len(line) > 1:
            draw.line(line, fill=colour, width=2 * _SCALE, joint="curve")

    def _text(self, draw: Any, x: int, y: int, text: str, colour: str) -> None:
        from PIL import ImageFont

        draw.text((_SCALE * x, _SCALE * y), text, fill=colour, font=ImageFont.load_default(13 * _SCALE))


def _arc(start: tuple[float, float], end: tuple[float, float]) -> list[tuple[float, float]]:
    """Points on a curve that bends downwards, the longer the further: on a straight road links would lie on top of each other."""
    middle = (start[0] + end[0]) / 2, (start[1] + end[1]) / 2 + 0.2 * math.dist(start, end)
    count = max(4, round(math.dist(start, end) / (4 * _SCALE)))
    shares = [place / count for place in range(count + 1)]
    return [
        (
            (1 - share) ** 2 * start[0] + 2 * share * (1 - share) * middle[0] + share**2 * end[0],
            (1 - share) ** 2 * start[1] + 2 * share * (1 - share) * middle[1] + share**2 * end[1],
        )
        for share in shares
    ]
