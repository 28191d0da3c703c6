"""`aerepr train SPEC --branch RUN`: start from a checkpoint that another run left and this spec's own run would have had.

Training is a function of the spec, so the state after s updates is shared by all specs that agree on everything that
happened until then, whatever they say of later steps: the arms of a study need their first phase trained once.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from aerepr.errors import CheckpointError, Problem, RunDirectoryError, SpecError
from aerepr.registry.registry import Registry
from aerepr.rundir import checkpoint, layout, manifest
from aerepr.rundir.checkpoint import Checkpoint
from aerepr.rundir.layout import RunDirectory
from aerepr.spec.base import without_folders
from aerepr.spec.run import RunSpec
from aerepr.spec.training import PhaseSpec
from aerepr.training import record, schedules
from aerepr.workflows.runs import flat

# What has no part in the state that training is in: names, products, and how often something is said or saved.
_NO_HISTORY = ("name", "sampler", "evaluation", "loggers")
_NO_HISTORY_OF = {
    "data": ("gallery",),
    "model": ("recipe",),
    "train": ("device", "log_every", "validate_every", "checkpoint_every", "steps", "phases", "schedules"),
}

Differences = dict[str, tuple[Any, Any]]


@dataclass(frozen=True)
class Branch:
    """A checkpoint of another run to start from. `passed_over`: what was wrong with newer ones that also fit."""

    run: RunDirectory
    spec_hash: str
    checkpoint: Checkpoint
    passed_over: list[str]

    def record(self) -> dict[str, Any]:
        """What env.json says of it."""
        return {"run": str(self.run.path), "step": self.checkpoint.step, "spec_hash": self.spec_hash}

    def copy_into(self, target: RunDirectory) -> None:
        """Give a new run the checkpoint and the records until then, as if it had made them.

        The other run may have logged and validated at its own last step, which is the one thing that can tell them apart.
        """
        checkpoint.save(target, self.checkpoint)
        record.truncate(self.run.metrics, self.checkpoint.step, target.metrics)


def find(runs: Path, asked: str, spec: RunSpec) -> Branch:
    """The newest checkpoint of a run whose history the spec shares.

    Args:
        asked: the run's path or name.

    Raises:
        RunDirectoryError: there is no such run, or it has no whole checkpoint.
        SpecError: the specs differ in what happened before every checkpoint; lists all differences.
    """
    run = layout.find(runs, asked)
    before = manifest.read_spec(run, Registry.beside(Path(manifest.read_env(run)["folder"])))
    passed_over: list[str] = []
    refused: tuple[int, list[Problem]] | None = None
    for folder in reversed(checkpoint.folders(run)):
        step = int(folder.name.removeprefix("step-"))
        found = _problems(before, spec, step)
        if found:
            refused = (step, found)
            continue
        try:
            return Branch(run, before.hash(), checkpoint.load(folder), passed_over)
        except CheckpointError as cause:
            passed_over.append(str(cause))
    if refused is None:
        reasons = "".join(f"\n  {reason}" for reason in passed_over)
        raise RunDirectoryError(f"{run.path}: no whole checkpoint to branch from{reasons}")
    # An older checkpoint can only differ in less, so what the oldest differs in is all that stands in the way.
    raise SpecError(f"--branch {run.path}: step {refused[0]} is no step of this spec's own run", refused[1])


def differences(before: RunSpec, after: RunSpec, step: int) -> Differences:
    """Everything in which two specs differ over the first `step` updates: dotted path to both values."""
    tables = [flat(_decisive(spec)) | _phases(spec, step) for spec in (before, after)]
    found = {
        key: (tables[0].get(key), tables[1].get(key))
        for key in dict.fromkeys([*tables[0], *tables[1]])
        if tables[0].get(key) != tables[1].get(key)
    }
    targets = [item.target for spec in (before, after) for item in spec.train.schedules]
    for target in dict.fromkeys(targets):
        courses = [schedules.course(spec, target) for spec in (before, after)]
        for number in range(step):
            values = [course(number) for course in courses]
            if values[0] != values[1]:
                found[f"train.schedules.{target}"] = (f"{values[0]} at step {number}", values[1])
                break
    return found


def is_beginning(before: RunSpec, after: RunSpec) -> bool:
    """Whether a whole run is the first part of another one, not only in what it learns but in everything it tells.

    A run logs and validates at its last step whatever the intervals say; the other must do so there, too.
    """
    last, train = before.train.total_steps, after.train
    return (
        last < train.total_steps
        and last % train.log_every == last % train.validate_every == 0
        and _told(before) == _told(after)
        # Loggers have files of their own, which a branch does not take over.
        and not (before.loggers or after.loggers)
        and not differences(before, after, last)
    )


def _told(spec: RunSpec) -> list[Any]:
    """What decides where the records are made, which of them there are, and when."""
    train = spec.train
    targets = sorted(item.target for item in train.schedules)
    return [spec.seed, train.device, train.log_every, train.validate_every, spec.evaluation, targets]


def _problems(before: RunSpec, after: RunSpec, step: int) -> list[Problem]:
    total = after.train.total_steps
    if step >= total:
        return [Problem("train.steps", f"{total} leaves nothing to train from step {step} on")]
    found = differences(before, after, step)
    return [Problem(path, f"{_shown(there)} there, {_shown(here)} here") for path, (there, here) in found.items()]


def _shown(value: Any) -> str:
    return "absent" if value is None else str(value)


def _decisive(spec: RunSpec) -> dict[str, Any]:
    """The tables that decide the state of training, but for phases and schedules, which do so step by step."""
    tables = {key: value for key, value in spec.tables().items() if key not in _NO_HISTORY}
    for name, keys in _NO_HISTORY_OF.items():
        tables[name] = {key: value for key, value in tables[name].items() if key not in keys}
    tables["data"] = without_folders(spec.data, tables["data"])
    return tables


def _phases(spec: RunSpec, step: int) -> dict[str, Any]:
    """Every phase that began before a step, as far as it went, as dotted keys."""
    found: dict[str, Any] = {}
    start = 0
    for index, phase in enumerate(spec.train.phases or [PhaseSpec(steps=spec.train.total_steps)]):
        if start >= step:
            break
        subset = spec.data.subset if phase.subset is None else phase.subset
        found |= {
            f"train.phases.{index}.steps": min(phase.steps, step - start),
            f"train.phases.{index}.learn": sorted(set(phase.learn)) if phase.learn is not None else "all parts",
            f"train.phases.{index}.subset": {name: sorted(set(classes)) for name, classes in subset.items()},
        }
        start += phase.steps
    return found
