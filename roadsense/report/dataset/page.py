"""The page of a dataset: coverage, draws, overlaps and the contact sheet."""

from __future__ import annotations

from functools import partial
from pathlib import Path

from roadsense.artifacts.files import check_writable
from roadsense.errors import DatasetError
from roadsense.report.dataset.drawn import Quantity, categories, quantities, shared
from roadsense.report.dataset.sheet import cards
from roadsense.report.figures import draws
from roadsense.report.figures.theme import Drawing, inline, require_matplotlib, write_figures
from roadsense.report.pages import write_page
from roadsense.scenario.coverage import coverage
from roadsense.scenario.dataset import Dataset


def write_dataset_page(dataset: Dataset, output: Path, *, figures_dir: Path | None = None) -> None:
    """Write the page, and the figures as SVG and PNG where a folder is named.

    Raises:
        DatasetError: a network or route file cannot be read, or the dataset is a single configuration, of which nothing was drawn.
        RunDirectoryError: a file cannot be written. DependencyError: matplotlib is missing.
    """
    require_matplotlib()
    check_writable(output)
    manifest = dataset.manifest
    if manifest is None:
        raise DatasetError(f"{dataset.directory}: is a single configuration, of which nothing was drawn; give a generated dataset")
    drawn = quantities(manifest)
    varied = [quantity for quantity in drawn if quantity.is_varied]
    drawings = [
        Drawing(
            name="coverage",
            caption="Scenarios for training (above) and evaluation (below) in every cell; stronger is more training. A dotted frame "
            "marks what one of the splits lacks. By rank: in how many scenarios the k-th peer ahead exists, so that the hazard can be it.",
            draw=partial(draws.coverage, coverage(manifest)),
        ),
        *([_histograms(varied)] if varied else []),
    ]
    if figures_dir is not None:
        write_figures(drawings, figures_dir)
    write_page(
        output,
        "dataset.html.j2",
        title=manifest.dataset_id,
        manifest=manifest,
        dataset_hash=dataset.hash,
        figures={drawing.name: (inline(drawing), drawing.caption) for drawing in drawings},
        quantities=varied,
        categories=categories(manifest),
        fixed=[quantity.name for quantity in drawn if not quantity.is_varied],
        shared=shared(manifest),
        cards=cards(dataset),
        styles=("base.css", "dataset.css"),
    )


def _histograms(varied: list[Quantity]) -> Drawing:
    caption = (
        "Shares of all values of a split; where every car has a value of its own, those of all cars together. A quantity that is drawn "
        "evenly fills its limits evenly; headways and positions follow from others and need not."
    )
    return Drawing(name="histograms", caption=caption, draw=partial(draws.histograms, varied))
