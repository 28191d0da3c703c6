"""The folder of a study, which is that of its runs, and the lock that keeps a second driver out of it.

runs/<name>/
  study.toml  plan.json  failures.json     the study file; its runs by hash, their levels; why runs failed
  logs/<hash 8>.txt                        what a failed run's process said last
  .lock                                    held by the driver and by every process it started
  <UTC stamp>-<spec hash 8>/               the runs, run directories like any other
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import time
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from aerepr import atomic
from aerepr.errors import RunDirectoryError, UsageError
from aerepr.rundir import layout
from aerepr.rundir.layout import RunDirectory
from aerepr.rundir.objects import read_object

# How long a process whose driver was killed may take to write its checkpoint, and how long a new driver waits for it.
GRACE_S = 20.0

# What a run directory may hold before it is one, that is before its spec is written; nothing of it is worth keeping.
_BEGINNINGS = {"spec.toml", "env.json"}


@dataclass(frozen=True)
class StudyFolder:
    """The paths of one study."""

    path: Path

    @property
    def file(self) -> Path:
        return self.path / "study.toml"

    @property
    def plan(self) -> Path:
        return self.path / "plan.json"

    @property
    def failures(self) -> Path:
        return self.path / "failures.json"

    @property
    def lock(self) -> Path:
        return self.path / ".lock"

    def log(self, hash_: str) -> Path:
        """What the process of a failed run said last."""
        return self.path / "logs" / f"{hash_[:8]}.txt"

    def read_plan(self) -> dict[str, Any]:
        """What is planned: `axes`, `runs` (each `hash` and `levels`), `evaluate`.

        Raises:
            RunDirectoryError: there is no plan, or it cannot be read.
        """
        return read_object(self.plan)

    def read_failures(self) -> dict[str, dict[str, Any]]:
        """By hash: `error`, `stage` (train or evaluate), `run` (its folder's name, or "") and `asked` (tables by id).

        Raises:
            RunDirectoryError: the file cannot be read.
        """
        return read_object(self.failures) if self.failures.exists() else {}

    def write_failures(self, failures: Mapping[str, Mapping[str, Any]]) -> None:
        """Replace them."""
        if failures or self.failures.exists():
            atomic.write_text(self.failures, json.dumps(failures, indent=2) + "\n")

    def run(self, hash_: str) -> RunDirectory | None:
        """The run of a spec: one that is done, else the newest."""
        found = [RunDirectory(path) for path in sorted(self.path.glob(f"*-{hash_[:8]}")) if layout.is_run(path)]
        # A run that was continued to more steps keeps the name of its folder, and is another spec's by now.
        done = [run for run in found if run.state == "done" and _trained(run) == hash_]
        unfinished = [run for run in found if run.state != "done"]
        return next(iter([*reversed(done), *reversed(unfinished)]), None)

    def evaluation(self, run: RunDirectory) -> dict[str, dict[str, Any]]:
        """What a run was evaluated to for its study, by the table's id ("" for none); as `write_evaluation` has it."""
        try:
            return read_object(run.product("evaluation") / "study.json")
        except RunDirectoryError:
            return {}  # none, or damaged: it is computed again

    def write_evaluation(self, run: RunDirectory, tables: Mapping[str, Mapping[str, Any]]) -> None:
        """By the table's id: `asked`, `spec_hash`, `metrics` (key to number), `protocols` and `refused` (by metric)."""
        atomic.write_text(run.product("evaluation") / "study.json", json.dumps(tables, indent=2) + "\n")

    def tidy(self, hash_: str) -> None:
        """Remove what a process left that was killed before its run directory was one."""
        for path in self.path.glob(f"*-{hash_[:8]}"):
            files = list(path.iterdir()) if path.is_dir() else []
            if path.is_dir() and all(file.name in _BEGINNINGS or atomic.MARK in file.name for file in files):
                for file in files:
                    file.unlink()
                path.rmdir()


def find(runs: Path, asked: str | None = None) -> StudyFolder:
    """The study meant by its folder, its name, its TOML file, or nothing (then the newest).

    Raises:
        UsageError: there is none.
    """
    if asked is None:
        found = sorted(runs.glob("*/plan.json"), key=lambda path: path.stat().st_mtime_ns)
        if not found:
            raise UsageError(f"{runs}: no study here: start one with aerepr study run STUDY.toml, or pass --runs DIR")
        return StudyFolder(found[-1].parent)
    name = asked
    if Path(asked).is_file():
        try:
            name = str(tomllib.loads(Path(asked).read_text(encoding="utf-8"))["name"])
        except (OSError, ValueError, KeyError) as cause:
            raise UsageError(f"{asked}: no study file: expected TOML with a name") from cause
    for path in (Path(name), runs / name):
        if (path / "plan.json").is_file():
            return StudyFolder(path)
    raise UsageError(
        f'{runs}: no study "{name}" here: give its folder, its name or its TOML file, or another folder with --runs'
    )


@contextlib.contextmanager
def locked(folder: StudyFolder) -> Iterator[int]:
    """Keep every other driver out; gives the file descriptor that processes of the study inherit.

    The lock lasts until the last of them has ended, so a driver never meets a run that another driver's process is still
    writing. It belongs to open files and not to a file's being there: a killed driver leaves none.

    Raises:
        RunDirectoryError: another driver is at work.
    """
    try:
        folder.path.mkdir(parents=True, exist_ok=True)
    except OSError as cause:
        raise RunDirectoryError(f"{folder.path}: cannot be created: {cause.strerror}") from cause
    handle = os.open(folder.lock, os.O_RDWR | os.O_CREAT, 0o644)
    try:
        _acquire(folder, handle)
        try:
            os.ftruncate(handle, 0)
            os.pwrite(handle, f"{os.getpid()}\n".encode(), 0)
            yield handle
        finally:
            os.ftruncate(handle, 0)
    finally:
        os.close(handle)


def is_locked(folder: StudyFolder) -> bool:
    """Whether a driver, or a process it started, is at work."""
    try:
        handle = os.open(folder.lock, os.O_RDONLY)
    except OSError:
        return False
    try:
        fcntl.flock(handle, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    else:
        return False
    finally:
        os.close(handle)


def _acquire(folder: StudyFolder, handle: int) -> None:
    until = time.monotonic() + GRACE_S + 10
    while True:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return
        except BlockingIOError:
            driver = os.pread(handle, 32, 0).decode(errors="replace").strip()
            # Without a driver it is held by processes of one that was killed, which are about to end.
            if _lives(driver) or time.monotonic() > until:
                who = f"process {driver}" if driver else "a process of an earlier one"
                raise RunDirectoryError(
                    f"{folder.path}: another `aerepr study run` is at work on this study ({who}): wait for it, or stop it"
                ) from None
            time.sleep(0.1)


def _lives(process: str) -> bool:
    try:
        os.kill(int(process), 0)
    except (ValueError, ProcessLookupError):
        return False
    except PermissionError:
        return True
    return True


def _trained(run: RunDirectory) -> str | None:
    """The hash of the spec whose weights a finished run holds."""
    try:
        return str(json.loads((run.bundle / "card.json").read_text(encoding="utf-8"))["spec_hash"])
    except (OSError, ValueError, KeyError, TypeError):
        return None
