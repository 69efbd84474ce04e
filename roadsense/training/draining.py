"""Whether a node of the cluster is about to be taken; as long as one is, every iteration ends with a checkpoint."""

from __future__ import annotations

import time
from typing import Final

_ASK_EVERY_S: Final = 2.0
_TIMEOUT_S: Final = 2.0


class DrainingNodes:
    """Asks Ray's control store, at most every two seconds; without an answer nothing is draining."""

    def __init__(self) -> None:
        self._asked_s = -_ASK_EVERY_S
        self._any = False

    def any(self) -> bool:
        """Whether any node is draining now."""
        now_s = time.monotonic()
        if now_s - self._asked_s >= _ASK_EVERY_S:
            self._asked_s = now_s
            self._any = bool(_draining())
        return self._any


def _draining() -> dict[str, int]:
    """Node id -> deadline in milliseconds since 1970; Ray's own libraries read it the same way."""
    import ray

    if not ray.is_initialized():
        return {}
    try:
        client = ray._private.worker.global_worker.gcs_client
        return dict(client.get_draining_nodes(timeout=_TIMEOUT_S))
    except Exception:  # the control store may be gone with its head; the training will hear of it soon enough
        return {}
