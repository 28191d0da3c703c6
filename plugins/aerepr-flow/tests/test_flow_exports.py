"""A small model through the commands: trained, resumed, and its flow step, decoder and sampler in other runtimes; a
log-determinant that is not finite.

Shape letters: B batch, D latent dimensions, K transformations.
"""

from __future__ import annotations

import json
import tomllib
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest
import torch
from aerepr_flow.fields import Point
from aerepr_flow.objectives.flow import FlowObjective
from aerepr_flow.walk import along
from torch import Tensor
from torch.testing import assert_close

import aerepr
from aerepr.errors import TrainingError
from aerepr.export.load import load_decoder
from aerepr.rundir import tensors
from aerepr.spec.read import spec_from_tables
from aerepr.spec.run import RunSpec
from aerepr.training.loop import Trainer
from aerepr.workflows.load import Run
from aerepr.workflows.train import train

pytest_plugins = ["tests.export.visit"]

D = 4

CATALOGUE = tomllib.loads((Path(__file__).parents[1] / "registry.toml").read_text(encoding="utf-8"))
RECIPES = [recipe["name"] for recipe in CATALOGUE["recipes"]]
FORMATS = ["onnx", "torchscript", "pt2"]


def small(steps: int = 6, recipe: str = "Flow-small", **objective: Any) -> RunSpec:
    """A spec of a recipe that trains in a second."""
    source = {"name": "rooms", "size": 16}
    few = {"floor_hue": [0], "scale": [7], "orientation": [7]}
    return spec_from_tables(
        {
            "name": "flow",
            "model": {
                "recipe": recipe,
                "latent_dim": D,
                "encoder": {"width": 4},
                "decoder": {"width": 4},
                "objective": {"name": "flow", **objective},
            },
            "data": {"name": "transform_sequences", "source": source, "steps": 3, "subset": few, "gallery": 4},
            "train": {"steps": steps, "batch_size": 8, "device": "cpu"}
            | {"log_every": 2, "validate_every": 6, "checkpoint_every": 3},
        }
    )


WEAK: dict[str, Any] = {"supervision": "weak", "sequence_encoder": {"name": "flow_conv", "width": 4}}


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """A small run. Read it; write products elsewhere."""
    return aerepr.load(train(small(), run=tmp_path_factory.mktemp("flow") / "run"))


@pytest.mark.parametrize("objective", [{}, WEAK], ids=["supervised", "weak"])
def test_a_run_resumes_to_the_same_bits(
    objective: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole, one = train(small(**objective), run=tmp_path / "whole"), Trainer._one

    def cut(self: Trainer, phase: Any) -> None:
        if self.step == 4:
            monkeypatch.undo()
            raise KeyboardInterrupt
        one(self, phase)

    monkeypatch.setattr(Trainer, "_one", cut)
    with pytest.raises(KeyboardInterrupt):
        train(small(**objective), run=tmp_path / "cut")
    train(tmp_path / "cut", resume=True)
    a, b = (tensors.load(tmp_path / run / "model" / "objective.safetensors") for run in ("whole", "cut"))
    assert a.keys() == b.keys()
    assert all(torch.equal(a[key], b[key]) for key in a)
    records = [json.loads(line) for line in (whole / "metrics.jsonl").read_text().splitlines()]
    losses = {"distortion", "transport", "initial", "step_divergence", "kl"} | (
        {"transformation"} if objective else set()
    )
    for record in records:
        if record["kind"] in ("train", "valid"):
            assert {f"loss/{name}" for name in losses} <= set(record)
            assert not [key for key in record if "log-determinant" in key]


@pytest.mark.filterwarnings("ignore:`torch.jit:DeprecationWarning")
def test_the_flow_step_is_the_same_in_every_runtime(trained: Run, tmp_path: Path) -> None:
    found = trained.export(["torchscript", "onnx", "pt2"], out=tmp_path / "e", parts=["flow_step"])
    assert max(found["max_abs_diff"].values()) <= 1e-5
    objective = trained.view.objective
    assert isinstance(objective, FlowObjective)
    generator = torch.Generator().manual_seed(2)
    z_BD = 2 * torch.randn(7, D, generator=generator)
    t_B = torch.randint(1, 5, (7,), generator=generator).float()
    # Weights that superpose, and weights below zero.
    weights_BK = torch.randn(7, 3, generator=generator)
    with torch.no_grad():
        expected = objective.flow(z_BD, t_B, weights_BK)
    assert (expected - z_BD).abs().max() > 1e-4
    session = onnxruntime.InferenceSession(tmp_path / "e" / "flow_step.onnx", providers=["CPUExecutionProvider"])
    assert [value.name for value in session.get_inputs()] == ["z", "t", "weights"]
    inputs = {"z": z_BD.numpy(), "t": t_B.numpy(), "weights": weights_BK.numpy()}
    assert_close(torch.from_numpy(session.run(None, inputs)[0]), expected, rtol=1e-5, atol=1e-5)
    files = [path for path in sorted((tmp_path / "e").iterdir()) if path.stem == "flow_step"]
    assert {path.suffix for path in files} == {".onnx", ".ts", ".pt2"}
    for path in files:
        if path.suffix == ".ts":
            assert_close(torch.jit.load(path)(z_BD, t_B, weights_BK), expected, rtol=1e-5, atol=1e-5)
        if path.suffix == ".pt2":
            assert_close(torch.export.load(path).module()(z_BD, t_B, weights_BK), expected, rtol=1e-5, atol=1e-5)


@pytest.mark.filterwarnings("ignore:`torch.jit:DeprecationWarning")
def test_the_small_recipe_is_exported(trained: Run, tmp_path: Path) -> None:
    samples_are_the_models(aerepr.load(trained.path), ["onnx"], tmp_path / "e")


@pytest.mark.full
@pytest.mark.filterwarnings("ignore:`torch.jit:DeprecationWarning")
@pytest.mark.parametrize("name", RECIPES)
def test_every_recipe_is_exported_to_every_format(name: str, tmp_path: Path) -> None:
    weak = {"sequence_encoder": {"width": 4}} if name.endswith("-weak") else {}
    run = aerepr.load(train(small(recipe=name, **weak), run=tmp_path / "run"))
    samples_are_the_models(run, FORMATS, tmp_path / "e")


def samples_are_the_models(run: Run, formats: list[str], folder: Path) -> None:
    # A decoder that has hardly learned says the same of every code; this one does not.
    with torch.no_grad():
        for parameter in run.view.model.decoder.parameters():
            parameter.mul_(3)
    found = run.export(formats, out=folder, parts=["decoder", "sampler"])
    assert max(found["max_abs_diff"].values()) <= 1e-5
    expected = np.moveaxis(run.sample(3, 1), -1, 1)
    assert np.ptp(expected, axis=0).max() > 1e-3
    for form in formats:
        images = load_decoder(folder, trust=True, format=form).sample(3, 1)
        np.testing.assert_allclose(images, expected, rtol=0, atol=2e-5, err_msg=form)


@pytest.mark.full
def test_the_page_plays_each_flow(
    trained: Run, visit: Any, serve: Any, agree: Any, runtime: Path, tmp_path: Path
) -> None:
    run = aerepr.load(trained.path)
    with torch.no_grad():
        for parameter in run.view.model.decoder.parameters():
            parameter.mul_(2)  # or all pictures are alike
    run.export(["onnx", "web"], out=tmp_path / "e")
    graphs = json.loads((tmp_path / "e" / "card.json").read_text())["graphs"]
    assert graphs["flow_step"]["motion"] == {"names": ["scale", "rotation", "hue"], "steps": 3}
    page = visit(serve(tmp_path / "e")).ready()
    page.js("explorer.setCode([1.5, -1, 0.5, 2])")
    page.page.locator("#motions").scroll_into_view_if_needed()  # strips out of sight wait
    page.until("!document.querySelector('.motion canvas.stale') && explorer.lanes.idle")
    assert page.page.locator(".motion strong").all_inner_texts() == ["scale", "rotation", "hue"]
    page.js(
        """() => {
          window.painted = [];
          document.querySelector("#picture").addEventListener("painted", ({ detail }) => painted.push(Array.from(detail.z)));
        }"""
    )
    objective, z_1D = run.view.objective, torch.tensor([page.code()])
    assert isinstance(objective, FlowObjective)
    for k, name in enumerate(objective.transformations):
        weights = [torch.eye(3)[k : k + 1]] * 3
        with torch.no_grad():
            forth, back = (along(objective.flow, z_1D, weights, backward=way)[:, 0] for way in (False, True))
        path_SD = torch.cat([back.flip(0), forth[1:]])
        assert (path_SD[1:] - path_SD[:-1]).abs().max() > 1e-4
        strip = page.pixels(f".motion:nth-child({k + 1}) canvas")
        agree(run.view, path_SD, [strip[:, 17 * place : 17 * place + 16] for place in range(7)])
        page.js("window.painted.length = 0")
        page.press(f"Play {name}")
        page.until(f"document.querySelector('#status').textContent === '{name} was played.' && explorer.lanes.idle")
        np.testing.assert_allclose(page.js("window.painted"), [*path_SD.tolist(), *z_1D.tolist()], atol=1e-5)
    assert page.complaints == []


def test_a_log_determinant_that_is_not_finite_is_named_by_step_and_transformation(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hessian, calls = Point.hessian, []

    def flat_at_the_second_step(self: Point) -> Tensor:
        found_MBDD = hessian(self)
        if found_MBDD.is_meta:
            return found_MBDD
        calls.append(1)
        # Three steps of the flow for each of training: at the second of update 1, I + H has no inverse.
        return -torch.eye(D).expand_as(found_MBDD) + 0 * found_MBDD if len(calls) == 5 else found_MBDD

    monkeypatch.setattr(Point, "hessian", flat_at_the_second_step)
    text = r"step 1: step_divergence: log-determinant at t = 2 of k = \d \((scale|rotation|hue)\) is not finite"
    with pytest.raises(TrainingError, match=text):
        train(small(), run=tmp_path / "run")
