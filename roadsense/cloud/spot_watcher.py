"""Watches for AWS's word that this machine is about to be taken, and drains its Ray node, so that training goes on elsewhere.

Ray has no watcher of its own. AWS announces an interruption two minutes ahead in the machine's metadata, and recommends a rebalance
somewhat earlier. `ray drain-node` moves nothing by force: the node takes no new work, its loss does not count as a failure, and the driver,
seeing a draining node, writes a checkpoint in every iteration.

Runs on every node as `python -m roadsense.cloud.spot_watcher`; imports nothing but the standard library.
"""

from __future__ import annotations

import argparse
import fcntl
import json
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

_METADATA: Final = "http://169.254.169.254/latest"
_TOKEN_TTL_S: Final = 3600
_LOOK_EVERY_S: Final = 5.0
_TIMEOUT_S: Final = 2.0
# What is assumed where AWS names no time: interruptions come two minutes after their notice, rebalances may never come.
_NOTICE_S: Final = 120.0
_LOCK: Final = Path("/tmp/roadsense_spot_watcher.lock")  # noqa: S108 - one watcher per machine, whoever starts it


@dataclass(frozen=True, slots=True)
class Notice:
    """AWS's word: `kind` is "interruption" or "rebalance"; `at` is when the machine goes, None where that is not said."""

    kind: str
    at: datetime | None

    def remaining_s(self, now: datetime) -> float:
        """Seconds until the machine goes, at least 1."""
        return max(1.0, (self.at - now).total_seconds()) if self.at is not None else _NOTICE_S


class InstanceMetadata:
    """EC2's metadata service, by IMDSv2 only.

    Args:
        base: address of the service, without a slash at the end.
    """

    def __init__(self, base: str = _METADATA) -> None:
        self._base = base
        self._token = ""
        self._token_until = 0.0

    def notice(self) -> Notice | None:
        """What AWS says now; None when it says nothing.

        Raises:
            OSError: the service does not answer.
        """
        action = self._get("meta-data/spot/instance-action")
        if action is not None:
            return Notice("interruption", _time(action, "time"))
        rebalance = self._get("meta-data/events/recommendations/rebalance")
        return None if rebalance is None else Notice("rebalance", None)

    def get(self, path: str) -> str | None:
        """Any other entry below `/latest/`; None when there is none.

        Raises:
            OSError: the service does not answer.
        """
        return self._get(path)

    def _get(self, path: str) -> str | None:
        for attempt in range(2):
            if time.monotonic() >= self._token_until:
                self._renew()
            request = urllib.request.Request(f"{self._base}/{path}", headers={"X-aws-ec2-metadata-token": self._token})  # noqa: S310
            try:
                with urllib.request.urlopen(request, timeout=_TIMEOUT_S) as answer:  # noqa: S310 - a fixed address
                    return str(answer.read().decode())
            except urllib.error.HTTPError as refusal:
                if refusal.code == 404:
                    return None
                if refusal.code == 401 and attempt == 0:
                    self._token_until = 0.0  # a token that the service no longer knows: get another one
                    continue
                raise
        return None

    def _renew(self) -> None:
        headers = {"X-aws-ec2-metadata-token-ttl-seconds": str(_TOKEN_TTL_S)}
        request = urllib.request.Request(f"{self._base}/api/token", method="PUT", headers=headers)  # noqa: S310
        with urllib.request.urlopen(request, timeout=_TIMEOUT_S) as answer:  # noqa: S310 - a fixed address
            self._token = answer.read().decode()
        self._token_until = time.monotonic() + _TOKEN_TTL_S / 2


def watch(
    metadata: InstanceMetadata,
    react: Callable[[Notice], bool],
    *,
    look_every_s: float = _LOOK_EVERY_S,
    stop: Callable[[], bool] = lambda: False,
    say: Callable[[str], None] = lambda _line: None,
) -> None:
    """Look every few seconds; call `react` once for every new notice, and again until it returns True.

    An interruption after a rebalance recommendation counts as new. A service that does not answer is asked again.
    """
    done: set[str] = set()
    while not stop():
        try:
            notice = metadata.notice()
        except OSError as problem:
            say(f"no answer from the metadata service ({problem})")
            notice = None
        if notice is not None and notice.kind not in done and react(notice):
            done.add(notice.kind)
        time.sleep(look_every_s)


def drain_this_node(notice: Notice) -> bool:
    """Tell Ray that this node will be gone; returns whether Ray has accepted it."""
    seconds = round(notice.remaining_s(datetime.now(UTC)))
    ray = Path(sys.executable).with_name("ray")
    command = [str(ray), "drain-node", "--reason", "DRAIN_NODE_REASON_PREEMPTION", "--reason-message", f"spot {notice.kind}"]
    done = subprocess.run([*command, "--deadline-remaining-seconds", str(seconds)], capture_output=True, text=True, check=False)
    _say(f"spot {notice.kind}, {seconds} s left: drained" if done.returncode == 0 else f"drain failed: {done.stderr.strip()[-300:]}")
    return done.returncode == 0


def _time(text: str, key: str) -> datetime | None:
    try:
        return datetime.fromisoformat(json.loads(text)[key])
    except (ValueError, KeyError, TypeError):
        return None


def _say(line: str) -> None:
    print(f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ} {line}", flush=True)  # noqa: T201 - its log


def main() -> int:
    """Watch until killed; a second watcher on the same machine ends at once."""
    parser = argparse.ArgumentParser(description="drain this machine's Ray node when AWS announces that it will be taken")
    parser.add_argument("--look_every_s", type=float, default=_LOOK_EVERY_S, help="pause between two looks in seconds")
    flags = parser.parse_args()
    with _LOCK.open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return 0
        _say("watching for spot notices")
        watch(InstanceMetadata(), drain_this_node, look_every_s=flags.look_every_s, say=_say)
    return 0


if __name__ == "__main__":
    sys.exit(main())
