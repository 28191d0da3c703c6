"""Values of schedules at their corners, against closed forms."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest
import torch

from aerepr.model.build import build_system
from aerepr.registry.registry import Registry
from aerepr.spec.read import read_spec
from aerepr.spec.training import ScheduleSpec
from aerepr.training.schedules import Schedules, value_at
from aerepr.workflows.assemble import open_source


def at(step: int, total: int = 100, **keys: Any) -> float:
    keys["from"] = keys.pop("start_value")
    return value_at(ScheduleSpec.model_validate({"target": "train.optimizer.lr", **keys}), step, total)


@pytest.mark.parametrize(("step", "value"), [(0, 1.0), (10, 1.0), (15, 1.5), (20, 2.0), (99, 2.0)])
def test_linear(step: int, value: float) -> None:
    assert at(step, kind="linear", start_value=1.0, to=2.0, start=10, end=20) == pytest.approx(value)


@pytest.mark.parametrize(
    ("step", "value"), [(0, 0.5), (50, 1.25), (100, 2.0), (25, 1.25 - 0.75 * math.cos(math.pi / 4))]
)
def test_cosine_ends_at_the_last_step_unless_told(step: int, value: float) -> None:
    assert at(step, kind="cosine", start_value=0.5, to=2.0) == pytest.approx(value)


@pytest.mark.parametrize(("step", "value"), [(0, 0.0), (5, 1.0), (10, 0.0), (12, 0.4), (15, 1.0)])
def test_cyclic_goes_up_and_down(step: int, value: float) -> None:
    assert at(step, kind="cyclic", start_value=0.0, to=1.0, period=10) == pytest.approx(value)


@pytest.mark.parametrize(("step", "value"), [(0, 1.0), (100, math.exp(-0.3)), (10**6, 0.05)])
def test_exponential_has_a_floor(step: int, value: float) -> None:
    assert at(step, kind="exponential", start_value=1.0, rate=3e-3, floor=0.05) == pytest.approx(value)


@pytest.mark.parametrize(("step", "value"), [(0, 0.0), (3, 0.0), (8, 1.0), (10, 0.6), (13, 0.0)])
def test_cycles_begin_at_the_start(step: int, value: float) -> None:
    assert at(step, kind="cyclic", start_value=0.0, to=1.0, period=10, start=3) == pytest.approx(value)


@pytest.mark.parametrize(("step", "value"), [(0, 1.0), (10, 1.0), (30, math.exp(-2.0))])
def test_decay_begins_at_the_start(step: int, value: float) -> None:
    assert at(step, kind="exponential", start_value=1.0, rate=0.1, start=10) == pytest.approx(value)


def test_each_target_is_the_tensor_that_is_read(spec: Path) -> None:
    registry = Registry()
    targets = [
        "train.optimizer.lr",
        "model.regularizers.kl.weight",
        "model.regularizers.factor_tc.weight",
        "model.regularizers.factor_tc.optimizer.lr",
        "model.likelihood.scale",
    ]
    schedules = ",".join(
        f'{{target="{target}",kind="linear",from={i + 1}.0,to={i + 2}.0}}' for i, target in enumerate(targets)
    )
    parts = 'model.regularizers=[{name="kl"},{name="factor_tc",width=4,depth=1}]'
    run = read_spec(spec, [parts, f"train.schedules=[{schedules}]", "train.steps=10"], registry)
    system = build_system(run, open_source(run.data, spec.parent, registry, torch.device("cpu")).info, registry)
    lr, adversary = torch.tensor(0.1), torch.tensor(0.2)
    bound = Schedules(run, system, lr, {"factor_tc": adversary})
    bound.apply(5)
    found = [
        lr,
        system.weights.get_buffer("kl"),
        system.weights.get_buffer("factor_tc"),
        adversary,
        system.model.likelihood.get_buffer("scale"),
    ]
    assert [float(value) for value in found] == [1.5, 2.5, 3.5, 4.5, 5.5]
    assert list(bound.values(5).values()) == [1.5, 2.5, 3.5, 4.5, 5.5]


def test_constant_and_every() -> None:
    assert at(7, kind="constant", start_value=3.0) == 3.0
    held = [at(step, kind="linear", start_value=0.0, to=1.0, every=10) for step in (0, 9, 10, 19, 20)]
    assert held == pytest.approx([0.0, 0.0, 0.1, 0.1, 0.2])


@pytest.mark.parametrize(
    "keys",
    [{"kind": "linear"}, {"kind": "cyclic", "to": 1.0}, {"kind": "exponential"}, {"to": 1.0, "start": 9, "end": 9}],
)
def test_what_a_kind_needs_is_asked_for(keys: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="needs|end must be after"):
        at(0, start_value=0.0, **keys)
