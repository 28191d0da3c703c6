"""The page of `export --to web` in a real browser: it shows what the eager model gives, asks nobody else, and can be used by all."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import numpy as np
import pytest
import torch

from aerepr.layers.noise import sample_noise
from aerepr.model.view import View

if TYPE_CHECKING:
    from tests.export.visit import Visit

pytest_plugins = ["tests.export.visit"]

CASES = json.loads((Path(__file__).parents[2] / "docs" / "noise.json").read_text(encoding="utf-8"))["cases"]


@pytest.fixture(scope="module")
def address(site: Path, serve: Callable[[Path], str]) -> str:
    return serve(site)


@pytest.fixture(scope="module")
def shared(visit: Callable[..., Visit], address: str) -> Visit:
    """One visit for the tests that only use the page."""
    return visit(address).ready()


def test_samples_are_the_eager_models(shared: Visit, image_run: View, agree: Any):
    for seed in (0, 2**63 - 1):
        shared.page.fill("#seed", str(seed))
        shared.page.select_option("#count", "48")
        shared.press("Draw")
        shared.until(f"document.querySelector('#status').textContent === '48 samples of seed {seed} are drawn.'")
        noise = sample_noise(48, image_run.sampler.noise_dim, seed, "uniform")
        some = [0, 1, 23, 47]
        agree(image_run, image_run.sampler(noise)[some], [shared.sample(i + 1) for i in some])


def test_a_slider_moves_and_the_picture_follows(shared: Visit, image_run: View, agree: Any):
    before, code = shared.picture(), shared.code()
    slider = shared.page.get_by_role("slider", name="z2.1")
    slider.focus()
    for _ in range(40):
        shared.page.keyboard.press("ArrowRight")
    shared.until("explorer.lanes.idle")
    moved = shared.code()
    assert moved[2] > code[2]
    assert moved[:2] + moved[3:] == code[:2] + code[3:]
    agree(image_run, [moved], [shared.picture()])
    assert np.abs(shared.picture().astype(int) - before).max() > 4
    assert slider.get_attribute("aria-valuetext") == f"{moved[2]:.2f}"
    shared.until(f"document.querySelector('#picture').ariaLabel.includes('{moved[2]:.2f}')")


def test_sliders_are_ranged_by_the_card(shared: Visit, image_run: View):
    shared.js(
        """() => document.querySelectorAll("input[type=range]").forEach((slider) => {
          slider.value = 1e9;
          slider.dispatchEvent(new Event("input"));
        })"""
    )
    np.testing.assert_allclose(shared.code(), image_run.codes.amax(dim=0), atol=0.02)
    shared.press("Mean code")
    np.testing.assert_allclose(shared.code(), image_run.codes.mean(dim=0), atol=1e-6)


def test_strips_show_where_sliders_lead(shared: Visit, image_run: View, agree: Any):
    shared.js("explorer.setCode([0.1, -0.2, 0.3, 0.4, -0.5, 0.6])")
    shared.page.locator(".slider").last.scroll_into_view_if_needed()
    shared.until("!document.querySelector('canvas.stale') && explorer.lanes.idle")
    low, high = image_run.codes.amin(dim=0), image_run.codes.amax(dim=0)
    for dimension in (0, 5):
        z = torch.tensor([0.1, -0.2, 0.3, 0.4, -0.5, 0.6]).repeat(7, 1)
        z[:, dimension] = torch.linspace(low[dimension], high[dimension], 7)
        found = shared.pixels(f".slider:has(#z{dimension}) canvas")
        agree(image_run, z, [found[:, 9 * place : 9 * place + 8] for place in range(7)])
    strip = shared.page.locator(".slider:has(#z5) canvas")
    box = strip.bounding_box()
    strip.click(position={"x": box["width"] - 2, "y": 2})
    assert shared.code()[5] == pytest.approx(high[5].item())
    assert not shared.js("document.querySelector('.slider:has(#z5) canvas').classList.contains('stale')")
    assert shared.js("document.querySelector('.slider:has(#z0) canvas').classList.contains('stale')")


def test_a_sample_sets_the_sliders(shared: Visit, image_run: View):
    shared.page.fill("#seed", "5")
    shared.page.keyboard.press("Enter")
    shared.until("document.querySelector('#status').textContent.includes('samples of seed 5')")
    shared.page.get_by_role("button", name="Sample 3:").press("Enter")
    expected = image_run.sampler(sample_noise(3, image_run.sampler.noise_dim, 5, "uniform"))[2]
    np.testing.assert_allclose(shared.code(), expected, atol=1e-6)
    assert shared.status() == "The sliders are at the code of sample 3 of seed 5."
    shared.press("Next seed")
    assert shared.page.input_value("#seed") == "6"


def test_moves_never_queue_up(shared: Visit, image_run: View, agree: Any):
    """A hundred moves while the first is decoded: that one, and the last."""
    shared.page.wait_for_timeout(200)  # until strips in sight are asked for
    shared.until("explorer.lanes.idle")
    shared.js(
        """() => {
          const [slider, picture] = ["#z0", "#picture"].map((id) => document.querySelector(id));
          window.painted = [];
          picture.addEventListener("painted", ({ detail }) => window.painted.push(detail.z[0]));
          for (let i = 0; i <= 100; i++) {
            slider.value = Number(slider.min) + ((slider.max - slider.min) * i) / 100;
            slider.dispatchEvent(new Event("input"));
          }
        }"""
    )
    shared.until("explorer.lanes.idle")
    codes = image_run.codes[:, 0]
    assert shared.js("window.painted") == pytest.approx([codes.min().item(), codes.max().item()], abs=0.02)
    agree(image_run, [shared.code()], [shared.picture()])


ASKED = """() => {
  window.asked = [];
  const post = Worker.prototype.postMessage;
  Worker.prototype.postMessage = function (message, ...rest) {
    if (message.graph) asked.push(`${message.rows} of ${message.graph}`);
    return post.call(this, message, ...rest);
  };
}"""


def test_single_codes_of_a_quick_decoder_are_decoded_in_the_page(shared: Visit, image_run: View, agree: Any):
    shared.until("explorer.decoder.here")
    shared.until("explorer.lanes.idle")
    shared.js(ASKED)
    z = [-0.3, 0.2, 0.1, 0.4, 0.5, -0.6]
    shared.set_code(z)
    agree(image_run, [z], [shared.picture()])
    assert shared.js("asked") == []
    shared.page.wait_for_timeout(200)  # until strips in sight are asked for
    shared.until("explorer.lanes.idle")
    assert shared.js("asked").count("7 of decoder") >= 1


def test_the_worker_decodes_what_the_page_cannot_open(
    visit: Callable[..., Visit], site: Path, address: str, image_run: View, agree: Any
):
    """The decoder's file is another one when the page asks for it, after the worker did."""
    whole, asked = (site / "decoder.onnx").read_bytes(), []

    def answer(route: Any) -> None:
        asked.append(route.request.url)
        route.fulfill(body=whole if len(asked) == 1 else whole[:-1], content_type="application/octet-stream")

    page = visit(address, alone=True, decoder=answer).ready()
    problem = "in the page itself: decoder.onnx is not the file card.json describes: export again"
    page.until(f"explorer.engine.notes.includes('{problem}')")
    page.js(ASKED)
    z = [0.3, 0.2, -0.1, 0.4, 0.5, -0.6]
    page.set_code(z)
    agree(image_run, [z], [page.picture()])
    assert page.js("[asked[0], explorer.decoder.here]") == ["1 of decoder", False]
    assert len(asked) == 2


@pytest.mark.parametrize("seed", ["", "-1", "1.5", "seven", str(2**63)])
def test_a_bad_seed_is_refused(shared: Visit, seed: str):
    shared.page.fill("#seed", seed)
    shared.js("window.first = document.querySelector('#samples li')")
    shared.press("Draw")
    assert "from 0 to 9223372036854775807" in shared.page.inner_text("#seed-problem")
    assert shared.page.get_attribute("#seed", "aria-invalid") is not None
    assert shared.js("window.first === document.querySelector('#samples li')")
    shared.page.fill("#seed", "3")
    shared.press("Draw")
    assert shared.page.inner_text("#seed-problem") == ""
    assert shared.js("window.first !== document.querySelector('#samples li')")


def test_noise_has_the_bits_of_every_host(shared: Visit):
    cases = [[case["seed"], case["row"]] for case in CASES]
    found = shared.js(
        """async (cases) => {
          const { sampleNoise, words } = await import("./page/noise.js");
          const hex = (numbers) => Array.from(numbers, (number) => number.toString(16).padStart(8, "0"));
          return cases.map(([seed, row]) => {
            const draw = (law) => (row < 100 ? sampleNoise(row + 1, 6, BigInt(seed), law).slice(-6) : new Float32Array());
            return [
              hex([...words(BigInt(seed), row, 0), ...words(BigInt(seed), row, 1)].slice(0, 6)),
              hex(new Uint32Array(draw("uniform").buffer)),
              Array.from(draw("normal")),
            ];
          });
        }""",
        cases,
    )
    for case, (words, bits, normal) in zip(CASES, found, strict=True):
        assert words == case["words"]
        if bits:
            assert bits == case["bits"]
            np.testing.assert_allclose(normal, case["normal"], rtol=0, atol=1e-6)


def test_everything_has_a_name_and_the_focus_shows(shared: Visit):
    page = shared.page
    assert page.get_by_role("slider").count() == 6
    for i in range(6):
        assert page.get_by_role("slider", name=f"z{i // 2 + 1}.{i % 2 + 1}", exact=True).count() == 1
        assert page.get_by_role("img", name=f"Where z{i // 2 + 1}.{i % 2 + 1} leads").count() == 1
    assert page.get_by_role("group", name="z1").count() == 1
    assert page.get_by_role("textbox", name="Seed").count() == 1
    assert page.get_by_role("combobox", name="How many").count() == 1
    assert page.get_by_role("status").count() == 1
    unnamed = "button:not([aria-label]):empty, canvas:not([role=img]):not(button canvas), a:empty, input:not([id])"
    assert page.locator(unnamed).count() == 0
    page.locator("#reset").focus()
    reached = []
    for _ in range(7):
        page.keyboard.press("Tab")
        reached.append(shared.js("document.activeElement.id"))
        assert shared.js("getComputedStyle(document.activeElement).outlineStyle") == "solid"
    assert reached == [*(f"z{i}" for i in range(6)), "seed"]


def test_it_fits_a_phone(shared: Visit):
    shared.page.set_viewport_size({"width": 360, "height": 740})
    assert shared.js("document.scrollingElement.scrollWidth") <= 360
    box = shared.page.locator("#picture").bounding_box()
    assert box["width"] < 160
    named, used = (shared.page.locator(selector).bounding_box() for selector in ("label[for=count]", "#count"))
    assert abs(named["y"] + named["height"] / 2 - used["y"] - used["height"] / 2) < 4
    # What the keyboard comes to is not left behind the picture that stays in sight.
    top, bottom = shared.js(
        """() => {
          const [slider, picture] = ["#z3", ".picture"].map((one) => document.querySelector(one));
          scrollBy(0, slider.getBoundingClientRect().top - 20);
          slider.focus();
          return [slider.getBoundingClientRect().top, picture.getBoundingClientRect().bottom];
        }"""
    )
    assert bottom > 0
    assert top > bottom
    shared.page.set_viewport_size({"width": 1280, "height": 720})


def test_nothing_leaves_the_server_and_nobody_complains(shared: Visit):
    """Of all that the tests above did."""
    assert {urlsplit(url).hostname for url in shared.requests if not url.startswith("data:")} == {"127.0.0.1"}
    assert shared.complaints == []
    assert shared.js("[crossOriginIsolated, explorer.engine.backend]") == [True, "wasm"]
    assert shared.js("explorer.engine.threads") == min(4, shared.js("navigator.hardwareConcurrency"))


def test_where_browsers_allow_no_service_worker_one_thread_does_and_the_page_says_why(
    visit: Callable[..., Visit], address: str, image_run: View, agree: Any
):
    """At another address than localhost, without https."""
    page = visit(address.replace("127.0.0.1", "0.0.0.0")).ready()
    assert page.js("[isSecureContext, 'serviceWorker' in navigator, crypto.subtle]") == [False, False, None]
    assert page.page.get_by_text("Threads, WebGPU and the check of hashes need https or localhost").is_visible()
    assert page.js("[crossOriginIsolated, explorer.engine.threads]") == [False, 1]
    assert page.js("explorer.engine.notes") == ["webgpu: this browser offers none"]
    assert page.page.inner_text("#engine") == "WebAssembly, 1 thread"
    agree(image_run, [page.code()], [page.picture()])
    assert page.complaints == []


BLOCKED = """Object.defineProperty(window, "sessionStorage", {
  get() { throw new DOMException("Access is denied for this document.", "SecurityError"); },
})"""


@pytest.mark.full
def test_where_site_data_is_blocked_one_thread_does(
    visit: Callable[..., Visit], address: str, image_run: View, agree: Any
):
    page = visit(address, first=BLOCKED).ready()
    assert page.js("[isSecureContext, crossOriginIsolated, explorer.engine.threads]") == [True, False, 1]
    agree(image_run, [page.code()], [page.picture()])
    assert page.complaints == []


def edit_card(folder: Path) -> None:
    card = json.loads((folder / "card.json").read_text())
    card["golden"]["output"][0] += 0.1
    (folder / "card.json").write_text(json.dumps(card))


def cut_decoder(folder: Path) -> None:
    (folder / "decoder.onnx").write_bytes((folder / "decoder.onnx").read_bytes()[:-1])


def remove_card(folder: Path) -> None:
    (folder / "card.json").unlink()


def remove_sampler(folder: Path) -> None:
    (folder / "sampler.onnx").unlink()


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (edit_card, "golden output: this browser does not reproduce the exported model"),
        (cut_decoder, "decoder.onnx is not the file card.json describes: export again"),
        (remove_card, "card.json: the server answers 404"),
        (remove_sampler, "sampler.onnx: the server answers 404"),
    ],
)
def test_a_damaged_export_is_refused(
    visit: Callable[..., Visit], serve: Callable[[Path], str], site: Path, tmp_path: Path, damage: Any, message: str
):
    folder = shutil.copytree(site, tmp_path / "site")
    damage(folder)
    page = visit(serve(folder), alone=True)
    page.until("document.querySelector('#status').classList.contains('problem')")
    assert message in page.status()
    assert not page.page.is_visible("main")
