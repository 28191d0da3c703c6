"""A study as it stands: one record for each planned run, finished or not."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from aerepr.errors import RunDirectoryError
from aerepr.rundir.layout import RunDirectory
from aerepr.study.folder import StudyFolder, is_locked

State = Literal["done", "failed", "interrupted", "running", "missing"]


@dataclass(frozen=True)
class Record:
    """One run of a study, as it stands on disk.

    Attributes:
        levels: axis to level, as text, in the order of the axes. hash: of its spec; the first 8 digits are in the name of
            the run's folder. state: done is trained and evaluated as asked. error: why it failed, one line, else "".
        metrics: flat keys, such as "mig.score" or "held-out/reconstruction.mse". protocols: how its numbers came about,
            by metric label. refused: why a metric is not defined on this run, by label. absent: why one that is has no
            such number of it, by key; whoever knows the metrics adds it.
    """

    levels: dict[str, str]
    hash: str
    state: State
    run: Path | None
    error: str
    metrics: dict[str, float]
    protocols: dict[str, str]
    refused: dict[str, str]
    absent: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Study:
    """Attributes: axes: their levels as text, in the order of the study file. records: of every planned run, in order."""

    name: str
    axes: dict[str, list[str]]
    records: list[Record]


def records(folder: Path) -> Study:
    """Read a study from its folder alone: its plan and its runs.

    Raises:
        RunDirectoryError: a file of it cannot be read.
    """
    study = StudyFolder(folder)
    plan, failures, at_work = study.read_plan(), study.read_failures(), is_locked(study)
    try:
        asked = {str(item.get("id", "")): item["asked"] for item in plan["evaluate"]}
        found = [_record(study, run["hash"], run["levels"], asked, failures, at_work) for run in plan["runs"]]
        return Study(plan["name"], plan["axes"], found)
    except (KeyError, TypeError, AttributeError) as cause:
        raise RunDirectoryError(
            f"{study.plan}: damaged: run the study again to have it replaced ({cause!r})"
        ) from cause


def unevaluated(study: StudyFolder, run: RunDirectory, hash_: str, asked: Mapping[str, Any]) -> list[str]:
    """Ids of the tables that a run has yet to be evaluated by; another one of that id counts as none."""
    kept = study.evaluation(run)
    return [
        id_
        for id_, table in asked.items()
        if kept.get(id_, {}).get("asked") != table or kept[id_].get("spec_hash") != hash_
    ]


def _record(
    study: StudyFolder,
    hash_: str,
    levels: dict[str, str],
    asked: Mapping[str, Any],
    failures: Mapping[str, Mapping[str, Any]],
    at_work: bool,
) -> Record:
    run, failure = study.run(hash_), failures.get(hash_)
    trained = run is not None and run.state == "done"
    missing = asked if run is None or not trained else unevaluated(study, run, hash_, asked)
    failure = failures.get(hash_)
    if failure is not None and _is_past(failure, run, asked):
        failure = None
    state, error = _state(run, trained and not missing, failure, at_work)
    metrics: dict[str, float] = {}
    protocols: dict[str, str] = {}
    refused: dict[str, str] = {}
    for id_, table in (study.evaluation(run) if run is not None and trained else {}).items():
        if id_ in asked and id_ not in missing:
            prefix = f"{id_}/" if id_ else ""
            # JSON has no infinity, so one is kept as text.
            metrics |= {f"{prefix}{key}": float(value) for key, value in table["metrics"].items()}
            protocols |= {f"{prefix}{key}": str(text) for key, text in table["protocols"].items()}
            refused |= {f"{prefix}{key}": str(text) for key, text in table["refused"].items()}
    return Record(levels, hash_, state, run.path if run is not None else None, error, metrics, protocols, refused)


def _is_past(failure: Mapping[str, Any], run: RunDirectory | None, asked: Mapping[str, Any]) -> bool:
    """Whether a failure is none of what is there now: of a run that was removed, or went on, or is asked something else."""
    if failure["run"] != (run.path.name if run is not None else ""):
        return True
    if failure["stage"] == "train":
        return run is not None and run.state == "done"
    return any(asked.get(id_) != table for id_, table in failure["asked"].items())


def _state(run: RunDirectory | None, done: bool, failure: Mapping[str, Any] | None, at_work: bool) -> tuple[State, str]:
    """How a run stands, and why it failed."""
    if done:
        return "done", ""
    if failure is not None:
        return "failed", failure["error"]
    if run is None:
        return "missing", ""
    if run.state == "failed":
        return "failed", " ".join((run.path / "FAILED").read_text(encoding="utf-8").split()) or "no reason is kept"
    if run.state == "interrupted" or not at_work:
        return "interrupted", ""
    return "running", ""
