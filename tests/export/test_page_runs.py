"""The page of what aerepr ships, not of a toy alone: an SAE, a grey image with normal noise, vectors; and on WebGPU."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch

from aerepr.export.card import read_card
from aerepr.export.write import export_run
from aerepr.layers.exportable import Decode, standalone
from aerepr.layers.noise import sample_noise
from aerepr.model.view import View
from aerepr.registry.registry import Registry

if TYPE_CHECKING:
    from tests.export.visit import Visit

pytest_plugins = ["tests.export.visit"]

# Samples of a seed that are compared, of the 24 that a page draws when it opens.
SOME = [0, 7, 23]


def drawn(run: View, seed: int = 0) -> torch.Tensor:
    """The codes of those samples, eagerly."""
    return run.sampler(sample_noise(24, run.sampler.noise_dim, seed, run.sampler.noise))[SOME]


@pytest.fixture(scope="session")
def real_site(site_of: Callable[[Path], Path], real_export: Path) -> Path:
    return site_of(real_export)


def test_the_page_of_an_sae(
    visit: Callable[..., Visit], serve: Callable[[Path], str], real_site: Path, real_run: View, agree: Any
) -> None:
    page = visit(serve(real_site), alone=True).ready()
    assert page.js("[isSecureContext, crossOriginIsolated, explorer.engine.threads]") == [True, False, 1]
    assert not page.page.is_visible("#insecure")
    agree(real_run, drawn(real_run), [page.sample(i + 1) for i in SOME])
    before, code = page.picture(), page.code()
    page.page.get_by_role("slider", name="z2.1").focus()
    page.page.keyboard.press("End")
    page.until("explorer.lanes.idle")
    moved = page.code()
    assert [i for i in range(6) if moved[i] != code[i]] == [2]
    agree(real_run, [moved], [page.picture()])
    assert np.abs(page.picture().astype(int) - before).max() > 4
    assert page.complaints == []


def test_the_page_of_grey_images_and_normal_noise(
    visit: Callable[..., Visit],
    serve: Callable[[Path], str],
    site_of: Callable[[Path], Path],
    grey_run: View,
    grey_export: Path,
    agree: Any,
) -> None:
    assert (grey_run.sampler.noise, grey_run.info.shape.sizes) == ("normal", (1, 16, 16))
    page = visit(serve(site_of(grey_export)), alone=True).ready()
    agree(grey_run, drawn(grey_run), [page.sample(i + 1) for i in SOME])
    agree(grey_run, [page.code()], [page.picture()])
    assert page.complaints == []


def test_the_page_of_vectors_draws_bars_and_says_values(
    visit: Callable[..., Visit],
    serve: Callable[[Path], str],
    site_of: Callable[[Path], Path],
    vector_run: View,
    vector_export: Path,
) -> None:
    page = visit(serve(site_of(vector_export)), alone=True).ready()
    z = [0.5, -1.0, 0.25, 1.5, -0.5, 0.75]
    page.set_code(z)
    with torch.no_grad():
        values = standalone(Decode(vector_run.model))(torch.tensor([z]))[0].tolist()
    page.until("document.querySelector('#picture').ariaLabel.includes('0.50, -1.00, 0.25')")
    label = page.page.get_attribute("#picture", "aria-label")
    assert label == f"The code ({', '.join(f'{v:.2f}' for v in z)}), decoded: {', '.join(f'{v:.2f}' for v in values)}"
    # A bar from zero to each value, on a scale that holds zero and the range of the data.
    pixels = page.picture()
    height, width, _ = pixels.shape
    low, high = (f(limit, 0) for f, limit in zip((min, max), page.js("explorer.card.data.range"), strict=True))
    ink = np.array(page.js("getComputedStyle(document.querySelector('#picture')).color.match(/\\d+/g).map(Number)"))
    for i, value in enumerate(values):
        column = pixels[:, int((i + 0.5) * width / len(values))]
        rows = np.flatnonzero((column == ink).all(axis=1))
        top, bottom = ((high - end) / (high - low) * height for end in (max(value, 0), min(value, 0)))
        assert (rows[0], rows[-1] + 1) == pytest.approx((top, max(bottom, top + 2)), abs=1.5)
        assert len(rows) == rows[-1] + 1 - rows[0]
        assert not (pixels[:, int(i * width / len(values))] == ink).all(axis=1).any()
    assert page.complaints == []


@pytest.mark.full
def test_the_page_of_weights_in_half_the_bits(
    visit: Callable[..., Visit], serve: Callable[[Path], str], runtime: Path, real_run: View, agree: Any, tmp_path: Path
) -> None:
    folder = tmp_path / "exports"
    export_run(real_run, folder, ["web"], Registry(), precision="fp16")
    assert read_card(folder).files["decoder.onnx"].precision == "fp16"
    page = visit(serve(folder), alone=True).ready()
    agree(real_run, drawn(real_run), [page.sample(i + 1) for i in SOME])
    agree(real_run, [page.code()], [page.picture()])
    assert page.complaints == []


@pytest.mark.full
@pytest.mark.parametrize("kind", ["toy", "sae"])
def test_webgpu_gives_the_same_pictures(
    request: pytest.FixtureRequest,
    visit: Callable[..., Visit],
    serve: Callable[[Path], str],
    imitating: Any,
    agree: Any,
    kind: str,
) -> None:
    run, site = (
        request.getfixturevalue(name) for name in {"toy": ("image_run", "site"), "sae": ("real_run", "real_site")}[kind]
    )
    page = visit(serve(site) + "?backend=webgpu", browser=imitating, alone=True)
    # Strips are not waited for: a picture takes a second.
    page.until("window.explorer && !document.querySelector('#samples button:disabled')", 240)
    assert page.js("[explorer.engine.backend, explorer.engine.notes]") == ["webgpu", []]
    assert page.page.inner_text("#engine") == "WebGPU"
    agree(run, drawn(run), [page.sample(i + 1) for i in SOME])
    z = [0.5, -1.0, 0.25, 1.5, -0.5, 0.75]
    page.set_code(z)
    agree(run, [z], [page.picture()])
    assert not page.js("explorer.decoder.here")
    assert page.complaints == []


@pytest.mark.full
def test_webgpu_that_is_imitated_is_for_those_who_ask(
    visit: Callable[..., Visit], serve: Callable[[Path], str], site: Path, imitating: Any
) -> None:
    page = visit(serve(site), browser=imitating, alone=True).ready()
    assert page.js("explorer.engine.backend") == "wasm"
    assert page.js("explorer.engine.notes") == ["webgpu: this browser only imitates one"]
