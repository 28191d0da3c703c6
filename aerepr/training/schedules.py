"""Values that follow the step number, written in place into the 0-dim tensors that the modules read."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import torch
from pydantic import BaseModel
from torch import Tensor

from aerepr.errors import Problem, SpecError
from aerepr.model.system import PARTS, System
from aerepr.spec.base import is_schedulable
from aerepr.spec.run import RunSpec
from aerepr.spec.training import OptimizerSpec, ScheduleSpec


def value_at(schedule: ScheduleSpec, step: int, total: int) -> float:
    """The value in force for update number `step` (the first is 0) of `total`."""
    step = step // schedule.every * schedule.every
    passed = max(0, step - schedule.start)
    first = schedule.from_
    if schedule.kind == "constant":
        return first
    if schedule.kind == "exponential":
        value = first * math.exp(-(schedule.rate or 0.0) * passed)
        return value if schedule.floor is None else max(value, schedule.floor)
    last = first if schedule.to is None else schedule.to
    if schedule.kind == "cyclic":
        period = schedule.period or 1
        phase = passed % period / period
        return first + (last - first) * (1 - abs(2 * phase - 1))
    end = total if schedule.end is None else schedule.end
    part = min(1.0, passed / max(1, end - schedule.start))
    if schedule.kind == "cosine":
        part = (1 - math.cos(math.pi * part)) / 2
    return first + (last - first) * part


def course(spec: RunSpec, target: str) -> Callable[[int], float | None]:
    """The value of a target by update number: that of its schedule, else the one in its table; None: no such target."""
    for schedule in spec.train.schedules:
        if schedule.target == target:
            return lambda step: value_at(schedule, step, spec.train.total_steps)
    place: Any = spec.tables()
    for key in target.split("."):
        items = {item["id"]: item for item in place} if isinstance(place, list) else place
        place = items.get(key) if isinstance(items, dict) else None
    return lambda step: place


def problems(spec: RunSpec) -> list[Problem]:
    """What is wrong with the targets of `[[train.schedules]]`, found without building anything."""
    found = []
    for index, schedule in enumerate(spec.train.schedules):
        owner, field, known = _owner(spec, schedule.target)
        if owner is None:
            found.append(Problem(f"train.schedules.{index}.target", f'"{schedule.target}" names nothing here; {known}'))
        elif not is_schedulable(owner, field):
            names = [name for name in owner.model_fields if is_schedulable(owner, name)]
            hint = f"it has: {', '.join(names)}" if names else "it has no field that can be scheduled"
            found.append(Problem(f"train.schedules.{index}.target", f'"{field}" cannot be scheduled; {hint}'))
    return found


class Schedules:
    """The schedules of a run, bound to the tensors they drive.

    Args:
        lr: the learning-rate tensor of the main optimizer; `adversaries` those of the adversaries, by regularizer id.
    """

    def __init__(self, spec: RunSpec, system: System, lr: Tensor, adversaries: dict[str, Tensor]) -> None:
        found = problems(spec)
        if found:
            raise SpecError("spec", found)
        self.total = spec.train.total_steps
        self.bound = [(s, _tensor(s.target, system, lr, adversaries)) for s in spec.train.schedules]

    def apply(self, step: int) -> None:
        """Write every value in force for update `step`."""
        for schedule, tensor in self.bound:
            tensor.fill_(value_at(schedule, step, self.total))

    def values(self, step: int) -> dict[str, float]:
        """The same values, for the record."""
        return {f"schedule/{schedule.target}": value_at(schedule, step, self.total) for schedule, _ in self.bound}


def _owner(spec: RunSpec, target: str) -> tuple[type[BaseModel] | None, str, str]:
    parts = target.split(".")
    if target == "train.optimizer.lr":
        return OptimizerSpec, "lr", ""
    if parts[0] == "model" and len(parts) == 3 and parts[1] in PARTS and parts[1] != "regularizers":
        return type(getattr(spec.model, parts[1])), parts[2], ""
    if parts[:2] == ["model", "regularizers"] and len(parts) >= 4:
        items = {item.id: item for item in spec.model.regularizers}
        if parts[2] not in items:
            return None, "", f"regularizers: {', '.join(items) or 'none'}"
        if parts[3:] == ["optimizer", "lr"] and items[parts[2]].optimizer is not None:
            return OptimizerSpec, "lr", ""
        if len(parts) == 4:
            return type(items[parts[2]]), parts[3], ""
    return None, "", "expected train.optimizer.lr, model.<part>.<field> or model.regularizers.<id>.<field>"


def _tensor(target: str, system: System, lr: Tensor, adversaries: dict[str, Tensor]) -> Tensor:
    if target == "train.optimizer.lr":
        return lr
    parts = target.split(".")
    if parts[1] == "regularizers":
        if parts[3] == "weight":
            return system.weights.get_buffer(parts[2])
        if parts[3] == "optimizer":
            return adversaries[parts[2]]
        return _buffer(system.terms[parts[2]], parts[3], target)
    return _buffer(system.part(parts[1]), parts[2], target)


def _buffer(module: torch.nn.Module, field: str, target: str) -> Tensor:
    buffers = dict(module.named_buffers(recurse=False))
    if field not in buffers or buffers[field].dim() != 0:
        raise SpecError(
            "spec",
            [
                Problem(
                    target, f"{type(module).__name__} keeps no 0-dim buffer named {field}: the component is at fault"
                )
            ],
        )
    return buffers[field]
