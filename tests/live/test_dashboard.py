"""What the dashboard says, at every width; and that no terminal can hold up or end a training."""

import contextlib
import io
import os
import pty
import re
import time
from dataclasses import fields

import pytest

from roadsense.live.dashboard import Dashboard
from roadsense.live.screen import Screen
from roadsense.live.sparkline import sparkline
from roadsense.live.teller import can_paint, telling
from roadsense.training.figures import IterationFigures


def figures(number: int, **changed) -> IterationFigures:
    values = {field.name: None if "None" in str(field.type) else 0 for field in fields(IterationFigures)}
    values |= {"timesteps": 1000 * number, "iteration": number, "elapsed_s": 2.0 * number, "steps_per_s": 500.0, "healthy_workers": 2}
    return IterationFigures(**values | changed)


def dashboard(iterations: int = 30, clock=lambda: 0.0) -> Dashboard:
    board = Dashboard("run_7", 100_000, clock)
    for number in range(1, iterations + 1):
        board.add(
            figures(number, episode_return=number / 10, hazard_collision_rate=0.5 / number if number > 1 else None, false_braking_rate=0.01)
        )
    return board


def plain(board: Dashboard, width: int, **options) -> list[str]:
    return [line.plain for line in board.lines(width, **options)]


@pytest.mark.parametrize("width", [1, 7, 20, 40, 63, 64, 80, 100, 300])
def test_no_line_is_wider_than_the_terminal_and_nothing_important_is_cut(width):
    lines = plain(dashboard(), width)
    assert all(len(line) <= width for line in lines)
    if width >= 40:
        text = "\n".join(lines)
        for name in ("run_7", "episode_return", "hazard_collision_rate", "false_braking_rate", "steps_per_s", "30,000/100,000"):
            assert name in text, name
        for counted in ("healthy_workers 2", "worker_restarts 0", "faults 0", "quarantined 0", "ETA 02:20", "elapsed 01:00"):
            assert counted in text, counted
        assert "…" not in text
        # Every curve is drawn, and a share without a value is left empty.
        assert "█" in next(line for line in lines if line.startswith("episode_return"))
        assert next(line for line in lines if line.startswith("episode_return")).count("▁") < 8


@pytest.mark.parametrize("height", [0, 1, 3, 7])
def test_a_low_terminal_gets_fewer_lines_and_always_the_progress(height):
    lines = plain(dashboard(), 80, height=height)
    assert len(lines) <= height
    assert height == 0 or "30,000/100,000" in "\n".join(lines)


def test_names_are_those_of_progress_csv():
    known = {field.name for field in fields(IterationFigures)}
    lines = plain(dashboard(), 100)
    assert {line.split()[0] for line in lines[2:6]} < known
    assert {part.split()[0] for part in lines[6].split(" · ")} < known


def test_trouble_stands_out_and_cost_is_told_where_it_is_known(monkeypatch):
    monkeypatch.setenv("ROADSENSE_LAUNCH_STARTED_AT", "2026-01-01T00:00:00+00:00")
    monkeypatch.setenv("ROADSENSE_USD_PER_HOUR", "0")
    monkeypatch.setenv("ROADSENSE_USD_PER_HOUR_AT_MOST", "0")
    board = dashboard()
    board.add(figures(31, healthy_workers=1, worker_restarts=3, workers_dropped=1, faults=4, quarantined=1))
    counts = board.lines(200)[-2:]
    text = " ".join(line.plain for line in counts)
    for part in (
        "healthy_workers 1",
        "worker_restarts 3",
        "workers_dropped 1",
        "faults 4",
        "quarantined 1",
        "cost_usd 0.00 (at most 0.00)",
    ):
        assert part in text
    assert sum("yellow" in str(span.style) for line in counts for span in line.spans) == 5


def test_silence_is_told_and_the_clock_goes_on():
    now = [0.0]
    board = dashboard(clock=lambda: now[0])
    now[0] = 45.0
    assert "elapsed 01:45" in plain(board, 100)[0] and "nothing for 00:45" in plain(board, 100)[0] and "ETA 01:35" in plain(board, 100)[0]


def test_a_terminal_without_unicode_gets_ascii():
    text = "\n".join(plain(dashboard(), 80, letters="ascii"))
    assert text.isascii() and "#" in text


def test_a_resumed_run_shows_one_series():
    board = Dashboard("run", 10_000)
    board.recall([{"episode_return": "1.0", "hazard_collision_rate": "", "false_braking_rate": "0.5"}] * 4)
    board.add(figures(5, episode_return=3.0))
    curve = next(line for line in plain(board, 100) if line.startswith("episode_return"))
    assert "▁▁▁▁█" in curve and "1.00 to 3.00" in curve


def test_sparkline():
    assert sparkline([], 10) == "" and sparkline([None, None], 10) == "" and sparkline([1.0], 0) == ""
    assert sparkline([10, 11, 12, 13, 14, 15, 16, 17], 8) == "▁▂▃▄▅▆▇█"
    assert sparkline([5.0] * 3, 8) == "▁▁▁"
    assert sparkline([0.0, None, 1.0, float("nan")], 4) == "▁ █ "
    assert sparkline([0.0] * 50 + [1.0] * 50, 10) == "▁▁▁▁▁█████"


def test_painting_costs_next_to_nothing():
    board = dashboard(5000)
    began = time.process_time()
    for _ in range(20):
        board.lines(100)
    assert (time.process_time() - began) / 20 < 0.05  # once a second; 2 ms on a quiet machine


def test_a_pipe_that_breaks_or_a_stream_that_is_closed_ends_nothing(tmp_path):
    read_end, write_end = os.pipe()
    pipe = os.fdopen(write_end, "w")
    with pytest.raises(BrokenPipeError), pipe:  # it was broken indeed: closing it fails
        with telling(tmp_path / "training.log", "run", 1000, stream=pipe) as teller:
            teller.say("first")
            assert os.read(read_end, 100) == b"first\n"
            os.close(read_end)
            for number in range(1, 6):
                teller.iteration(figures(number))
                time.sleep(0.01)
        pipe.write("x")
    with telling(tmp_path / "training.log", "run", 1000, stream=pipe) as teller:  # closed by now
        teller.say("last")
    assert (tmp_path / "training.log").read_text().count("\n") == 7


def test_a_stopped_terminal_holds_nobody_up(tmp_path):
    """As after Ctrl-S: the buffer of the terminal is full, and nobody reads."""
    master, slave = pty.openpty()
    # Closing the stream fails when its buffer still holds what the terminal never took.
    with contextlib.suppress(OSError), os.fdopen(slave, "w") as stream:
        began = time.monotonic()
        with telling(tmp_path / "training.log", "run", 1000, stream=stream) as teller:
            for number in range(2000):
                teller.say(f"{number} " + "x" * 100)
                teller.iteration(figures(number))
            told = time.monotonic() - began
        ended = time.monotonic() - began
        os.close(master)
    assert told < 60 and ended < told + 60, "held up, it would never end"
    assert (tmp_path / "training.log").read_text().count("\n") == 4000


def test_a_block_that_fails_is_given_up_and_the_lines_go_on():
    def block(_width, _height):
        raise ZeroDivisionError

    stream = io.StringIO()
    with Screen(stream, block) as screen:
        screen.line("one")
        screen.refresh()
        screen.line("two")
    assert stream.getvalue() == "one\ntwo\n"


def test_quiet_shows_nothing_and_keeps_everything(tmp_path):
    stream = io.StringIO()
    with telling(tmp_path / "training.log", "run", 1000, quiet=True, stream=stream) as teller:
        teller.say("a fault")
        teller.iteration(figures(1))
    assert stream.getvalue() == ""
    log = (tmp_path / "training.log").read_text()
    assert log.startswith("a fault\n") and "1,000/1,000 steps" in log


def test_lines_come_in_order_and_completely_where_there_is_no_terminal(tmp_path):
    stream = io.StringIO()
    with telling(tmp_path / "training.log", "run", 500_000, stream=stream) as teller:
        for number in range(1, 301):
            teller.say(f"told {number}")
            teller.iteration(figures(number))
    assert stream.getvalue() == (tmp_path / "training.log").read_text()
    assert "\x1b" not in stream.getvalue() and stream.getvalue().count("\n") == 600


def test_no_color_is_honoured_and_controls_are_not_passed_on(monkeypatch):
    master, slave = pty.openpty()
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.setenv("NO_COLOR", "1")
    board = dashboard()
    board.add(figures(31, faults=2))
    with os.fdopen(slave, "w") as stream, Screen(stream, board.lines) as screen:
        screen.line("an id with \x1b[2J in it")
    written = os.read(master, 65536).decode()
    os.close(master)
    assert "an id with [2J in it" in written and "faults 2" in written
    assert not re.search(r"\x1b\[[0-9;]*3[0-9]", written)  # no colour


def test_who_gets_a_dashboard(monkeypatch):
    master, slave = pty.openpty()
    with os.fdopen(master), os.fdopen(slave, "w") as terminal:
        monkeypatch.setenv("TERM", "xterm")
        assert can_paint(terminal) and not can_paint(io.StringIO())
        monkeypatch.setenv("TERM", "dumb")
        assert not can_paint(terminal)
        monkeypatch.delenv("TERM")
        assert not can_paint(terminal)
    assert not can_paint(terminal)  # closed
