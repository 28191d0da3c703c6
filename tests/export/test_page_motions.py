"""Strips of codes that move by themselves, in the page: an entry of the objective that says so is played and followed."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from aerepr.export.card import read_card
from aerepr.export.write import export_run
from aerepr.kinds.objective import Motion, Objective
from aerepr.kinds.run import Model
from aerepr.kinds.step import Step, Terms
from aerepr.model.view import View
from aerepr.registry.registry import Registry

if TYPE_CHECKING:
    from tests.export.visit import Visit

pytest_plugins = ["tests.export.visit"]

D, STEPS = 6, 3
NAMES = ("bend", "drift")


class Carry(nn.Module):
    """z + sum_k w_k tanh(A_k z) t / 2."""

    def __init__(self) -> None:
        super().__init__()
        self.fields_KDD = nn.Parameter(0.5 * torch.randn(len(NAMES), D, D, generator=torch.Generator().manual_seed(3)))

    def forward(self, z: Tensor, t: Tensor, weights: Tensor) -> Tensor:
        velocity_BKD = torch.tanh(torch.einsum("bd,kde->bke", z, self.fields_KDD))
        return z + (weights[..., None] * velocity_BKD).sum(dim=1) * t[:, None] / 2


class Moving(Objective):
    def __init__(self) -> None:
        super().__init__()
        self.carry = Carry()

    def forward(self, model: Model, step: Step, regularize: Callable[[Step], Terms]) -> Terms:
        return regularize(model.infer(step))

    def exports(self) -> dict[str, tuple[nn.Module, tuple[Tensor, ...]]]:
        z_BD = torch.linspace(-1, 1, 2 * D).reshape(2, D)
        return {"carry": (self.carry, (z_BD, torch.tensor([1.0, 2.0]), torch.eye(2)))}

    def motions(self) -> dict[str, Motion]:
        return {"carry": Motion(NAMES, STEPS)}


@pytest.fixture(scope="module")
def moving_run(toy: ModuleType) -> View:
    run: View = toy.image_run(Moving())
    return run


@pytest.fixture(scope="module")
def moving_export(moving_run: View, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("moving") / "exports"
    export_run(moving_run, folder, ["onnx"], Registry())
    return folder


@pytest.fixture(scope="module")
def moving(visit: Callable[..., Visit], serve: Callable[[Path], str], site_of: Any, moving_export: Path) -> Visit:
    return visit(serve(site_of(moving_export))).ready()


def carried(run: View, code: list[float], k: int) -> Tensor:
    """The codes of a strip: back, the code itself, forward."""
    assert isinstance(run.objective, Moving)
    carry, weights = run.objective.carry, torch.eye(2)[k : k + 1]
    back = forth = torch.tensor([code])
    found = [back]
    with torch.no_grad():
        for t in range(1, STEPS + 1):
            at = torch.tensor([float(t)])
            back, forth = 2 * back - carry(back, at, weights), carry(forth, at, weights)
            found = [back, *found, forth]
    return torch.cat(found)


def test_the_card_says_which_entry_moves_codes(moving_export: Path) -> None:
    graphs = read_card(moving_export).graphs
    assert {name: graph.motion is not None for name, graph in graphs.items()} == {
        "decoder": False,
        "sampler": False,
        "carry": True,
    }
    motion = json.loads((moving_export / "card.json").read_text())["graphs"]["carry"]["motion"]
    assert motion == {"names": list(NAMES), "steps": STEPS}


def test_each_strip_is_a_transformation_of_the_code(moving: Visit, moving_run: View, agree: Any) -> None:
    moving.js("explorer.setCode([0.1, -0.2, 0.3, 0.4, -0.5, 0.6])")
    moving.page.locator("#motions").scroll_into_view_if_needed()
    moving.until("!document.querySelector('.motion canvas.stale') && explorer.lanes.idle")
    assert moving.page.locator(".motion strong").all_inner_texts() == list(NAMES)
    for k in range(2):
        found = moving.pixels(f".motion:nth-child({k + 1}) canvas")
        assert found.shape[1] == 9 * (2 * STEPS + 1) - 1
        pictures = [found[:, 9 * place : 9 * place + 8] for place in range(2 * STEPS + 1)]
        agree(moving_run, carried(moving_run, moving.code(), k), pictures)
    assert moving.page.get_by_role("img", name="Where drift carries the code").count() == 1


def test_a_click_goes_there(moving: Visit, moving_run: View) -> None:
    moving.js("explorer.setCode([0.1, -0.2, 0.3, 0.4, -0.5, 0.6])")
    expected = carried(moving_run, moving.code(), 1)
    strip = moving.page.locator(".motion:nth-child(2) canvas")
    box = strip.bounding_box()
    strip.click(position={"x": box["width"] - 2, "y": 2})
    moving.until("document.querySelector('#status').textContent.includes('3 steps of drift further forward')")
    np.testing.assert_allclose(moving.code(), expected[-1], atol=1e-5)


def test_the_keyboard_goes_a_step(moving: Visit, moving_run: View) -> None:
    for name, place, where in (("Forward along bend", STEPS + 1, "forward"), ("Back along drift", STEPS - 1, "back")):
        moving.set_code([0.1, -0.2, 0.3, 0.4, -0.5, 0.6])
        expected = carried(moving_run, moving.code(), NAMES.index(name.split()[-1]))
        moving.page.get_by_role("button", name=name, exact=True).focus()
        assert moving.js("getComputedStyle(document.activeElement).outlineStyle") == "solid"
        moving.page.keyboard.press("Enter")
        told = f"The sliders are 1 step of {name.split()[-1]} further {where}."
        moving.until(f"document.querySelector('#status').textContent === '{told}'")
        np.testing.assert_allclose(moving.code(), expected[place], atol=1e-5)


def test_a_transformation_is_played_and_the_sliders_stay(moving: Visit, moving_run: View) -> None:
    moving.js("explorer.setCode([0, 0.5, 0, -0.5, 1, 1])")
    moving.until("explorer.lanes.idle")
    moving.js(
        """() => {
          window.painted = [];
          document.querySelector("#picture").addEventListener("painted", ({ detail }) => painted.push(Array.from(detail.z)));
        }"""
    )
    code = moving.code()
    moving.press("Play bend")
    moving.until("document.querySelector('#status').textContent === 'bend was played.' && explorer.lanes.idle")
    expected = [*carried(moving_run, code, 0).tolist(), code]
    np.testing.assert_allclose(moving.js("window.painted"), expected, atol=1e-5)
    assert moving.code() == code
    assert moving.complaints == []
