"""What must also hold on a CUDA device; run with `pytest -m gpu` on a machine that has one."""

from __future__ import annotations

import json
import socket
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from aerepr.data.cache import cache_directory
from aerepr.data.decoded import Memory, open_images
from aerepr.data.held import HeldDataset
from aerepr.data.npz import find_npz
from aerepr.errors import UsageError
from aerepr.kinds.dataset import DataContext
from aerepr.layers.conv import stencil2x
from aerepr.layers.noise import StepNoise
from aerepr.registry.registry import Registry
from aerepr.rundir import tensors
from aerepr.spec.read import spec_from_tables
from aerepr.spec.training import TrainSpec
from aerepr.training import precision
from aerepr.training.distributed import World
from aerepr.training.loop import Trainer
from aerepr.workflows.evaluate import evaluate
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


@pytest.mark.parametrize(("memory", "held"), [("auto", True), ("resident", True), ("mapped", False)])
def test_mapped_rows_are_those_of_the_file(tmp_path: Path, memory: Memory, held: bool) -> None:
    images = torch.arange(50 * 6 * 5 * 3).remainder(256).to(torch.uint8).view(50, 6, 5, 3)
    np.savez(tmp_path / "a.npz", images=images.numpy())
    mapped, _ = open_images(find_npz(tmp_path / "a.npz", "images")[0], tmp_path, memory="mapped")
    dataset, rows = HeldDataset(mapped, memory=memory), torch.tensor([49, 0, 7])
    resident = dataset.resident(torch.device("cuda"))
    assert bool(resident.numel()) == held
    found = dataset.take(resident, rows.cuda())
    assert found.device.type == "cuda"
    assert torch.equal(found.cpu(), images[rows])


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


@pytest.mark.parametrize("mode", ["fp32", "tf32", "bf16"])
def test_every_precision_trains(tmp_path: Path, mode: str) -> None:
    path = train(spec_from_tables(TABLES, [f"train.precision={mode}"]), run=tmp_path / mode)
    assert load(path).sample(4).shape == (4, 32, 32, 3)


@pytest.mark.parametrize("mode", ["tf32", "bf16"])
def test_a_precision_keeps_its_bound_and_is_not_that_of_another(mode: str) -> None:
    device = torch.device("cuda")
    if torch.cuda.get_device_capability(device)[0] < 8:
        pytest.skip(f"this device has no {mode}")
    check = precision.compare(mode, device)
    assert check.passed, check
    assert check.error > 2**-14, "this is fp32 under another name"
    coarser = precision.compare("tf32", device, lambda _, where: precision.layers("bf16", where))
    assert not coarser.passed, coarser


def test_auto_is_what_passed_its_check(tmp_path: Path) -> None:
    path = train(spec_from_tables(TABLES, ["train.steps=1"]), run=tmp_path / "run")
    resolved = json.loads((path / "env.json").read_text())["resolved"]
    found = precision.resolve(TrainSpec(steps=1), True, torch.device("cuda")).record()
    assert resolved == found
    assert resolved["precision"] == ("tf32" if resolved["check"] and resolved["check"]["passed"] else "fp32")


def test_each_process_has_a_device_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    last = torch.cuda.device_count() - 1
    monkeypatch.setenv("LOCAL_RANK", str(last))
    assert precision.choose_device("auto") == precision.choose_device("cuda") == torch.device(f"cuda:{last}")
    monkeypatch.setenv("LOCAL_RANK", str(last + 1))
    with pytest.raises(UsageError, match=f"cuda:{last + 1}"):
        precision.choose_device("cuda")


def test_a_group_on_cuda_carries_tensors_of_the_device_and_flags_of_the_host(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    for key, value in {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port), "RANK": "0", "WORLD_SIZE": "1"}.items():
        monkeypatch.setenv(key, value)
    torch.distributed.init_process_group(World.backend(torch.device("cuda")))
    try:
        torch.distributed.all_reduce(torch.ones((), device="cuda"))
        torch.distributed.all_reduce(torch.ones(()))
    finally:
        torch.distributed.destroy_process_group()


def test_a_run_is_evaluated_where_it_is_asked_to_be(tmp_path: Path) -> None:
    tables = {**TABLES, "train": {**TABLES["train"], "device": "cpu", "steps": 4}}
    tables["data"] = {**TABLES["data"], "subset": {"scale": [7], "orientation": [7], "shape": [0, 1]}}
    run = train(spec_from_tables(tables), runs=tmp_path)
    names = ["reconstruction", "mig", "sap", "frechet", "hybrid_gap", "latent_responses", "total_correlation"]
    cpu, cuda = (
        evaluate(run, names=names, rows=300, sets=["frechet.rows=300"], device=device) for device in ("cpu", "auto")
    )
    assert (cpu["perf"]["device"], cuda["perf"]["device"]) == ("cpu", "cuda")
    assert not cuda["refused"]
    assert cuda["metrics"] == pytest.approx(cpu["metrics"], rel=0.01, abs=1e-3)
    assert evaluate(run, rows=300, device="cuda")["pictures"]["samples"]
