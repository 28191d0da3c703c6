"""Where everything in a run directory is, and how runs are found.

runs/<name>/<UTC stamp>-<spec hash 8>/
  spec.toml  spec.resolved.json  env.json  metrics.jsonl  tb/  log.txt
  checkpoints/  model/  samples/  traversals/  evaluation/  exports/
  DONE | FAILED | INTERRUPTED
"""

from __future__ import annotations

import datetime
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from aerepr import atomic
from aerepr.errors import RunDirectoryError
from aerepr.spec.run import RunSpec

State = Literal["done", "failed", "interrupted", "running"]
_MARKERS: dict[State, str] = {"done": "DONE", "failed": "FAILED", "interrupted": "INTERRUPTED"}


@dataclass(frozen=True)
class RunDirectory:
    """The paths of one run."""

    path: Path

    @property
    def spec_toml(self) -> Path:
        return self.path / "spec.toml"

    @property
    def spec_resolved(self) -> Path:
        return self.path / "spec.resolved.json"

    @property
    def env(self) -> Path:
        return self.path / "env.json"

    @property
    def metrics(self) -> Path:
        return self.path / "metrics.jsonl"

    @property
    def log(self) -> Path:
        return self.path / "log.txt"

    @property
    def checkpoints(self) -> Path:
        return self.path / "checkpoints"

    @property
    def bundle(self) -> Path:
        return self.path / "model"

    def product(self, kind: Literal["samples", "traversals", "reconstructions", "evaluation", "exports"]) -> Path:
        """Folder of one sort of product."""
        return self.path / kind

    @property
    def state(self) -> State:
        """What the marker says; a run without one is running, or was killed."""
        for state, marker in _MARKERS.items():
            if (self.path / marker).exists():
                return state
        return "running"

    def mark(self, state: State, text: str = "") -> None:
        """Set the marker and remove the others; `running` removes all."""
        if state in _MARKERS:
            atomic.write_text(self.path / _MARKERS[state], text + "\n" if text else "")
        for other, marker in _MARKERS.items():
            if other != state:
                (self.path / marker).unlink(missing_ok=True)


def create(runs: Path, spec: RunSpec, path: Path | None = None, overwrite: bool = False) -> RunDirectory:
    """A new run directory, empty but for its folder.

    Args:
        runs: folder of all runs. path: a folder of the user's choice instead of a stamped one.
        overwrite: remove what is there first.

    Raises:
        RunDirectoryError: it exists and holds something.
    """
    stamp = datetime.datetime.now(datetime.UTC).strftime("%Y%m%dT%H%M%SZ")
    target = path or runs / spec.name / f"{stamp}-{spec.hash()[:8]}"
    if target.exists() and (not target.is_dir() or any(target.iterdir())):
        if not overwrite:
            if _is_beginning(target):
                what = "a run was killed there before it began: replace it with --overwrite"
            else:
                what = "a run is already there: continue it with --resume, replace it with --overwrite"
            raise RunDirectoryError(f"{target}: {what}, or choose another place")
        if not is_run(target) and not _is_beginning(target):
            raise RunDirectoryError(
                f"{target}: not a run directory, so --overwrite leaves it alone: choose another place"
            )
        shutil.rmtree(target)
    try:
        target.mkdir(parents=True, exist_ok=True)
    except OSError as cause:
        raise RunDirectoryError(f"{target}: cannot be created: {cause.strerror}") from cause
    return RunDirectory(target)


def is_run(path: Path) -> bool:
    """Whether a folder is a run directory."""
    return (path / "spec.resolved.json").is_file()


def _is_beginning(path: Path) -> bool:
    """Whether a folder holds what `manifest.write` begins with and nothing else: the rest of a run that was killed there."""
    names = {item.name for item in path.iterdir() if atomic.MARK not in item.name} if path.is_dir() else set()
    return "env.json" in names and names <= {"env.json", "spec.toml"}


def find(runs: Path, asked: str | None = None) -> RunDirectory:
    """The run meant by a path, a run's name, or nothing (then the newest).

    Raises:
        RunDirectoryError: there is none.
    """
    if asked is not None and is_run(Path(asked)):
        return RunDirectory(Path(asked))
    found = listing(runs)
    if asked is not None:
        found = [run for run in found if asked in (run.path.parent.name, run.path.name)]
        if not found and Path(asked).exists():
            raise RunDirectoryError(f"{asked}: not a run directory: it has no spec.resolved.json")
    if not found:
        what = f'no run named "{asked}"' if asked is not None else "no runs"
        raise RunDirectoryError(f"{runs}: {what} here: give a run's path or name, or another folder with --runs")
    return found[-1]


def listing(runs: Path) -> list[RunDirectory]:
    """Every run below a folder, the newest last (by stamp, then by the time the spec was written)."""
    found = [RunDirectory(path.parent) for path in runs.glob("*/*/spec.resolved.json")]
    return sorted(found, key=lambda run: (run.path.name.split("-")[0], run.spec_resolved.stat().st_mtime_ns))


def unfinished(runs: Path, spec: RunSpec) -> RunDirectory | None:
    """The newest unfinished run of exactly this spec."""
    same = [run for run in listing(runs) if run.path.name.endswith(spec.hash()[:8]) and run.state != "done"]
    return same[-1] if same else None
