"""Runs that a script can be killed in the middle of: what is done stays, what was begun goes on."""

from __future__ import annotations

from pathlib import Path

import aerepr
from aerepr.cli.progress import Lines
from aerepr.rundir import layout, manifest
from aerepr.rundir.layout import RunDirectory
from aerepr.spec.run import RunSpec


def finish(spec: RunSpec, run: Path, branch: Path | None = None) -> Path:
    """Train a spec into a folder, go on with what is there, or leave it if it is done."""
    if not layout.is_run(run):
        return aerepr.train(spec, run=run, branch=branch, watcher=Lines())
    found = RunDirectory(run)
    if manifest.read_spec(found).hash() != spec.hash():
        raise SystemExit(f"{run}: a run with other settings is there: remove it, or choose another --out")
    if found.state != "done":
        aerepr.train(run=run, resume=True, watcher=Lines())
    return run
