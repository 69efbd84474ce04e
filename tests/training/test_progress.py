"""The log of a training: one series over resumes, and no row lost to a disk that could not be written for a while."""

import csv
from dataclasses import fields

from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from roadsense.artifacts.layout import RunLayout
from roadsense.training.figures import IterationFigures
from roadsense.training.progress import ProgressLog


def figures(number: int) -> IterationFigures:
    values = {field.name: None if "None" in str(field.type) else number for field in fields(IterationFigures)}
    return IterationFigures(**values | {"timesteps": 100 * number, "episode_return": number / 2})


def timesteps(layout) -> list[int]:
    return [int(row["timesteps"]) for row in csv.DictReader(layout.progress.open())]


def test_rows_wait_for_a_disk_that_comes_back(tmp_path):
    layout, said = RunLayout(tmp_path / "run"), []
    layout.root.mkdir()
    log = ProgressLog(layout, 1000, said.append)
    log.add(figures(1))
    layout.root.rename(tmp_path / "away")
    for number in (2, 3):
        log.add(figures(number))
    (tmp_path / "away").rename(layout.root)
    log.add(figures(4))
    log.close()
    assert timesteps(layout) == [100, 200, 300, 400]
    assert sum("progress cannot be written" in line for line in said) == 1 and len(said) == 5


def test_a_resume_goes_on_as_one_series_whatever_the_end_looks_like(tmp_path):
    layout = RunLayout(tmp_path)
    log = ProgressLog(layout, 1000, lambda _: None)
    for number in (1, 2, 3):
        log.add(figures(number))
    log.close()
    with layout.progress.open("a") as file:
        file.write("400,4,0.")  # the half row of a kill
    again = ProgressLog(layout, 1000, lambda _: None, start_step=200)
    assert again.returns == [[100.0, 0.5], [200.0, 1.0]]
    again.add(figures(3))
    again.close()
    assert timesteps(layout) == [100, 200, 300] and again.returns[-1] == [300.0, 1.5]
    board = EventAccumulator(str(layout.tensorboard))
    board.Reload()
    assert [event.step for event in board.Scalars("episodes/episode_return")][-3:] == [100, 200, 300]
