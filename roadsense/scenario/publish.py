"""Putting a finished dataset in its place, whole or not at all."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from roadsense.errors import DatasetError
from roadsense.scenario.dataset import read_manifest
from roadsense.scenario.manifest import MANIFEST_FILE


@contextmanager
def staging_folder(parent: Path) -> Iterator[Path]:
    """An empty folder in `parent` (made if needed) that is gone afterwards, whatever happens, unless it was published."""
    staged = parent / f".generating-{os.getpid()}"
    try:
        parent.mkdir(parents=True, exist_ok=True)
        shutil.rmtree(staged, ignore_errors=True)  # of an earlier process with this id that was killed
        staged.mkdir()
    except OSError as problem:
        raise DatasetError(f"{parent}: cannot be written ({problem.strerror}); choose another output folder") from None
    try:
        yield staged
    finally:
        shutil.rmtree(staged, ignore_errors=True)


def publish(staged: Path, target: Path, *, force: bool) -> bool:
    """Move a finished dataset to `target`; False when the same dataset is already there and nothing was done.

    Raises:
        DatasetError: something else is there, and `force` is not given or what is there is no dataset.
    """
    try:
        return _publish(staged, target, force=force)
    except OSError as problem:
        raise DatasetError(f"{target}: cannot be written ({problem.strerror}); choose another output folder") from None


def _publish(staged: Path, target: Path, *, force: bool) -> bool:
    if not os.path.lexists(target) or (target.is_dir() and not any(target.iterdir())):
        staged.replace(target)
        return True
    if not target.is_dir() or not _is_dataset(target):
        raise DatasetError(f"{target}: exists and holds no dataset; choose another output folder, or remove it yourself")
    if _same_content(staged, target):
        return False
    if not force:
        raise DatasetError(f"{target}: holds another dataset; choose another output folder, or replace it with --force")
    retired = staged.with_name(f"{staged.name}-old")
    target.replace(retired)
    try:
        staged.replace(target)
    except BaseException:
        retired.replace(target)
        raise
    shutil.rmtree(retired)
    return True


def _is_dataset(folder: Path) -> bool:
    try:
        read_manifest(folder)
    except DatasetError:
        return False
    return True


def _same_content(staged: Path, target: Path) -> bool:
    """True when nothing differs but where the datasets were made (commit, image)."""
    if read_manifest(staged).content_digest() != read_manifest(target).content_digest():
        return False
    names = _files(staged)
    return names == _files(target) and all(
        (staged / name).read_bytes() == (target / name).read_bytes() for name in names if name != Path(MANIFEST_FILE)
    )


def _files(folder: Path) -> set[Path]:
    return {path.relative_to(folder) for path in folder.rglob("*") if path.is_file()}
