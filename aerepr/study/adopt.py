"""A plan takes its place in the study's folder, unless that holds runs which it no longer has."""

from __future__ import annotations

import contextlib
import json
import tomllib
from collections.abc import Iterator, Mapping
from typing import Any

from aerepr import atomic
from aerepr.errors import RunDirectoryError, UsageError
from aerepr.study.folder import StudyFolder
from aerepr.study.plan import Plan, label


def adopt(study: StudyFolder, plan: Plan) -> None:
    """Write the plan and the study file, and clear up after processes that were killed.

    Raises:
        UsageError: there are runs of an earlier study file that this one has not; says what changed.
    """
    planned = {run.hash for run in plan.runs}
    before: dict[str, Any] = {"runs": []}
    with contextlib.suppress(RunDirectoryError):  # none yet, or damaged
        before = study.read_plan()
    orphans = [run for run in before["runs"] if run["hash"] not in planned and study.run(run["hash"]) is not None]
    if orphans:
        raise UsageError(_changed(study, plan, orphans))
    evaluate = [{"id": item.id or "", "asked": item.asked()} for item in plan.evaluate]
    runs = [{"hash": run.hash, "levels": run.levels} for run in plan.runs]
    tables = {"name": plan.name, "folder": str(plan.folder), "axes": plan.axes, "evaluate": evaluate, "runs": runs}
    atomic.write_text(study.file, plan.text)
    atomic.write_text(study.plan, json.dumps(tables, indent=2) + "\n")
    for path in (study.file, study.plan, study.failures):
        atomic.remove_leftovers(path)
    for run in plan.runs:
        study.tidy(run.hash)
        found = study.run(run.hash)
        if found is not None and found.state == "running":
            found.mark("interrupted", "its process was killed")


def _changed(study: StudyFolder, plan: Plan, orphans: list[Mapping[str, Any]]) -> str:
    try:
        before = tomllib.loads(study.file.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        before = {}
    after = tomllib.loads(plan.text)
    keys = ("spec", "axes")
    changes = list(_differences({key: before.get(key) for key in keys}, {key: after[key] for key in keys}))
    lines = changes or ["no key differs: a recipe or a default does, as in another version of aerepr"]
    return "\n".join(
        [
            f"{study.path}: holds {len(orphans)} runs that the study no longer has, such as {label(orphans[0]['levels'])}:",
            *(f"  {line}" for line in lines),
            "axes and levels can be added; for anything else give the study another name, or remove that folder",
        ]
    )


def _differences(before: Any, after: Any, path: str = "") -> Iterator[str]:
    """Every key that is not the same, as "path: there, here"."""
    if isinstance(before, Mapping) and isinstance(after, Mapping):
        for key in dict.fromkeys([*before, *after]):
            inner = f"{path}.{key}" if path else key
            yield from _differences(before.get(key), after.get(key), inner)
    elif before != after:
        there, here = ("absent" if value is None else json.dumps(value, default=str) for value in (before, after))
        yield f"{path}: {there} there, {here} here"
