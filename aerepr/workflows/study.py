"""`aerepr study`: many runs as one."""

from __future__ import annotations

import os
import sys
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch

from aerepr.errors import Interrupted
from aerepr.study.adopt import adopt
from aerepr.study.drive import Driver, Job, Onlooker, Quiet
from aerepr.study.folder import StudyFolder, find, locked
from aerepr.study.plan import Plan, PlannedRun, read_plan
from aerepr.study.record import Record, records, unevaluated
from aerepr.training.signals import Signals
from aerepr.workflows.branch import is_beginning

__all__ = ["find", "run", "standing"]

# -P: a file in the current folder must not pass for a module of that name.
WORKER = (sys.executable, "-P", "-m", "aerepr.workflows.study_worker")


def run(
    study: str | Path,
    *,
    runs: str | Path = "runs",
    jobs: int | None = None,
    retry_failed: bool = False,
    onlooker: Onlooker | None = None,
    worker: Sequence[str] = WORKER,
) -> dict[str, Any]:
    """`aerepr study run`: train and evaluate every run of a study that is not done yet.

    Args:
        study: a TOML file. runs: folder of all runs; those of the study go to `runs/<name>`.
        jobs: runs at a time; None: one, or one on each GPU where there are several.
        retry_failed: work on failed runs again, from their last checkpoint, and compute metrics again that were refused on
            runs that are done: what they lacked, such as a file, may be there by now.
        onlooker: is told how it goes on. worker: starts the process of a run.

    Returns:
        As `standing`.

    Raises:
        SpecError: the study file is wrong; lists every problem. UsageError: it has changed, and lacks runs there are.
        RunDirectoryError: another driver is at work. Interrupted: a signal came; everything is saved.
    """
    plan = read_plan(Path(study))
    folder = StudyFolder(Path(runs) / plan.name)
    onlooker = onlooker or Quiet()
    with locked(folder) as lock, Signals() as signals:
        adopt(folder, plan)
        before = records(folder.path).records
        wanted = [place for place, record in enumerate(before) if _is_wanted(record, retry_failed)]
        todo = [_job(plan, folder, Path(runs), place, retry_failed) for place in wanted]
        states = Counter(record.state for place, record in enumerate(before) if place not in wanted)
        onlooker.begin(plan.name, len(before), states["done"], states["failed"])
        gpus = _gpus() if any(job.on_gpu for job in todo) else []
        slots = _slots(jobs or max(1, len(gpus)), gpus)
        signalled = Driver(folder, lock, worker, slots, onlooker, lambda: signals.caught).work(todo)
    answer = standing(folder.path)
    if signalled is not None:
        done = f"{answer['states']['done']} of {len(answer['runs'])} runs are done"
        raise Interrupted(signalled, f"{folder.path}: interrupted, saved; {done}; the same command goes on")
    return answer


def standing(folder: Path) -> dict[str, Any]:
    """How a study stands: `study` (its name), `folder`, `states` (how many runs are in each), `runs`, of each: `levels`,
    `hash`, `state`, `run` (its directory) and `error`.

    Raises:
        RunDirectoryError: a file of it cannot be read.
    """
    study = records(folder)
    states = {"done": 0, "failed": 0, "interrupted": 0, "running": 0, "missing": 0}
    states |= Counter(record.state for record in study.records)
    return {"study": study.name, "folder": str(folder), "states": states, "runs": [*map(_told, study.records)]}


def _told(record: Record) -> dict[str, Any]:
    numbers = ("metrics", "protocols", "refused", "absent")
    told = {key: value for key, value in asdict(record).items() if key not in numbers}
    return told | {"run": str(record.run) if record.run is not None else None}


def _beginning(plan: Plan, planned: PlannedRun) -> str | None:
    """The hash of the longest run that another one begins with, which need not be trained twice."""
    found = [run for run in plan.runs if is_beginning(run.spec, planned.spec)]
    return max(found, key=lambda run: run.spec.train.total_steps).hash if found else None


def _is_wanted(record: Record, retry_failed: bool) -> bool:
    """Whether there is work to do on a run."""
    if record.state == "done":
        return retry_failed and bool(record.refused)
    return record.state != "failed" or retry_failed


def _job(plan: Plan, folder: StudyFolder, runs: Path, place: int, retry_failed: bool = False) -> Job:
    planned = plan.runs[place]
    asked = {item.id or "": item.asked() for item in plan.evaluate}
    found = folder.run(planned.hash)
    trained = found is not None and found.state == "done"
    wanted, refused = list(asked), {}
    if found is not None and trained:
        wanted, kept = unevaluated(folder, found, planned.hash, asked), folder.evaluation(found)
        if retry_failed:
            refused = {id_: list(kept[id_]["refused"]) for id_ in asked if id_ not in wanted and kept[id_]["refused"]}
    order = {
        "spec": planned.spec.tables(),
        "folder": str(plan.folder),
        "runs": str(runs),
        "run": str(found.path) if found is not None else None,
        "trained": trained,
        "evaluate": {id_: asked[id_] for id_ in [*wanted, *refused]},
        "refused": refused,  # of these tables, only these metrics
    }
    # A run that is there already goes on from where it is.
    beginning = _beginning(plan, planned) if found is None else None
    return Job(planned, order, planned.spec.train.device in ("auto", "cuda"), beginning)


def _gpus() -> list[str]:
    """What `CUDA_VISIBLE_DEVICES` calls each GPU, where there are several."""
    count = torch.cuda.device_count()
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    names = visible.split(",") if visible else [str(number) for number in range(count)]
    return names[:count] if count > 1 else []


def _slots(jobs: int, gpus: Sequence[str]) -> list[dict[str, str]]:
    """What the environment of each process that may run at a time has beside this one's."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    shared = {} if "OMP_NUM_THREADS" in os.environ else {"OMP_NUM_THREADS": str(max(1, cores // jobs))}
    return [shared | ({"CUDA_VISIBLE_DEVICES": gpus[slot % len(gpus)]} if gpus else {}) for slot in range(jobs)]
