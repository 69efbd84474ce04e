"""The benchmark's result as a file and as a table, and the comparison with an earlier one."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from rich.console import Console
from rich.table import Table

from roadsense.errors import ConfigError

# (ratio, what it compares, floor, aim, whether less is better)
TARGETS: Final = (
    ("env_vs_T", "environment alone / T", 0.75, 0.95, False),
    ("sampling_vs_2T", "sampling, 2 env runners / 2T", 0.80, 1.2, False),
    ("training_vs_2T", "training, 2 env runners / 2T", 0.40, 0.70, False),
    ("training_vs_sb3", "training / Stable-Baselines3 at its best n", 2.5, 4.0, False),
    ("scaling_1_to_2", "sampling, 1 -> 2 env runners", 1.7, 1.95, False),
    ("learner_ragged_vs_padded_time", "time of the learner, ragged / padded", 1.0, 0.75, True),
    ("growth_5_to_50_peers", "time of a step ~ peers^x, 5 to 50", 1.0, 1.0, True),
)
# What a ratio may lose against a committed one before it counts as slower: repeated runs of the same code differ by this much.
LARGEST_LOSS: Final = 0.15


def read_result(path: Path) -> dict[str, Any]:
    """A result that `roadsense bench --json` wrote; raises ConfigError when it is none."""
    try:
        result = json.loads(path.read_text())
        ratios = result["ratios"]
        if not all(value is None or isinstance(value, int | float) for value in ratios.values()):
            raise TypeError("a ratio is no number")
    except OSError as problem:
        raise ConfigError(f"{path}: cannot be read ({problem.strerror}); give a file of roadsense bench --json") from None
    except (ValueError, KeyError, TypeError, AttributeError) as problem:
        raise ConfigError(f"{path}: no result of roadsense bench ({problem}); give a file of roadsense bench --json") from None
    return dict(result)


def slower_ratios(result: dict[str, Any], committed: dict[str, Any]) -> Iterator[str]:
    """One line for each ratio that is worse than the committed one by more than `LARGEST_LOSS`."""
    for name, _, _, _, less_is_better in TARGETS:
        now, before = result["ratios"].get(name), committed["ratios"].get(name)
        if now is None or before is None:
            continue
        loss = now / before - 1 if less_is_better else 1 - now / before
        if loss > LARGEST_LOSS:
            yield f"{name} was {before:.2f} and is {now:.2f}"


def print_result(result: dict[str, Any], console: Console) -> None:
    """Ratios beside their targets, then the speeds behind them."""
    table = Table("ratio", "measured", "floor", "aim")
    for name, meaning, floor, aim, less_is_better in TARGETS:
        value = result["ratios"].get(name)
        if value is None:
            table.add_row(meaning, "-", f"{floor:g}", f"{aim:g}")
            continue
        good = value <= floor if less_is_better else value >= floor
        table.add_row(meaning, f"[{'green' if good else 'red'}]{value:.2f}[/]", f"{floor:g}", f"{aim:g}")
    console.print(table)
    yardstick = result["yardstick"]
    console.print(
        f"T {yardstick['T_steps_per_s']:,.0f} steps/s, 2T {yardstick['2T_steps_per_s']:,.0f}, "
        f"SUMO alone {yardstick['sumo_alone_steps_per_s']:,.0f}"
        + (f", libsumo {yardstick['libsumo_steps_per_s']:,.0f}" if yardstick["libsumo_steps_per_s"] else "")
        + f"; largest drift {yardstick['largest_drift']:.0%}"
    )
    for peers, figures in result["environment"].items():
        parts = ", ".join(f"{name} {value:.0f}" for name, value in figures["part_us"].items())
        console.print(f"environment, {peers} peers: {figures['steps_per_s']:,.0f} steps/s; microseconds: {parts}")
    sampling = ", ".join(f"{name}: {rate:,.0f}" for name, rate in result["sampling_steps_per_s"].items())
    console.print(f"reset {result['reset_ms']:.1f} ms; sampling steps/s by environments per runner: {sampling}")
    for count, figures in result["training"].items():
        shares = ", ".join(f"{name} {share:.0%}" for name, share in figures["shares"].items())
        memory = ", ".join(f"{name} {size:,.0f}" for name, size in figures["peak_mb"].items())
        console.print(f"training, {count} env runners: {figures['steps_per_s']:,.0f} steps/s; {shares}; peak memory in MB: {memory}")
    if result["stable_baselines3"]:
        rates = ", ".join(f"{count}: {rate:,.0f}" for count, rate in result["stable_baselines3"]["by_environments"].items())
        console.print(f"Stable-Baselines3 steps/s by environments: {rates}")
    radio = ", ".join(f"{cars} cars {value:.0f}" for cars, value in result["radio_step_us"].items())
    console.print(f"radio step in microseconds: {radio}")
