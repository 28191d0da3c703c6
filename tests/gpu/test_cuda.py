"""What must also hold on a CUDA device; run with `pytest -m gpu` on a machine that has one."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from aerepr.data.cache import cache_directory
from aerepr.kinds.dataset import DataContext
from aerepr.layers.conv import stencil2x
from aerepr.layers.noise import StepNoise
from aerepr.registry.registry import Registry
from aerepr.rundir import tensors
from aerepr.spec.read import spec_from_tables
from aerepr.training.loop import Trainer
from aerepr.workflows.load import load
from aerepr.workflows.train import train

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device, and there is none here"),
]

TABLES: dict[str, Any] = {
    "name": "cuda",
    "model": {"recipe": "SAE-6", "latent_dim": 12, "encoder": {"width": 16}, "decoder": {"width": 16}},
    "data": {"name": "rooms", "size": 32, "subset": {"scale": [7], "orientation": [7]}},
    "train": {
        "steps": 24,
        "batch_size": 32,
        "device": "cuda",
        "log_every": 4,
        "validate_every": 12,
        "checkpoint_every": 5,
    },
}


@pytest.mark.parametrize("name", ["rooms", "sprites"])
def test_data_drawn_on_the_device_is_that_of_the_cpu(name: str) -> None:
    component = Registry().load("dataset", name)
    context = DataContext(folder=Path(), cache=cache_directory())
    dataset = component(component.Spec.model_validate({"name": name, "size": 16}), context)
    rows = torch.arange(0, len(dataset), len(dataset) // 50)
    cpu = dataset.take(dataset.resident(torch.device("cpu")), rows)
    cuda = dataset.take(dataset.resident(torch.device("cuda")), rows.cuda()).cpu()
    assert (cpu.int() - cuda.int()).abs().max() <= 1


def test_noise_is_that_of_the_cpu() -> None:
    rows, number = torch.arange(1000), torch.tensor(7)
    cpu = StepNoise(0, number, rows)("a", "uniform", (5,))
    cuda = StepNoise(0, number.cuda(), rows.cuda())("a", "uniform", (5,))
    assert torch.equal(cpu, cuda.cpu())


def test_the_upsampling_gradient_is_deterministic() -> None:
    x = torch.randn(8, 16, 16, 16, device="cuda", requires_grad=True)
    pull = torch.randn(8, 16, 32, 32, device="cuda")
    first, second = (torch.autograd.grad((stencil2x(x) * pull).sum(), x)[0] for _ in range(2))
    assert torch.equal(first, second)


def test_resume_is_exact(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = train(spec_from_tables(TABLES), run=tmp_path / "whole")
    one = Trainer._one

    def patched(self: Trainer, phase: Any) -> None:
        if self.step == 13:
            monkeypatch.undo()
            raise KeyboardInterrupt
        one(self, phase)

    monkeypatch.setattr(Trainer, "_one", patched)
    with pytest.raises(KeyboardInterrupt):
        train(spec_from_tables(TABLES), run=tmp_path / "cut")
    cut = train(tmp_path / "cut", resume=True)
    a, b = (tensors.load(run / "model" / "model.safetensors") for run in (whole, cut))
    assert all(torch.equal(a[key], b[key]) for key in a)


@pytest.mark.parametrize("precision", ["fp32", "tf32", "bf16"])
def test_every_precision_trains(tmp_path: Path, precision: str) -> None:
    path = train(spec_from_tables(TABLES, [f"train.precision={precision}"]), run=tmp_path / precision)
    assert load(path).sample(4).shape == (4, 32, 32, 3)
