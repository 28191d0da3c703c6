"""`aerepr runs`: what stands in run directories, read from their files alone; no torch, no plugin, no data."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from aerepr.errors import RunDirectoryError, UsageError
from aerepr.rundir import layout
from aerepr.rundir.layout import RunDirectory
from aerepr.rundir.objects import read_object
from aerepr.spec.write import to_toml
from aerepr.training import record


@dataclass(frozen=True)
class RunRow:
    """One run in a list. `losses`: the last total loss by kind of record (train, valid), as far as there is one."""

    name: str
    stamp: str
    path: str
    state: str
    step: int
    steps: int | None
    losses: dict[str, float]
    problem: str = ""


@dataclass(frozen=True)
class RunDetails:
    """All that a run's files say. `files`: bytes of every file, by path inside the run."""

    row: RunRow
    spec: dict[str, Any]
    env: dict[str, Any]
    last: dict[str, dict[str, Any]]
    files: dict[str, int]


def listing(runs: Path) -> list[RunRow]:
    """Every run below a folder, the newest last; a damaged one is listed with its problem."""
    return [_row(run) for run in layout.listing(runs)]


def details(runs: Path, asked: str | None = None) -> RunDetails:
    """One run: by path, by name, or the newest.

    Raises:
        RunDirectoryError: there is none, or its spec cannot be read.
    """
    run = layout.find(runs, asked)
    return RunDetails(_row(run), read_object(run.spec_resolved), read_object(run.env), _last(run), _files(run.path))


def compare(runs: Path, asked: list[str]) -> dict[str, Any]:
    """Runs side by side.

    Returns:
        `runs`: their paths; `spec`: every key whose value differs, and `numbers`: the last record's values by
        "kind/name", each a list with one value a run, None where a run lacks it.

    Raises:
        UsageError: fewer than two runs are named. RunDirectoryError: one is not there.
    """
    if len(asked) < 2:
        raise UsageError(f"runs compare needs two runs or more, got {len(asked)}: see `aerepr runs list`")
    found = [layout.find(runs, name) for name in asked]
    specs = [flat(read_object(run.spec_resolved)) for run in found]
    numbers = [
        {
            f"{kind}/{key}": value
            for kind, values in _last(run).items()
            for key, value in values.items()
            if key != "kind"
        }
        for run in found
    ]
    keys = _ordered_union(specs)
    return {
        "runs": [str(run.path) for run in found],
        "spec": {
            key: [spec.get(key) for spec in specs]
            for key in keys
            if any(spec.get(key) != specs[0].get(key) for spec in specs)
        },
        "numbers": {key: [values.get(key) for values in numbers] for key in _ordered_union(numbers)},
    }


def one(runs: Path, asked: str) -> RunDirectory:
    """The run meant, if that is beyond doubt.

    Raises:
        RunDirectoryError: there is none. UsageError: several runs have that name.
    """
    run = layout.find(runs, asked)
    if not layout.is_run(Path(asked)):
        same = [other for other in layout.listing(runs) if asked in (other.path.parent.name, other.path.name)]
        if len(same) > 1:
            listed = "\n".join(f"  {other.path}" for other in same)
            raise UsageError(f'"{asked}" is the name of {len(same)} runs: give the path of one:\n{listed}')
    return run


def remove(run: RunDirectory) -> None:
    """Delete a run directory with everything in it.

    Raises:
        RunDirectoryError: it is not a run directory, or cannot be deleted.
    """
    if not layout.is_run(run.path) or run.path.is_symlink():
        raise RunDirectoryError(f"{run.path}: not a run directory, so it is left alone")
    # What makes it a run goes first: a removal that is cut short leaves no run that looks whole.
    try:
        run.spec_resolved.unlink()
        shutil.rmtree(run.path)
    except OSError as cause:
        raise RunDirectoryError(f"{run.path}: cannot be deleted: {cause}") from cause


def newest_unfinished(runs: Path) -> Path:
    """The newest run that is not done.

    Raises:
        UsageError: there is none.
    """
    found = [run for run in layout.listing(runs) if run.state != "done"]
    if not found:
        raise UsageError(f"{runs}: no unfinished run to resume: name a run, or start one with aerepr train SPEC")
    return found[-1].path


def toml(spec: dict[str, Any]) -> str:
    """A resolved spec as TOML."""
    return to_toml(spec)


def run_or_data(first: str | None, second: str | None) -> tuple[str | None, str | None]:
    """Run and data from `[RUN] [DATA]`: one alone is the data if it is a file, or a folder that is no run."""
    if first is None or second is not None:
        return first, second
    path = Path(first)
    return (None, first) if path.exists() and not layout.is_run(path) else (first, None)


def _row(run: RunDirectory) -> RunRow:
    name, problem, steps, last = run.path.parent.name, "", None, {}
    try:
        spec = read_object(run.spec_resolved)
        name, train = str(spec["name"]), spec["train"]
        steps = train.get("steps") or sum(phase["steps"] for phase in train.get("phases", []))
        last = _last(run)
    except (RunDirectoryError, KeyError, TypeError, AttributeError) as cause:
        problem = str(cause) if isinstance(cause, RunDirectoryError) else f"{run.spec_resolved}: not a spec"
    return RunRow(
        name=name,
        stamp=run.path.name,
        path=str(run.path),
        state=run.state,
        step=max((values["step"] for values in last.values()), default=0),
        steps=steps,
        losses={kind: values["loss/total"] for kind, values in last.items() if "loss/total" in values},
        problem=problem,
    )


def _last(run: RunDirectory) -> dict[str, dict[str, Any]]:
    """The last record of each kind."""
    try:
        return {str(found["kind"]): found for found in record.read(run.metrics)}
    except (OSError, UnicodeDecodeError, KeyError, TypeError) as cause:
        raise RunDirectoryError(f"{run.metrics}: cannot be read: {cause}") from cause


def _files(folder: Path) -> dict[str, int]:
    files = [path for path in sorted(folder.rglob("*")) if path.is_file()]
    return {path.relative_to(folder).as_posix(): path.stat().st_size for path in files}


def flat(value: Any, prefix: str = "") -> dict[str, Any]:
    """Tables as dotted keys; items of a list by id, as `--set` addresses them, or else by position."""
    if isinstance(value, dict) and value:
        items = [(str(key), item) for key, item in value.items()]
    elif isinstance(value, list) and value and all(isinstance(item, dict) for item in value):
        items = [(str(item.get("id", position)), item) for position, item in enumerate(value)]
    else:
        return {prefix: value}
    found: dict[str, Any] = {}
    for key, item in items:
        found |= flat(item, f"{prefix}.{key}" if prefix else key)
    return found


def _ordered_union(tables: list[dict[str, Any]]) -> list[str]:
    return list(dict.fromkeys(key for table in tables for key in table))
