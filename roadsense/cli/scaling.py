"""`roadsense scaling`: the tables of docs/scaling.md, or, with --measure, the measurements that they rest on."""

from __future__ import annotations

import argparse
import io
import json
import statistics
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

from pydantic import Field
from rich import box
from rich.console import Console
from rich.table import Table

from roadsense.artifacts.files import check_writable, write_json
from roadsense.bench.predicted import LARGEST_ERROR, Comparison, comparisons
from roadsense.bench.report import read_result
from roadsense.cli.flags import add_settings_flags, settings_from_flags
from roadsense.cloud.estimate import around_usd_per_hour
from roadsense.cloud.prices import price_table
from roadsense.config import Settings
from roadsense.errors import BudgetError, DefectsFoundError, UsageError
from roadsense.scaling.cluster import SPOT_SHARE, cluster, vcpus
from roadsense.scaling.measured import Measured, packaged, read_measured
from roadsense.scaling.model import Costs, Machines, iteration, usd_per_million
from roadsense.scaling.slowest import fragment_moments

_MOST_ENV_RUNNERS: Final = 4096
_WIDTH: Final = 240  # a Markdown table has no lines to fold
_GPU_GUESS: Final = 5.0
_LONG_FRAGMENT: Final = 4  # times as long


class ScalingSettings(Settings):
    """What to predict, or to measure."""

    env_runners: str = Field("1,2,4,8,16,32,64,128,256", description="numbers of env runners, separated by commas")
    n_steps: int = Field(2048, ge=1, description="steps per env runner and iteration; the batch grows with the env runners")
    worker_types: str = Field("c6i.xlarge,c7i.xlarge", description="types of worker nodes, separated by commas; priced in prices.json")
    head_type: str = Field("m6i.large", description="type of the head, which learns")
    spot_share: float = Field(SPOT_SHARE, gt=0, le=1, description="spot price as a share of the on-demand price")
    measured: Path | None = Field(None, description="measurements of --measure (default: those of the package)")
    bench: Path | None = Field(None, description="a result of roadsense bench --json to hold the model against")
    measure: Path | None = Field(None, description="measure on this machine (minutes), and write the measurements to this file")
    dataset_dir: Path | None = Field(None, description="with --measure: the dataset (default: one of 80 scenarios, made for it)")


def add_flags(parser: argparse.ArgumentParser) -> None:
    """One flag per setting."""
    add_settings_flags(parser, ScalingSettings)


def run(flags: argparse.Namespace) -> int:
    """Measure, or print."""
    settings = settings_from_flags(ScalingSettings, flags)
    if settings.measure is not None:
        return _measure(settings, settings.measure)
    console = Console(highlight=False, width=_WIDTH)
    sections, beside = _sections(settings)
    for section in sections:
        console.print(f"\n{section.title}\n", section.content, soft_wrap=True)
    _require_close(beside, settings.bench)
    return 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Section:
    """A part of the page: its name in docs/scaling.md, its title, and a table or a line."""

    name: str
    title: str
    content: Table | str


def _sections(settings: ScalingSettings) -> tuple[list[Section], list[Comparison]]:
    counts = _counts(settings.env_runners)
    measured = packaged() if settings.measured is None else read_measured(settings.measured)
    costs = measured.costs()
    sections = [
        Section(name="measured", title="Measured", content=_measured_table(measured, costs)),
        Section(name="origin", title="Where", content=_origin(measured)),
        Section(name="spread", title="The model against fragments", content=_spread_table(measured, costs)),
    ]
    beside = [] if settings.bench is None else list(comparisons(read_result(settings.bench), costs))
    if beside:
        sections.append(Section(name="bench", title="The model against the benchmark", content=_bench_table(beside)))
    for worker_type in settings.worker_types.split(","):
        title = f"Extrapolated: {worker_type} on spot, head {settings.head_type}, {settings.n_steps:,} steps per env runner and iteration"
        sections.append(Section(name=worker_type, title=title, content=_cluster_table(costs, counts, worker_type, settings)))
    sections.append(Section(name="bend", title="Where it bends", content=_bend(costs, settings)))
    title = "Extrapolated: what helps (steps/s)"
    sections.append(Section(name="changes", title=title, content=_changes_table(costs, counts, settings)))
    return sections, beside


def page_blocks(settings: ScalingSettings) -> dict[str, str]:
    """What docs/scaling.md holds between its marks, by name; benchmarks/scaling_page.py writes it."""
    blocks = {}
    for section in _sections(settings)[0]:
        console = Console(highlight=False, width=_WIDTH, file=io.StringIO(), record=True)
        console.print(section.content, soft_wrap=True)
        lines = [line.strip() for line in console.export_text().splitlines()]
        blocks[section.name] = "\n".join(line for line in lines if line)
    return blocks


def _measure(settings: ScalingSettings, path: Path) -> int:
    from roadsense.bench.scaling import ScalingPlan, measure_scaling
    from roadsense.scenario.generate import GenerateSettings, generate

    check_writable(path)
    progress = Console(stderr=True, highlight=False)
    with TemporaryDirectory() as scratch:
        directory = settings.dataset_dir
        if directory is None:
            directory = Path(scratch) / "dataset"
            generate(GenerateSettings(output_dir=directory))
        measured = measure_scaling(directory, ScalingPlan(), lambda what: progress.print(what, soft_wrap=True))
    write_json(path, json.loads(measured.model_dump_json()))
    progress.print(f"measured: {path}", soft_wrap=True)
    return 0


def _counts(text: str) -> list[int]:
    try:
        counts = [int(part) for part in text.split(",")]
    except ValueError:
        counts = []
    if not counts or not all(1 <= count <= _MOST_ENV_RUNNERS for count in counts):
        raise UsageError(f"--env_runners {text}: give numbers from 1 to {_MOST_ENV_RUNNERS}, separated by commas")
    return counts


def _table(*headers: str) -> Table:
    table = Table(box=box.MARKDOWN, pad_edge=True)
    for header in headers:
        table.add_column(header, justify="right" if header != headers[0] else "left", no_wrap=True)
    return table


def _measured_table(measured: Measured, costs: Costs) -> Table:
    table = _table("what", "value", "unit")
    rows = (
        ("sampling, one env runner on one core", f"{costs.sampling_steps_per_s:,.0f}", "steps/s"),
        ("learning, all epochs", f"{1e3 * costs.learning_s_per_step * 1e3:.0f}", "ms per 1,000 steps"),
        ("learning, whatever the batch", f"{1e3 * costs.learning_fixed_s:.0f}", "ms per iteration"),
        ("fragment on its way to the head", f"{costs.fragment_bytes_per_step:.0f}", "bytes per step"),
        ("unpacking it on the head", f"{1e6 * costs.receiving_s_per_step:.1f}", "us per step"),
        ("asking one env runner, and its answer", f"{1e6 * costs.call_s_per_runner:.0f}", "us"),
        ("weights sent to each node", f"{costs.weights_bytes / 1e3:.1f}", "kB per iteration"),
        ("taking the weights out and storing them", f"{1e3 * costs.weights_s:.1f}", "ms per iteration"),
        ("step of the dearest over the cheapest scenario", f"{max(costs.steps.by_scenario) / min(costs.steps.by_scenario):.1f}", "ratio"),
        ("episode to episode of one scenario", f"{100 * costs.steps.episode_deviation:.0f}", "% of a step's mean cost"),
        ("episode", f"{measured.episode_steps:.0f}", "steps"),
    )
    for row in rows:
        table.add_row(*row)
    return table


def _spread_table(measured: Measured, costs: Costs) -> Table:
    """Fragments of real env runners against what the model says about them."""
    runners = len(measured.fragment_cpu_s)
    means, deviations = fragment_moments(costs.steps, runners, measured.fragment_steps)
    table = _table("spread of a fragment's time (deviation / mean)", "measured", "model", "fragments")
    for number, fragments in enumerate(measured.fragment_cpu_s):
        table.add_row(
            f"env runner {number + 1} of {runners}",
            f"{statistics.stdev(fragments) / statistics.fmean(fragments):.3f}" if len(fragments) > 1 else "--",
            f"{deviations[number] / means[number]:.3f}",
            str(len(fragments)),
        )
    return table


def _origin(measured: Measured) -> str:
    known = measured.provenance
    day, commit = str(known.get("timestamp"))[:10], str(known.get("git_commit"))[:9]
    load = ", ".join(str(value) for value in known.get("load_averages", ())) or "unknown"
    return (
        f"{measured.machine}; {day}, commit {commit}; load averages at the end {load}; minibatches of {measured.minibatch_steps:,}, "
        f"{measured.num_epochs} epochs, {measured.environments_per_runner} environments per env runner."
    )


def _bend(costs: Costs, settings: ScalingSettings) -> str:
    bend = settings.n_steps / costs.sampling_steps_per_s / (settings.n_steps * costs.learning_s_per_step)
    most = 1 / costs.learning_s_per_step
    return (
        f"Sampling and learning take the same time with {bend:.1f} env runners; no number of them passes {most:,.0f} steps/s, "
        "what the learner takes in."
    )


def _bench_table(beside: list[Comparison]) -> Table:
    table = _table("whole training of the benchmark, env runners", "measured, steps/s", "model, steps/s", "error")
    for found in beside:
        table.add_row(
            str(found.env_runners),
            f"{found.measured_steps_per_s:,.0f}",
            f"{found.predicted_steps_per_s:,.0f}",
            f"{100 * found.error:+.0f} %",
        )
    return table


def _require_close(beside: list[Comparison], path: Path | None) -> None:
    off = [f"{100 * found.error:+.0f} % with {found.env_runners} env runners" for found in beside if abs(found.error) > LARGEST_ERROR]
    if off:
        raise DefectsFoundError(
            f"{path}: the model is off by {', '.join(off)}, more than {100 * LARGEST_ERROR:.0f} %; its other figures are no better, "
            "measure anew while the machine is quiet"
        )


def _cluster_table(costs: Costs, counts: list[int], worker_type: str, settings: ScalingSettings) -> Table:
    size = vcpus(worker_type)
    table = _table(
        "env runners", "nodes", "batch", "steps/s", "driving", "sampling s", "waiting s", "carrying s", "learning s", "syncing s",
        "overlapped, at most", "$ per 1M, spot", "$ per 1M, on demand",
    )  # fmt: skip
    for count in counts:
        machines = cluster(count, size, steps_per_runner=settings.n_steps)
        predicted = iteration(costs, machines)
        carrying_s = predicted.transfer_s + predicted.receiving_s
        parts_s = (predicted.sampling_s, predicted.waiting_s, carrying_s, predicted.learning_s, predicted.synchronising_s)
        money = [_usd_per_hour(machines, worker_type, settings.head_type, share) for share in (settings.spot_share, 1.0)]
        table.add_row(
            str(count),
            str(machines.nodes),
            f"{predicted.batch_steps:,.0f}",
            f"{predicted.steps_per_s:,.0f}",
            f"{predicted.efficiency:.0%}",
            *(f"{part_s:.2f}" for part_s in parts_s),
            f"{predicted.overlapped_steps_per_s:,.0f}",
            *(f"{usd_per_million(usd, predicted.steps_per_s):.2f}" for usd in money),
        )
    return table


def _usd_per_hour(machines: Machines, worker_type: str, head_type: str, spot_share: float) -> float:
    prices = price_table()
    for name in (worker_type, head_type):
        if name not in prices.on_demand_usd_per_hour:
            raise BudgetError(f"prices.json does not know {name}; it knows {', '.join(prices.on_demand_usd_per_hour)}")
    workers = machines.nodes * spot_share * prices.on_demand_usd_per_hour[worker_type]
    return workers + prices.on_demand_usd_per_hour[head_type] + (machines.nodes + 1) * around_usd_per_hour(prices)


def _changes_table(costs: Costs, counts: list[int], settings: ScalingSettings) -> Table:
    half = replace(costs, learning_s_per_step=costs.learning_s_per_step / 2)
    size = vcpus(settings.worker_types.split(",")[0])
    longer = _LONG_FRAGMENT * settings.n_steps
    table = _table(
        "env runners", "as it is", f"batch x {_LONG_FRAGMENT}", "half the epochs", "overlapped (APPO)", f"learner x {_GPU_GUESS:g} (GPU)",
        f"learner x {_GPU_GUESS:g}, batch x {_LONG_FRAGMENT}", f"learner x {_GPU_GUESS:g}, overlapped",
    )  # fmt: skip
    for count in counts:
        plain = cluster(count, size, steps_per_runner=settings.n_steps)
        long = cluster(count, size, steps_per_runner=longer)
        # Only the learning itself moves to the GPU; unpacking and calls stay on the processor.
        quick = replace(
            costs, learning_s_per_step=costs.learning_s_per_step / _GPU_GUESS, learning_fixed_s=costs.learning_fixed_s / _GPU_GUESS
        )
        figures = (
            iteration(costs, plain).steps_per_s,
            iteration(costs, long).steps_per_s,
            iteration(half, plain).steps_per_s,
            iteration(costs, plain).overlapped_steps_per_s,
            iteration(quick, plain).steps_per_s,
            iteration(quick, long).steps_per_s,
            iteration(quick, plain).overlapped_steps_per_s,
        )
        table.add_row(str(count), *(f"{figure:,.0f}" for figure in figures))
    return table
