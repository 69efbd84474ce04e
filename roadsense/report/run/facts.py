"""Where runs come from and what they cost, as rows of a table; what no file says is said to be unknown, never guessed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from roadsense.report.run.source import Source

UNKNOWN: Final = "not recorded"


@dataclass(frozen=True, slots=True, kw_only=True)
class FactRow:
    """One fact of every run; `is_code` marks hashes and commands."""

    label: str
    values: tuple[str, ...]
    is_code: bool = False


def provenance_rows(sources: Sequence[Source]) -> tuple[FactRow, ...]:
    """Everything that tells whether two runs can be compared."""

    def row(label: str, value: Any, *, is_code: bool = False) -> FactRow:
        return FactRow(label=label, values=tuple(_text(value(source)) for source in sources), is_code=is_code)

    def recorded(name: str) -> Any:
        return lambda source: (source.provenance or {}).get(name)

    rows = (
        row("directory", lambda source: source.directory, is_code=True),
        row("run", lambda source: source.metrics["run_id"]),
        row("figures written", lambda source: source.metrics.get("timestamp")),
        row("trained", recorded("timestamp")),
        row("commit", recorded("git_commit"), is_code=True),
        row("command", lambda source: " ".join((source.provenance or {}).get("command") or ()), is_code=True),
        row("seed", lambda source: (source.provenance or {}).get("seed", source.config.get("seed"))),
        row("dataset", lambda source: source.config.get("dataset_dir") or source.config.get("sumo_cfg"), is_code=True),
        row("dataset hash", lambda source: source.config.get("dataset_hash"), is_code=True),
        row("radio parameters hash", lambda source: source.config.get("emulator_params_hash"), is_code=True),
        row("rounds of the list", lambda source: source.config.get("rounds")),
        row("machine", _machine),
        row("versions", _versions),
        row("container image", recorded("container_image")),
        row("files unchanged since", _unchanged),
    )
    return tuple(row for row in rows if any(value != UNKNOWN for value in row.values))


def cost_rows(sources: Sequence[Source]) -> tuple[FactRow, ...]:
    """Time and steps as far as the files say."""

    def row(label: str, value: Any) -> FactRow:
        return FactRow(label=label, values=tuple(_text(value(source)) for source in sources))

    rows = (
        row("environment steps", lambda source: _from_training(source, "training_timesteps", lambda steps: f"{steps:,.0f}")),
        row("episodes driven in training", lambda source: _from_training(source, "episodes", lambda count: f"{count:,.0f}")),
        row("training time", lambda source: _from_training(source, "elapsed_s", _duration)),
        row("core hours of training", _core_hours),
        row("steps per second", lambda source: _from_training(source, "steps_per_s", lambda rate: f"{rate:,.0f}")),
        row("restarted workers, faults", _troubles),
        row(
            "evaluation",
            lambda source: (
                f"{sum(map(len, source.records.values())):,} episodes of {_policies(len(source.records))}; its time is not recorded"
            ),
        ),
        row("price", _price),
    )
    # Evaluations alone have no training whose cost could be missing.
    trained = any(source.training is not None for source in sources)
    return tuple(row for row in rows if trained or any(value != UNKNOWN for value in row.values))


def _text(value: Any) -> str:
    return UNKNOWN if value is None or value == "" else str(value)


def _from_training(source: Source, name: str, form: Any) -> str | None:
    value = (source.training or {}).get(name)
    return None if value is None else str(form(value))


def _duration(seconds: float) -> str:
    minutes = round(seconds / 60)
    return f"{seconds:.0f} s" if seconds < 100 else f"{minutes} min" if minutes < 120 else f"{minutes // 60} h {minutes % 60:02d} min"


def _core_hours(source: Source) -> str | None:
    elapsed_s, cores = (source.training or {}).get("elapsed_s"), (source.provenance or {}).get("cores")
    return None if elapsed_s is None or cores is None else f"{elapsed_s / 3600 * cores:.2f} ({cores} cores, whether busy or not)"


def _troubles(source: Source) -> str | None:
    training = source.training or {}
    if "worker_restarts" not in training:
        return None
    return f"{training['worker_restarts']}, {training.get('faults', 0)}"


def _price(source: Source) -> str | None:
    """Only what the launch of a cloud run told it; a price from a list of today would be invented."""
    cost = (source.training or {}).get("cost")
    return None if not cost else f"${cost['cost_usd']:.2f} (at most ${cost['cost_usd_at_most']:.2f}) in {cost['hours']:.2f} hours"


def _policies(count: int) -> str:
    return "1 policy" if count == 1 else f"{count} policies"


def _machine(source: Source) -> str | None:
    provenance = source.provenance or {}
    return f"{provenance['cores']} cores, {provenance.get('platform', '')}" if "cores" in provenance else None


def _versions(source: Source) -> str | None:
    packages = (source.provenance or {}).get("packages") or {}
    python = (source.provenance or {}).get("python")
    named = [f"{name} {version}" for name, version in packages.items() if version]
    return ", ".join([*([f"Python {python}"] if python else []), *named]) or None


def _unchanged(source: Source) -> str | None:
    if not (source.provenance or {}).get("artifacts_sha256"):
        return None
    return f"no: {', '.join(source.altered)} changed or gone" if source.altered else "yes, every SHA-256 agrees"
