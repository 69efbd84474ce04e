"""Files that are either complete or absent."""

from __future__ import annotations

import hashlib
import json
import os
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from roadsense.errors import RunDirectoryError


@contextmanager
def atomic_path(path: Path) -> Iterator[Path]:
    """A temporary sibling to write to; it takes the place of `path` only when the block succeeds.

    Raises:
        RunDirectoryError: the folder cannot be written to.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    except OSError as problem:
        raise RunDirectoryError(f"{path}: cannot be written ({problem.strerror}); check permissions and free space") from None
    os.close(handle)
    temporary = Path(name)
    try:
        yield temporary
        # mkstemp makes files private; a run directory is meant to be shared like any other output.
        umask = os.umask(0)
        os.umask(umask)
        temporary.chmod(0o666 & ~umask)
        temporary.replace(path)
    except OSError as problem:
        raise RunDirectoryError(f"{path}: cannot be written ({problem.strerror}); check permissions and free space") from None
    finally:
        with suppress(FileNotFoundError):
            temporary.unlink()


def check_writable(path: Path) -> None:
    """Refuse a file that could not be written, before the work that it is to hold; nothing is made.

    Raises:
        RunDirectoryError: the path is a directory, or the nearest folder that exists is none, or is not ours to write to.
    """
    if path.is_dir():
        raise RunDirectoryError(f"{path}: cannot be written (is a directory); name a file")
    folder = next(parent for parent in path.absolute().parents if parent.exists())
    if not folder.is_dir() or not os.access(folder, os.W_OK):
        raise RunDirectoryError(f"{path}: cannot be written ({folder} is no folder that can be written to); check path and permissions")


def write_json(path: Path, content: Mapping[str, Any]) -> None:
    """Write an object as indented JSON, atomically.

    Raises:
        RunDirectoryError: the file cannot be written. ValueError: the content holds NaN or infinity, which JSON does not know.
    """
    text = json.dumps(content, indent=2, allow_nan=False) + "\n"
    with atomic_path(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def sha256_of(path: Path) -> str:
    """SHA-256 of a file's bytes, as hexadecimal digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
