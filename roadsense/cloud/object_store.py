"""Files on S3 or in a folder, through one interface.

`s3://bucket/prefix` and plain paths both work. Credentials come from wherever AWS's own tools take them (environment, profile, the
machine's role); `AWS_ENDPOINT_URL` names another server that speaks S3.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, TypeVar

from pyarrow import fs

from roadsense.artifacts.files import atomic_path
from roadsense.errors import CloudError

Result = TypeVar("Result")

_SCHEME: Final = "s3://"
_CONNECT_TIMEOUT_S: Final = 10.0
_REQUEST_TIMEOUT_S: Final = 60.0
_FIRST_PAUSE_S: Final = 0.5
_LONGEST_PAUSE_S: Final = 10.0
# How long a single operation is tried again: longer than the minute for which an object store may be gone without costing anything.
PATIENCE_S: Final = 180.0
DEFAULT_REGION: Final = "us-east-1"
# What no amount of trying again can mend.
_FINAL: Final = ("ACCESS_DENIED", "NO_SUCH_BUCKET", "INVALID_ACCESS_KEY_ID", "SIGNATURE_DOES_NOT_MATCH", "does not exist", "403")


@dataclass(frozen=True, slots=True)
class StoredFile:
    """One file below a store's root: its key and size in bytes."""

    key: str
    size_bytes: int


def is_remote(address: object) -> bool:
    """Whether an address names an object store and not a path of this machine."""
    return str(address).startswith(_SCHEME)


class ObjectStore:
    """Files below one address; keys are relative to it and use `/`.

    Every operation is tried again for `patience_s` seconds, unless the answer says that trying is useless.

    Args:
        address: `s3://bucket/prefix`, or a folder (which need not exist yet).
        patience_s: how long an operation is tried again, in seconds.

    Raises:
        CloudError: from every method: the store refused, or did not answer for `patience_s` seconds.
    """

    def __init__(self, address: str, *, patience_s: float = PATIENCE_S) -> None:
        self.address = address.rstrip("/")
        self._patience_s = patience_s
        self._files, self._root = _open(self.address)

    def put(self, source: Path, key: str) -> None:
        """Store a file; readers see the old content or the new one, never a part."""
        content = source.read_bytes()
        self.write(key, content)

    def write(self, key: str, content: bytes) -> None:
        """Store bytes; readers see the old content or the new one, never a part."""
        path = self._path(key)

        def work() -> None:
            if isinstance(self._files, fs.LocalFileSystem):
                with atomic_path(Path(path)) as temporary:
                    temporary.write_bytes(content)
                return
            with self._files.open_output_stream(path) as stream:
                stream.write(content)

        self._try("write", key, work)

    def read(self, key: str) -> bytes:
        """The content of a file."""

        def work() -> bytes:
            with self._files.open_input_stream(self._path(key)) as stream:
                return bytes(stream.read())

        return self._try("read", key, work)

    def fetch(self, key: str, target: Path) -> None:
        """Copy a file here; the target is complete or absent."""
        content = self.read(key)
        with atomic_path(target) as temporary:
            temporary.write_bytes(content)

    def list(self, prefix: str = "") -> list[StoredFile]:
        """Every file below `prefix`, sorted by key; an empty list when there is none."""
        selector = fs.FileSelector(self._path(prefix), recursive=True, allow_not_found=True)
        found = self._try("list", prefix, lambda: self._files.get_file_info(selector))
        cut = len(self._root) + 1
        return sorted((StoredFile(i.path[cut:], int(i.size)) for i in found if i.type == fs.FileType.File), key=lambda file: file.key)

    def exists(self, key: str) -> bool:
        """Whether there is a file of this key."""
        info = self._try("look for", key, lambda: self._files.get_file_info(self._path(key)))
        return bool(info.type == fs.FileType.File)

    def delete(self, key: str) -> None:
        """Remove a file; one that is not there is no error."""

        def work() -> None:
            if self._files.get_file_info(self._path(key)).type == fs.FileType.File:
                self._files.delete_file(self._path(key))

        self._try("delete", key, work)

    def delete_below(self, prefix: str) -> None:
        """Remove every file below a prefix."""
        for file in self.list(prefix):
            self.delete(file.key)

    def _path(self, key: str) -> str:
        return f"{self._root}/{key}".rstrip("/")

    def _try(self, verb: str, key: str, work: Callable[[], Result]) -> Result:
        for pause_s in _pauses(self._patience_s):
            try:
                return work()
            except OSError as problem:
                text = " ".join(str(problem).split())
                if pause_s is None or any(word in text for word in _FINAL):
                    raise CloudError(f"{self.address}/{key}: cannot {verb} it ({text[:300]}); {_advice(text)}") from None
                time.sleep(pause_s)
        raise AssertionError("unreachable")


def _pauses(patience_s: float) -> Iterator[float | None]:
    """Seconds to wait after each failure, growing; None after the last one."""
    end, pause_s = time.monotonic() + patience_s, _FIRST_PAUSE_S
    while time.monotonic() + pause_s < end:
        yield pause_s
        pause_s = min(2 * pause_s, _LONGEST_PAUSE_S)
    yield None


def _open(address: str) -> tuple[Any, str]:
    if not address.startswith(_SCHEME):
        return fs.LocalFileSystem(), str(Path(address).absolute())
    root = address.removeprefix(_SCHEME)
    if not root or root.startswith("/"):
        raise CloudError(f"{address}: names no bucket; write s3://bucket/prefix")
    region = os.environ.get("AWS_REGION") or os.environ.get("AWS_DEFAULT_REGION") or DEFAULT_REGION
    endpoint = os.environ.get("AWS_ENDPOINT_URL_S3") or os.environ.get("AWS_ENDPOINT_URL")
    options: dict[str, Any] = {"endpoint_override": endpoint.split("://")[-1], "scheme": endpoint.split("://")[0]} if endpoint else {}
    files = fs.S3FileSystem(
        region=region,
        connect_timeout=_CONNECT_TIMEOUT_S,
        request_timeout=_REQUEST_TIMEOUT_S,
        # The loop above waits longer than the library would, and can say for how long.
        retry_strategy=fs.AwsStandardS3RetryStrategy(max_attempts=2),
        background_writes=False,
        **options,
    )
    return files, root


def _advice(text: str) -> str:
    if any(word in text for word in ("ACCESS_DENIED", "403", "INVALID_ACCESS_KEY_ID", "SIGNATURE")):
        return "check the credentials and the policy (roadsense cloud doctor)"
    if "NO_SUCH_BUCKET" in text or "does not exist" in text:
        return "check the address (roadsense cloud doctor)"
    return "check the network and the address"
