"""Who has launched what, and what it may cost at most: the memory behind the monthly limit.

An entry is written before anything is launched, with the launch's worst case, and lowered to an upper bound of the real cost only after AWS
has confirmed that no machine is left. So a laptop that dies, a driver that crashes or a lost network leave the worst case standing. Entries
lie on this machine and in the bucket; each is a file of its own, so two laptops never write over each other's.
"""

from __future__ import annotations

import calendar
import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

from roadsense.artifacts.files import write_json
from roadsense.cloud.object_store import ObjectStore
from roadsense.config import Settings
from roadsense.errors import BudgetError, CloudError

_PREFIX: Final = "ledger"


class LedgerEntry(Settings):
    """One launch. `worst_case_usd` holds until `settled_usd` is known; times are in UTC."""

    launch_id: str
    kind: str
    started_at: datetime
    deadline: datetime
    worst_case_usd: float
    settled_usd: float | None = None
    ended_at: datetime | None = None

    @property
    def usd(self) -> float:
        """What this launch counts."""
        return self.worst_case_usd if self.settled_usd is None else self.settled_usd

    def touches(self, month: str) -> bool:
        """Whether it can have cost something in a month, "2026-11"; one that runs over midnight of the last day counts in both."""
        return f"{self.started_at:%Y-%m}" <= month <= f"{self.ended_at or self.deadline:%Y-%m}"


class Ledger:
    """The launches of this machine and of the bucket.

    Args:
        directory: folder on this machine (default: `~/.local/state/roadsense/ledger`).
        bucket_address: `s3://bucket`, or None where there is none to share.
    """

    def __init__(self, directory: Path | None, bucket_address: str | None) -> None:
        state = os.environ.get("XDG_STATE_HOME") or str(Path.home() / ".local" / "state")
        self._directory = directory or Path(state) / "roadsense" / "ledger"
        self._store = ObjectStore(f"{bucket_address}/{_PREFIX}", patience_s=20.0) if bucket_address else None

    def spent_usd(self, now: datetime | None = None) -> float:
        """What this month's launches count, in USD.

        Raises:
            BudgetError: an entry cannot be read: what nobody can read may be any amount.
        """
        month = f"{now or datetime.now(UTC):%Y-%m}"
        return sum(entry.usd for entry in self.entries() if entry.touches(month))

    def entries(self) -> list[LedgerEntry]:
        """Every launch, by time; where both places have one, the dearer reading counts.

        Raises:
            BudgetError: an entry cannot be read, or the bucket does not answer.
        """
        found: dict[str, LedgerEntry] = {}
        for path in sorted(self._directory.glob("*.json")):
            self._note(found, LedgerEntry.load_json(path, BudgetError))
        if self._store is not None:
            try:
                for file in self._store.list():
                    self._note(found, LedgerEntry.model_validate_json(self._store.read(file.key)))
            except (CloudError, ValueError) as problem:
                raise BudgetError(
                    f"the ledger in {self._store.address} cannot be read, so nobody knows what this month has cost "
                    f"({' '.join(str(problem).split())[:200]}); nothing is launched until it can"
                ) from None
        return sorted(found.values(), key=lambda entry: entry.started_at)

    def reserve(self, entry: LedgerEntry, limit_usd: float, reported_usd: float = 0.0) -> float:
        """Write a launch down before it begins; returns what is left of the month afterwards, in USD.

        Args:
            entry: with its worst case.
            limit_usd: of the month.
            reported_usd: what AWS itself says was spent this month; the larger of it and the ledger counts.

        Raises:
            BudgetError: the worst case is more than what is left, or the ledger cannot be read or written.
        """
        with self._locked():
            spent_usd = max(self.spent_usd(entry.started_at), reported_usd)
            left_usd = limit_usd - spent_usd
            if not entry.worst_case_usd <= left_usd:
                raise BudgetError(
                    f"this launch could cost ${entry.worst_case_usd:.2f}, and ${max(0.0, left_usd):.2f} are left of ${limit_usd:.2f} in "
                    f"{entry.started_at:%B %Y}; give a smaller --max_hours, --max_workers or --total_timesteps, or wait "
                    f"{_days_left(entry.started_at)} days"
                )
            self._write(entry)
        return left_usd - entry.worst_case_usd

    def settle(self, launch_id: str, usd: float) -> None:
        """Lower a launch to its cost; only once AWS says that no machine is left. Never raises it.

        Raises:
            BudgetError: the entry is unknown, or cannot be written.
        """
        with self._locked():
            for entry in self.entries():
                if entry.launch_id == launch_id:
                    update = {"settled_usd": min(usd, entry.worst_case_usd), "ended_at": datetime.now(UTC)}
                    self._write(entry.model_copy(update=update))
                    return
        raise BudgetError(f"{launch_id}: no such launch in {self._directory}; nothing was settled")

    def _write(self, entry: LedgerEntry) -> None:
        name = f"{entry.started_at:%Y%m%dT%H%M%S}_{entry.launch_id}.json"
        try:
            write_json(self._directory / name, entry.model_dump(mode="json"))
            if self._store is not None:
                self._store.write(name, entry.model_dump_json(indent=2).encode())
        except Exception as problem:
            raise BudgetError(f"{self._directory / name}: the launch could not be written down ({problem}), so it does not begin") from None

    @staticmethod
    def _note(found: dict[str, LedgerEntry], entry: LedgerEntry) -> None:
        known = found.get(entry.launch_id)
        if known is None or entry.usd > known.usd:
            found[entry.launch_id] = entry

    @contextmanager
    def _locked(self) -> Iterator[None]:
        try:
            self._directory.mkdir(parents=True, exist_ok=True)
            lock = (self._directory / ".lock").open("w")
        except OSError as problem:
            raise BudgetError(f"{self._directory}: cannot be written ({problem.strerror}), so nothing is launched; --ledger_dir") from None
        with lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield


def _days_left(now: datetime) -> int:
    days = calendar.monthrange(now.year, now.month)[1]
    return (now.replace(day=days) + timedelta(days=1) - now).days
