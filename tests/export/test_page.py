"""The page of `export --to web` in a real browser: it shows what the eager model gives, asks nobody else, and can be used by all.

Needs Chromium and the npm package that the page runs; what is missing is said where the tests are skipped.
"""

from __future__ import annotations

import json
import shutil
import threading
import time
from collections.abc import Callable, Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import ModuleType
from typing import Any
from urllib.parse import urlsplit

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from aerepr.builtin.exporters.web import MissingRuntime, runtime_archive
from aerepr.export.card import read_card
from aerepr.export.write import export_run
from aerepr.kinds.objective import Motion, Objective
from aerepr.kinds.run import Model
from aerepr.kinds.step import Step, Terms
from aerepr.layers.exportable import Decode, standalone
from aerepr.layers.noise import sample_noise
from aerepr.model.view import View
from aerepr.registry.registry import Registry

playwright = pytest.importorskip("playwright.sync_api", reason="needs playwright")

CASES = json.loads((Path(__file__).parents[2] / "docs" / "noise.json").read_text(encoding="utf-8"))["cases"]

BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")

# Chromium as root in a container, and without a word to its makers.
FLAGS = (
    "--no-sandbox",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)

# How far a byte of a picture may be from the eager model's.
CLOSE = 2


class Files(SimpleHTTPRequestHandler):
    """A static server that keeps quiet."""

    def log_message(self, format: str, *args: object) -> None: ...


class Visit:
    """One page of an export, and what it asked for and complained of.

    `alone`: in a browser without service workers. `decoder`: answers every request for the decoder's file.
    """

    def __init__(
        self, browser: Any, address: str, alone: bool = False, decoder: Callable[[Any], None] | None = None
    ) -> None:
        self.context = browser.new_context()
        if decoder is not None:
            self.context.route("**/decoder.onnx", decoder)
        if alone:
            self.context.add_init_script("delete Navigator.prototype.serviceWorker")
        self.page = self.context.new_page()
        self.requests: list[str] = []
        self.complaints: list[str] = []
        self.context.on("request", lambda request: self.requests.append(request.url))
        self.page.on("console", lambda message: self.complaints.append(message.text))
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))
        self.page.goto(address)

    def js(self, expression: str, argument: Any = None) -> Any:
        """What an expression gives in the page."""
        return self.page.evaluate(expression, argument)

    def until(self, expression: str, seconds: float = 30) -> None:
        """Wait until it is true. The page's own rules allow no script that is made of text, so it is asked from here."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            try:
                if self.js(expression):
                    return
            except playwright.Error:  # it reloads once, to be isolated
                pass
            time.sleep(0.02)
        raise AssertionError(f"not within {seconds} s: {expression}; the page says: {self.status()}")

    def ready(self) -> Visit:
        self.until("window.explorer?.lanes.idle && !document.querySelector('#samples button:disabled')")
        return self

    def press(self, button: str) -> None:
        self.page.get_by_role("button", name=button, exact=True).click()

    def status(self) -> str:
        return self.page.inner_text("#status")

    def pixels(self, selector: str) -> np.ndarray:
        """Bytes (H, W, 3) of a canvas."""
        width, height, values = self.js(
            """(selector) => {
              const canvas = document.querySelector(selector);
              const copy = new OffscreenCanvas(canvas.width, canvas.height).getContext("2d", { willReadFrequently: true });
              copy.drawImage(canvas, 0, 0);
              const { width, height, data } = copy.getImageData(0, 0, canvas.width, canvas.height);
              return [width, height, Array.from(data)];
            }""",
            selector,
        )
        return np.array(values, np.uint8).reshape(height, width, 4)[..., :3]

    def picture(self) -> np.ndarray:
        return self.pixels("#picture")

    def code(self) -> list[float]:
        found: list[float] = self.js("explorer.code()")
        return found


@pytest.fixture(scope="session")
def browser() -> Iterator[Any]:
    executable = next((found for name in BROWSERS if (found := shutil.which(name))), None)
    if executable is None:
        pytest.skip(f"needs a browser: none of {', '.join(BROWSERS)} is installed")
    with playwright.sync_playwright() as driver:
        launched = driver.chromium.launch(executable_path=executable, args=list(FLAGS))
        yield launched
        launched.close()


@pytest.fixture(scope="session")
def site(image_run: View, tmp_path_factory: pytest.TempPathFactory) -> Path:
    try:
        runtime_archive()
    except MissingRuntime as cause:
        pytest.skip(str(cause))
    folder = tmp_path_factory.mktemp("site") / "exports"
    export_run(image_run, folder, ["web"], Registry())
    return folder


def serve(folder: Path) -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Files, directory=str(folder)))
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}/"
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.fixture(scope="session")
def address(site: Path) -> Iterator[str]:
    yield from serve(site)


@pytest.fixture(scope="module")
def shared(browser: Any, address: str) -> Iterator[Visit]:
    """One visit for the tests that only use the page."""
    visit = Visit(browser, address)
    yield visit.ready()
    visit.context.close()


@pytest.fixture
def decode(image_run: View) -> Any:
    """Codes to bytes (n, H, W, 3), eagerly."""
    module = standalone(Decode(image_run.model))

    def run(z: Any) -> np.ndarray:
        with torch.no_grad():
            images = module(torch.as_tensor(z, dtype=torch.float32))
        return images.permute(0, 2, 3, 1).mul(255).numpy()

    return run


def test_samples_are_the_eager_models(shared: Visit, image_run: View, decode: Any):
    for seed in (0, 2**63 - 1):
        shared.page.fill("#seed", str(seed))
        shared.page.select_option("#count", "48")
        shared.press("Draw")
        shared.until(f"document.querySelector('#status').textContent === '48 samples of seed {seed} are drawn.'")
        noise = sample_noise(48, image_run.sampler.noise_dim, seed, "uniform")
        expected = decode(image_run.sampler(noise))
        for i in (0, 1, 23, 47):
            found = shared.pixels(f"#samples li:nth-child({i + 1}) canvas")
            np.testing.assert_allclose(found, expected[i], atol=CLOSE)


def test_a_slider_moves_and_the_picture_follows(shared: Visit, decode: Any):
    before, code = shared.picture(), shared.code()
    slider = shared.page.get_by_role("slider", name="z2.1")
    slider.focus()
    for _ in range(40):
        shared.page.keyboard.press("ArrowRight")
    shared.until("explorer.lanes.idle")
    moved = shared.code()
    assert moved[2] > code[2]
    assert moved[:2] + moved[3:] == code[:2] + code[3:]
    np.testing.assert_allclose(shared.picture(), decode([moved])[0], atol=CLOSE)
    assert np.abs(shared.picture().astype(int) - before).max() > 2 * CLOSE
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


def test_strips_show_where_sliders_lead(shared: Visit, image_run: View, decode: Any):
    shared.js("explorer.setCode([0.1, -0.2, 0.3, 0.4, -0.5, 0.6])")
    shared.page.locator(".slider").last.scroll_into_view_if_needed()
    shared.until("!document.querySelector('canvas.stale') && explorer.lanes.idle")
    low, high = image_run.codes.amin(dim=0), image_run.codes.amax(dim=0)
    for dimension in (0, 5):
        z = torch.tensor([0.1, -0.2, 0.3, 0.4, -0.5, 0.6]).repeat(7, 1)
        z[:, dimension] = torch.linspace(low[dimension], high[dimension], 7)
        found = shared.pixels(f".slider:has(#z{dimension}) canvas")
        for place, expected in enumerate(decode(z)):
            np.testing.assert_allclose(found[:, 9 * place : 9 * place + 8], expected, atol=CLOSE)
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


def test_moves_never_queue_up(shared: Visit, image_run: View, decode: Any):
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
    np.testing.assert_allclose(shared.picture(), decode([shared.code()])[0], atol=CLOSE)


ASKED = """() => {
  window.asked = [];
  const post = Worker.prototype.postMessage;
  Worker.prototype.postMessage = function (message, ...rest) {
    if (message.graph) asked.push(`${message.rows} of ${message.graph}`);
    return post.call(this, message, ...rest);
  };
}"""


def test_single_codes_of_a_quick_decoder_are_decoded_in_the_page(shared: Visit, decode: Any):
    shared.until("explorer.decoder.here")
    shared.until("explorer.lanes.idle")
    shared.js(ASKED)
    z = [-0.3, 0.2, 0.1, 0.4, 0.5, -0.6]
    shared.js(
        """(z) => new Promise((resolve) => {
          document.querySelector("#picture").addEventListener("painted", resolve, { once: true });
          explorer.setCode(z);
        }).then(() => null)""",
        z,
    )
    np.testing.assert_allclose(shared.picture(), decode([z])[0], atol=CLOSE)
    assert shared.js("asked") == []
    shared.page.wait_for_timeout(200)  # until strips in sight are asked for
    shared.until("explorer.lanes.idle")
    assert shared.js("asked").count("7 of decoder") >= 1


def test_the_worker_decodes_what_the_page_cannot_open(browser: Any, site: Path, address: str, decode: Any):
    """The decoder's file is another one when the page asks for it, after the worker did."""
    whole, asked = (site / "decoder.onnx").read_bytes(), []

    def answer(route: Any) -> None:
        asked.append(route.request.url)
        route.fulfill(body=whole if len(asked) == 1 else whole[:-1], content_type="application/octet-stream")

    visit = Visit(browser, address, alone=True, decoder=answer).ready()
    problem = "in the page itself: decoder.onnx is not the file card.json describes: export again"
    visit.until(f"explorer.engine.notes.includes('{problem}')")
    visit.js(ASKED)
    z = [0.3, 0.2, -0.1, 0.4, 0.5, -0.6]
    visit.js("(z) => explorer.setCode(z)", z)
    visit.until("explorer.lanes.idle")
    np.testing.assert_allclose(visit.picture(), decode([z])[0], atol=CLOSE)
    assert visit.js("[asked[0], explorer.decoder.here]") == ["1 of decoder", False]
    assert len(asked) == 2
    visit.context.close()


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
    shared.page.set_viewport_size({"width": 1280, "height": 720})


def test_nothing_leaves_the_server_and_nobody_complains(shared: Visit):
    """Of all that the tests above did."""
    assert {urlsplit(url).hostname for url in shared.requests if not url.startswith("data:")} == {"127.0.0.1"}
    assert shared.complaints == []
    assert shared.js("[crossOriginIsolated, explorer.engine.backend]") == [True, "wasm"]
    assert shared.js("explorer.engine.threads") == min(4, shared.js("navigator.hardwareConcurrency"))


def test_without_a_service_worker_one_thread_does(browser: Any, address: str, decode: Any):
    visit = Visit(browser, address, alone=True).ready()
    assert visit.js("[crossOriginIsolated, explorer.engine.threads]") == [False, 1]
    assert visit.page.inner_text("#engine") == "WebAssembly, 1 thread"
    np.testing.assert_allclose(visit.picture(), decode([visit.code()])[0], atol=CLOSE)
    assert visit.complaints == []
    visit.context.close()


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
def test_a_damaged_export_is_refused(browser: Any, site: Path, tmp_path: Path, damage: Any, message: str):
    folder = shutil.copytree(site, tmp_path / "site")
    damage(folder)
    for address in serve(folder):
        visit = Visit(browser, address, alone=True)
        visit.until("document.querySelector('#status').classList.contains('problem')")
        assert message in visit.status()
        assert not visit.page.is_visible("main")
        visit.context.close()


# Codes that move by themselves.

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
def moving_site(moving_run: View, tmp_path_factory: pytest.TempPathFactory) -> Path:
    try:
        runtime_archive()
    except MissingRuntime as cause:
        pytest.skip(str(cause))
    folder = tmp_path_factory.mktemp("moving") / "exports"
    export_run(moving_run, folder, ["web"], Registry())
    return folder


@pytest.fixture(scope="module")
def visit(browser: Any, moving_site: Path) -> Iterator[Visit]:
    for address in serve(moving_site):
        visit = Visit(browser, address)
        yield visit.ready()
        visit.context.close()


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


def test_the_card_says_which_entry_moves_codes(moving_run: View, tmp_path: Path) -> None:
    export_run(moving_run, tmp_path / "exports", ["onnx"], Registry())
    graphs = read_card(tmp_path / "exports").graphs
    assert {name: graph.motion is not None for name, graph in graphs.items()} == {
        "decoder": False,
        "sampler": False,
        "carry": True,
    }
    motion = json.loads((tmp_path / "exports" / "card.json").read_text())["graphs"]["carry"]["motion"]
    assert motion == {"names": list(NAMES), "steps": STEPS}


def test_each_strip_is_a_transformation_of_the_code(visit: Visit, moving_run: View) -> None:
    decode = standalone(Decode(moving_run.model))
    visit.js("explorer.setCode([0.1, -0.2, 0.3, 0.4, -0.5, 0.6])")
    visit.page.locator("#motions").scroll_into_view_if_needed()
    visit.until("!document.querySelector('.motion canvas.stale') && explorer.lanes.idle")
    assert visit.page.locator(".motion strong").all_inner_texts() == list(NAMES)
    for k in range(2):
        with torch.no_grad():
            expected = decode(carried(moving_run, visit.code(), k)).permute(0, 2, 3, 1).mul(255).numpy()
        found = visit.pixels(f".motion:nth-child({k + 1}) canvas")
        assert found.shape[1] == 9 * (2 * STEPS + 1) - 1
        for place, picture in enumerate(expected):
            np.testing.assert_allclose(found[:, 9 * place : 9 * place + 8], picture, atol=CLOSE)
    assert visit.page.get_by_role("img", name="Where drift carries the code").count() == 1


def test_a_click_goes_there(visit: Visit, moving_run: View) -> None:
    visit.js("explorer.setCode([0.1, -0.2, 0.3, 0.4, -0.5, 0.6])")
    expected = carried(moving_run, visit.code(), 1)
    strip = visit.page.locator(".motion:nth-child(2) canvas")
    box = strip.bounding_box()
    strip.click(position={"x": box["width"] - 2, "y": 2})
    visit.until("document.querySelector('#status').textContent.includes('3 steps of drift further forward')")
    np.testing.assert_allclose(visit.code(), expected[-1], atol=1e-5)


def test_a_transformation_is_played_and_the_sliders_stay(visit: Visit, moving_run: View) -> None:
    visit.js("explorer.setCode([0, 0.5, 0, -0.5, 1, 1])")
    visit.until("explorer.lanes.idle")
    visit.js(
        """() => {
          window.painted = [];
          document.querySelector("#picture").addEventListener("painted", ({ detail }) => painted.push(Array.from(detail.z)));
        }"""
    )
    code = visit.code()
    visit.press("Play bend")
    visit.until("document.querySelector('#status').textContent === 'bend was played.' && explorer.lanes.idle")
    expected = [*carried(moving_run, code, 0).tolist(), code]
    np.testing.assert_allclose(visit.js("window.painted"), expected, atol=1e-5)
    assert visit.code() == code
    assert visit.complaints == []
