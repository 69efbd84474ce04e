"""`roadsense validate-recording`."""

from __future__ import annotations

import argparse
from dataclasses import asdict
from pathlib import Path

import numpy as np
from pydantic import Field
from rich.box import SIMPLE_HEAD
from rich.table import Table

from roadsense.artifacts.files import write_json
from roadsense.cli.flags import add_settings_flags, settings_from_flags
from roadsense.config import DEFAULT_EGO_ID, Settings
from roadsense.errors import UsageError
from roadsense.evaluation.policies import resolve_policy
from roadsense.evaluation.reference import PrivilegedPolicy
from roadsense.evaluation.table import table_console
from roadsense.recording.detection import Detection, detect
from roadsense.recording.events import BrakingEvent, EventSettings, braking_events
from roadsense.recording.log import Axis, Recording, read_recording
from roadsense.recording.replay import Decisions, replay
from roadsense.seeding import named_stream


class ValidateSettings(Settings):
    """A recorded drive and who is to look at it."""

    tx: Path = Field(description="CSV of what the ego sent, for example V001_tx.csv")
    rx: Path = Field(description="CSV of what the ego received, for example V001_rx.csv")
    model: str = Field(description="export directory, policy.h, policy.onnx, encoder.tflite, run directory, model_final.zip or a policy")
    ego_id: str = Field(DEFAULT_EGO_ID, description="the ego's id in the logs")
    forward_axis: Axis = Field("x", description="axis of the accelerometer along the car: x, y, z, -x, -y or -z")
    window_s: float = Field(3.0, gt=0, description="time after hearing of a braking event in which braking counts as detection")
    event_decel_mps2: float = Field(3.0, gt=0, description="deceleration from which a car ahead counts as braking hard")
    range_m: float = Field(200.0, gt=0, description="cars further ahead do not count")
    seed: int = Field(0, ge=0, description="of the shuffles behind the chance baseline")
    json_path: Path | None = Field(None, description="write all figures to this file")


def add_flags(parser: argparse.ArgumentParser) -> None:
    """One flag per setting."""
    add_settings_flags(parser, ValidateSettings)


def run(flags: argparse.Namespace) -> int:
    """Replay the drive, and say what was detected, what chance would have detected, and how often the alarm was false."""
    settings = settings_from_flags(ValidateSettings, flags)
    policy = resolve_policy(settings.model)
    if isinstance(policy, PrivilegedPolicy):
        raise UsageError(f"--model {settings.model} looks at the true state of a simulation, which a recording lacks; give another policy")
    recording = read_recording(settings.tx, settings.rx, ego_id=settings.ego_id, forward=settings.forward_axis)
    events = braking_events(recording, EventSettings(decel_mps2=settings.event_decel_mps2, range_m=settings.range_m))
    decisions = replay(recording, policy, named_stream(settings.seed, "recording", "policy"))
    found = detect(decisions, events, named_stream(settings.seed, "recording", "shuffles"), window_s=settings.window_s)
    if settings.json_path is not None:
        write_json(settings.json_path, _content(settings, recording, decisions, events, found))
    _print(recording, decisions, events, found)
    return 0


def _content(
    settings: ValidateSettings, recording: Recording, decisions: Decisions, events: tuple[BrakingEvent, ...], found: Detection
) -> dict[str, object]:
    return {
        "settings": settings.model_dump(mode="json"),
        "recording": {
            "own_measurements": len(recording.own),
            "heard_messages": len(recording.heard),
            "sources": sorted(recording.clock_offsets_s),
            "clock_offsets_s": recording.clock_offsets_s,
            "left_out": recording.left_out,
        },
        "decisions": {"count": len(decisions.time_s), "mean_peers": float(np.mean(decisions.peers))},
        "events": [asdict(event) | {"delay_s": delay} for event, delay in zip(events, found.delays_s, strict=True)],
        "detection": asdict(found),
    }


def _print(recording: Recording, decisions: Decisions, events: tuple[BrakingEvent, ...], found: Detection) -> None:
    console = table_console()
    length_s = float(decisions.time_s[-1] - decisions.time_s[0])
    console.print(
        f"{len(decisions.time_s)} decisions over {length_s:.1f} s, {np.mean(decisions.peers):.1f} neighbours in the mean, "
        f"{len(recording.clock_offsets_s)} sources, {len(recording.heard)} messages",
        soft_wrap=True,
    )
    for reason, count in recording.left_out.items():
        console.print(f"left out: {count} rows {reason}", soft_wrap=True)
    apart = [source for source, offset_s in recording.clock_offsets_s.items() if offset_s]
    if apart:
        console.print(f"clocks aligned by the fastest message of {', '.join(apart)}: their ages lack what that took", soft_wrap=True)
    if events:
        table = Table(title="Braking events", title_justify="left", box=SIMPLE_HEAD, padding=(0, 1, 0, 0))
        for header in ("heard at s", "who", "m/s2", "braked after s"):
            table.add_column(header, justify="right", no_wrap=True)
        for event, delay_s in zip(events, found.delays_s, strict=True):
            delay = "--" if delay_s is None else f"{delay_s:.2f}"
            table.add_row(f"{event.heard_s - decisions.time_s[0]:.1f}", event.source_id, f"{event.decel_mps2:.1f}", delay)
        console.print(table)
    if found.chance_detected is None or found.p_value is None:
        console.print("detected: the drive holds no braking event")
    else:
        console.print(
            f"detected: {found.detected} of {found.events}; by chance {found.chance_detected:.1f} of {found.events} "
            f"(the events at other times, p = {found.p_value:.3g})",
            soft_wrap=True,
        )
    share = f"{100 * found.false_braking_share:.2f} % of the time"
    console.print(f"false alarms: {found.false_alarms} in {found.outside_s / 60:.1f} min outside events, {share}", soft_wrap=True)
