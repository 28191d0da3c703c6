"""Checkpoints: all state of a run at one step, in a folder that appears whole or not at all.

checkpoints/step-00010000/model.safetensors  train.safetensors  state.json        last, best: text pointers
"""

from __future__ import annotations

import json
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import Tensor

from aerepr import atomic
from aerepr.errors import CheckpointError
from aerepr.rundir import tensors
from aerepr.rundir.layout import RunDirectory

# The newest is what a resume uses; the others are there in case it is damaged.
KEEP = 3


@dataclass(frozen=True)
class Checkpoint:
    """What one checkpoint holds.

    Attributes:
        model: state of everything that learns. train: optimizers, averaged weights, running sums.
        state: numbers and text, JSON-able; `step` is the number of updates done.
    """

    step: int
    model: dict[str, Tensor]
    train: dict[str, Tensor]
    state: dict[str, Any]


def save(run: RunDirectory, checkpoint: Checkpoint, best: bool = False) -> Path:
    """Write a checkpoint, then point `last` (and `best`) to it, then remove the oldest."""
    target = run.checkpoints / _name(checkpoint.step)
    with atomic.folder_aside(target) as aside:
        hashes = {
            "model.safetensors": tensors.save(aside / "model.safetensors", checkpoint.model),
            "train.safetensors": tensors.save(aside / "train.safetensors", checkpoint.train),
        }
        state = {**checkpoint.state, "step": checkpoint.step, "sha256": hashes, "is_best": best}
        (aside / "state.json").write_text(json.dumps(state, indent=2) + "\n", encoding="utf-8")
    _point(run, target.name, best)
    keep = {pointed(run, "best"), *(path.name for path in folders(run)[-KEEP:])}
    for old in folders(run):
        if old.name not in keep:
            shutil.rmtree(old, ignore_errors=True)
    return target


def point(run: RunDirectory, found: Checkpoint) -> None:
    """Let the pointers say what a writer who was stopped between checkpoint and pointers meant them to."""
    _point(run, _name(found.step), bool(found.state.get("is_best")))


def folders(run: RunDirectory) -> list[Path]:
    """Checkpoint folders, the oldest first."""
    return sorted(run.checkpoints.glob("step-*")) if run.checkpoints.is_dir() else []


def pointed(run: RunDirectory, pointer: str) -> str | None:
    """The folder name in a pointer file."""
    path = run.checkpoints / pointer
    return path.read_text(encoding="utf-8").strip() if path.is_file() else None


def load(folder: Path) -> Checkpoint:
    """Read one checkpoint and verify it.

    Raises:
        CheckpointError: any of its files is missing or damaged.
    """
    try:
        state = json.loads((folder / "state.json").read_text(encoding="utf-8"))
        hashes, step = state.pop("sha256"), int(state.pop("step"))
        model_hash, train_hash = hashes["model.safetensors"], hashes["train.safetensors"]
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as cause:
        raise CheckpointError(f"{folder / 'state.json'}: damaged or missing: {cause}") from cause
    model = tensors.load(folder / "model.safetensors", model_hash)
    return Checkpoint(step, model, tensors.load(folder / "train.safetensors", train_hash), state)


def load_last(run: RunDirectory) -> tuple[Checkpoint | None, list[str]]:
    """The newest checkpoint that is whole, and what was wrong with those passed over.

    Raises:
        CheckpointError: there are checkpoints, and none is whole.
    """
    passed_over: list[str] = []
    for folder in reversed(folders(run)):
        try:
            return load(folder), passed_over
        except CheckpointError as cause:
            passed_over.append(str(cause))
    if passed_over:
        raise CheckpointError(f"{run.checkpoints}: no checkpoint is whole:\n  " + "\n  ".join(passed_over))
    return None, []


def _name(step: int) -> str:
    return f"step-{step:08d}"


def _point(run: RunDirectory, name: str, best: bool) -> None:
    atomic.write_text(run.checkpoints / "last", name + "\n")
    if best:
        atomic.write_text(run.checkpoints / "best", name + "\n")
