"""Files and folders that are whole or absent: written aside, flushed to disk, then renamed.

A process killed at any moment leaves the old content or the new one under the final name, never a part of either. What
is left aside is named `.<name>.<random>.part`, and the next writer of the same name removes it.
"""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

from aerepr.errors import AereprError

SUFFIX = ".part"


@contextlib.contextmanager
def write_aside(path: Path) -> Iterator[Path]:
    """A temporary path in the same folder; renamed to `path` on success, removed on failure.

    Raises:
        AereprError: the disk is full or the folder cannot be written; `path` is then as it was.
    """
    with _told(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(prefix=f".{path.name}.", suffix=SUFFIX, dir=path.parent)
        os.close(handle)
    aside = Path(name)
    try:
        with _told(path):
            yield aside
            # mkstemp makes files private; a run directory is to be as readable as anything else the user makes.
            aside.chmod(0o666 & ~_umask())
            _flush(aside)
            os.replace(aside, path)
            _flush(path.parent)
    finally:
        aside.unlink(missing_ok=True)


def write_text(path: Path, text: str) -> None:
    """Replace a text file as a whole."""
    with write_aside(path) as aside:
        aside.write_text(text, encoding="utf-8")


@contextlib.contextmanager
def folder_aside(path: Path) -> Iterator[Path]:
    """A temporary folder beside `path`; takes its place on success, removed on failure.

    Raises:
        AereprError: the disk is full or the folder cannot be written; `path` is then as it was.
    """
    with _told(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        remove_leftovers(path)
        aside = Path(tempfile.mkdtemp(prefix=f".{path.name}.", suffix=SUFFIX, dir=path.parent))
    try:
        with _told(path):
            yield aside
            aside.chmod(0o777 & ~_umask())
            for file in sorted(aside.rglob("*")):
                _flush(file)
            _flush(aside)
            _exchange(aside, path)
            _flush(path.parent)
    finally:
        shutil.rmtree(aside, ignore_errors=True)


def remove_leftovers(path: Path) -> None:
    """Remove what killed writers of `path` left aside."""
    for left in path.parent.glob(f".{path.name}.*{SUFFIX}"):
        if left.is_dir():
            shutil.rmtree(left, ignore_errors=True)
        else:
            left.unlink(missing_ok=True)


def _exchange(aside: Path, path: Path) -> None:
    if not path.exists():
        os.rename(aside, path)
        return
    # A folder cannot be renamed over a full one. The old one steps aside for the time of one system call.
    old = Path(tempfile.mkdtemp(prefix=f".{path.name}.", suffix=SUFFIX, dir=path.parent))
    os.rename(path, old / "old")
    try:
        os.rename(aside, path)
    except OSError:
        os.rename(old / "old", path)
        raise
    shutil.rmtree(old, ignore_errors=True)


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def _flush(path: Path) -> None:
    flag = os.O_RDONLY
    handle = os.open(path, flag)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


@contextlib.contextmanager
def _told(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as cause:
        if cause.errno in (errno.ENOSPC, errno.EDQUOT):
            raise AereprError(
                f"{path}: the disk is full; nothing was replaced. Free some space and try again"
            ) from cause
        if cause.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
            raise AereprError(f"{path}: cannot be written ({cause.strerror}); nothing was replaced") from cause
        raise
