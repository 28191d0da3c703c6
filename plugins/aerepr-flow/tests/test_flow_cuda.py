"""What must also hold on a CUDA device; run with `pytest -m gpu` on a machine that has one."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from torch.testing import assert_close

import aerepr
from aerepr.data.cache import cache_directory
from aerepr.data.source import DataSource
from aerepr.kinds.dataset import DataContext
from aerepr.layers.noise import StepNoise
from aerepr.registry.registry import Registry
from aerepr.spec.read import spec_from_tables
from aerepr.workflows.train import train

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device, and there is none here"),
]

SOURCE = {"name": "rooms", "size": 16}
NOISE_ROWS = torch.arange(0, 480_000, 9_001)


@pytest.mark.parametrize("name", ["transform_sequences", "factor_sequences"])
@pytest.mark.parametrize("training", [False, True])
def test_sequences_made_on_the_device_are_those_of_the_cpu(name: str, training: bool) -> None:
    registry = Registry()
    component = registry.load("dataset", name)
    found = {}
    for device in ("cpu", "cuda"):
        spec = component.Spec.model_validate(
            {"name": name, "source": SOURCE, "steps": 4}, context={"registry": registry}
        )
        dataset = component(spec, DataContext(Path(), cache_directory(), load=registry.load))
        source = DataSource(dataset, spec, device=torch.device(device))
        rows = NOISE_ROWS.to(device)
        noise = StepNoise(0, torch.tensor(5, device=device), rows) if training else None
        found[device] = source.batch(rows, noise)
    here, there = found["cpu"], found["cuda"]
    assert here.label is not None
    assert there.label is not None
    assert there.x.is_cuda
    assert_close(there.label.cpu(), here.label)
    assert_close(there.x.cpu(), here.x, atol=1e-4, rtol=0)


@pytest.mark.parametrize("objective", [{}, {"density": "hutchinson"}])
def test_a_flow_trains_as_on_the_cpu(objective: dict[str, Any], tmp_path: Path) -> None:
    losses = {}
    for device in ("cpu", "cuda"):
        tables = {
            "name": "flow",
            "model": {
                "recipe": "Flow-small",
                "latent_dim": 4,
                "encoder": {"width": 4},
                "decoder": {"width": 4},
                "objective": {"name": "flow", **objective},
            },
            "data": {"name": "transform_sequences", "source": SOURCE, "steps": 2, "gallery": 4},
            "train": {"steps": 4, "batch_size": 8, "device": device}
            | {"log_every": 1, "validate_every": 4, "checkpoint_every": 4},
        }
        run = train(spec_from_tables(tables), run=tmp_path / device)
        records = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
        losses[device] = [record["loss/total"] for record in records if record["kind"] == "train"]
        assert len(aerepr.load(run).traverse("flow")) == 3
    assert losses["cuda"] == pytest.approx(losses["cpu"], rel=1e-2)
