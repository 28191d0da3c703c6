"""Files and folders that are whole or absent: written aside, flushed to disk, then renamed.

A process killed at any moment leaves the old content or the new one under the final name, never a part of either. Of a folder
that replaces another there is a moment between two system calls in which neither has the name: the old one then lies aside.
What is left aside is named `.<random>.part.<name>`; the next writer of a folder of that name puts back what was replaced by
nothing, and removes the rest.
"""

from __future__ import annotations

import contextlib
import errno
import os
import secrets
import shutil
from collections.abc import Iterator
from pathlib import Path

from aerepr.errors import AereprError

MARK = ".part."

# A folder's name while it is replaced, inside one that is left aside.
_REPLACED = ".replaced"


@contextlib.contextmanager
def write_aside(path: Path) -> Iterator[Path]:
    """A path in the same folder, not yet there; the body makes the file, which is then renamed to `path`.

    Raises:
        AereprError: the disk is full or the folder cannot be written; `path` is then as it was.
    """
    with told(path):
        path.parent.mkdir(parents=True, exist_ok=True)
    # The name ends as the final one does: numpy and Pillow look at the suffix.
    aside = path.with_name(f".{secrets.token_hex(4)}{MARK}{path.name}")
    try:
        with told(path):
            yield aside
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
    with told(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        remove_leftovers(path)
        aside = _empty_folder(path)
    try:
        with told(path):
            yield aside
            for file in sorted(aside.rglob("*")):
                _flush(file)
            _flush(aside)
            _exchange(aside, path)
            _flush(path.parent)
    finally:
        shutil.rmtree(aside, ignore_errors=True)


def remove_leftovers(path: Path) -> None:
    """Remove what killed writers of `path` left aside, and put back what they were replacing; of all files in a folder, if
    its name is "*".
    """
    for left in path.parent.glob(f".*{MARK}{path.name}"):
        replaced, place = left / _REPLACED, left.with_name(left.name.partition(MARK)[2])
        if replaced.is_dir() and not place.exists():
            os.rename(replaced, place)
        if left.is_dir():
            shutil.rmtree(left, ignore_errors=True)
        else:
            left.unlink(missing_ok=True)


def _exchange(aside: Path, path: Path) -> None:
    if not path.exists():
        os.rename(aside, path)
        return
    # A folder cannot be renamed over a full one. The old one steps aside for the time of one system call.
    old = _empty_folder(path)
    try:
        os.rename(path, old / _REPLACED)
        os.rename(aside, path)
    except BaseException:
        # Ctrl-C can come between the two as an error can.
        if not path.exists():
            os.rename(old / _REPLACED, path)
        raise
    finally:
        # Not before one of the two is in its place.
        if path.exists():
            shutil.rmtree(old, ignore_errors=True)


def _empty_folder(path: Path) -> Path:
    folder = path.with_name(f".{secrets.token_hex(4)}{MARK}{path.name}")
    folder.mkdir()
    return folder


def _flush(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


@contextlib.contextmanager
def told(path: Path) -> Iterator[None]:
    """What a system's error of writing means for a user, who knows the file by its final name.

    Raises:
        AereprError: the disk is full or the file cannot be written.
    """
    try:
        yield
    except OSError as cause:
        if cause.errno in (errno.ENOSPC, errno.EDQUOT):
            raise AereprError(
                f"{path}: the disk is full; nothing was replaced. Free some space and try again"
            ) from cause
        if cause.errno in (errno.EACCES, errno.EPERM, errno.EROFS, errno.EFBIG):
            raise AereprError(f"{path}: cannot be written ({cause.strerror}); nothing was replaced") from cause
        raise
