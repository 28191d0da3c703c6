"""Visits to exported pages in a real browser, as fixtures; a test module takes them with `pytest_plugins`.

All modules then share one browser. Needs Chromium, the Python package playwright and the npm package that the page runs; what is
missing is said where tests skip.
"""

from __future__ import annotations

import os
import shutil
import threading
import time
from base64 import b64decode
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from aerepr.builtin.exporters.web import MissingRuntime, WebExporter, WebSpec, runtime_archive
from aerepr.export.write import export_run
from aerepr.layers.exportable import Decode, standalone
from aerepr.model.view import View
from aerepr.registry.registry import Registry
from tests.environments import absent

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

# No graphics card, whether there is one or not; or one that SwiftShader imitates on the processor, slowly, with WebGPU.
NO_CARD = ("--disable-gpu",)
IMITATED_CARD = ("--enable-unsafe-webgpu", "--use-webgpu-adapter=swiftshader")

# How far a byte of a picture may be from the eager model's.
CLOSE = 2


class Files(SimpleHTTPRequestHandler):
    """A static server that keeps quiet."""

    def log_message(self, format: str, *args: object) -> None: ...


class Visit:
    """One page of an export, and what it asked for and complained of.

    `alone`: in a browser without service workers. `decoder`: answers every request for the decoder's file. `first`: a script that
    runs before those of the page.
    """

    def __init__(
        self,
        browser: Any,
        address: str,
        alone: bool = False,
        decoder: Callable[[Any], None] | None = None,
        first: str = "",
    ) -> None:
        self.context = browser.new_context()
        if decoder is not None:
            self.context.route("**/decoder.onnx", decoder)
        if alone:
            self.context.add_init_script("delete Navigator.prototype.serviceWorker")
        if first:
            self.context.add_init_script(first)
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
        from playwright.sync_api import Error

        end = time.monotonic() + seconds
        while time.monotonic() < end:
            try:
                if self.js(expression):
                    return
            except Error:  # it reloads once, to be isolated
                pass
            time.sleep(0.02)
        raise AssertionError(f"not within {seconds} s: {expression}; the page says: {self.status()}")

    def ready(self) -> Visit:
        self.until("window.explorer?.lanes.idle && !document.querySelector('#samples button:disabled')")
        return self

    def press(self, button: str) -> None:
        self.page.get_by_role("button", name=button, exact=True).click()

    def status(self) -> str:
        text: str = self.page.inner_text("#status")
        return text

    def pixels(self, selector: str) -> np.ndarray:
        """Bytes (H, W, 3) of a canvas."""
        width, height, text = self.js(
            """(selector) => {
              const canvas = document.querySelector(selector);
              const copy = new OffscreenCanvas(canvas.width, canvas.height).getContext("2d", { willReadFrequently: true });
              copy.drawImage(canvas, 0, 0);
              const { width, height, data } = copy.getImageData(0, 0, canvas.width, canvas.height);
              return [width, height, btoa(data.reduce((text, byte) => text + String.fromCharCode(byte), ""))];
            }""",
            selector,
        )
        return np.frombuffer(b64decode(text), np.uint8).reshape(height, width, 4)[..., :3]

    def picture(self) -> np.ndarray:
        return self.pixels("#picture")

    def sample(self, number: int) -> np.ndarray:
        return self.pixels(f"#samples li:nth-child({number}) canvas")

    def code(self) -> list[float]:
        found: list[float] = self.js("explorer.code()")
        return found

    def set_code(self, z: list[float]) -> None:
        """Set the sliders to a code, and wait until the picture is that."""
        self.js(
            """(z) => new Promise((resolve) => {
              document.querySelector("#picture").addEventListener("painted", function painted({ detail }) {
                if (!z.every((value, i) => detail.z[i] === Math.fround(value))) return;
                this.removeEventListener("painted", painted);
                resolve();
              });
              explorer.setCode(z);
            })""",
            z,
        )


@contextmanager
def serving(folder: Path) -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Files, directory=str(folder)))
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@pytest.fixture(scope="session")
def chromium() -> Iterator[Callable[..., Any]]:
    """Starts a browser with the flags of a graphics card."""
    try:
        from playwright.sync_api import sync_playwright
    except ImportError:
        absent("needs the Python package playwright")
    executable = next((found for name in BROWSERS if (found := shutil.which(name))), None)
    if executable is None:
        absent(f"needs a browser: none of {', '.join(BROWSERS)} is installed")
    with sync_playwright() as driver, ExitStack() as started:

        def start(flags: tuple[str, ...]) -> Any:
            return started.enter_context(driver.chromium.launch(executable_path=executable, args=[*FLAGS, *flags]))

        yield start


@pytest.fixture(scope="session")
def browser(chromium: Callable[..., Any]) -> Any:
    return chromium(NO_CARD)


@pytest.fixture(scope="session")
def imitating(chromium: Callable[..., Any]) -> Any:
    """A browser with WebGPU, computed on the processor."""
    return chromium(IMITATED_CARD)


@pytest.fixture(scope="session")
def serve() -> Iterator[Callable[[Path], str]]:
    """Serves a folder as long as tests run; gives its address."""
    with ExitStack() as open_ones:
        yield lambda folder: open_ones.enter_context(serving(folder))


@pytest.fixture(scope="module")
def visit(browser: Any) -> Iterator[Callable[..., Visit]]:
    """Opens a page, which is closed with the module."""
    made: list[Visit] = []

    def opened(address: str, **options: Any) -> Visit:
        made.append(Visit(options.pop("browser", browser), address, **options))
        return made[-1]

    yield opened
    for one in made:
        one.context.close()


@pytest.fixture(scope="session")
def runtime() -> Path:
    """The npm package that every site holds."""
    try:
        return runtime_archive()
    except MissingRuntime as cause:
        absent(str(cause))


@pytest.fixture(scope="session")
def site(image_run: View, runtime: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What `export --to web` writes. Read it; change a copy."""
    folder = tmp_path_factory.mktemp("site") / "exports"
    export_run(image_run, folder, ["web"], Registry())
    return folder


@pytest.fixture(scope="session")
def site_of(image_run: View, runtime: Path, tmp_path_factory: pytest.TempPathFactory) -> Callable[[Path], Path]:
    """The site of an export: a copy, with what the exporter `web` adds, which is the same for every run."""
    page = tmp_path_factory.mktemp("page")
    WebExporter(WebSpec(name="web")).write(image_run, page)

    def made(exported: Path) -> Path:
        folder = shutil.copytree(exported, tmp_path_factory.mktemp("site") / "exports")
        return shutil.copytree(page, folder, copy_function=os.link, dirs_exist_ok=True)

    return made


@pytest.fixture(scope="session")
def agree() -> Callable[[View, Any, Sequence[np.ndarray]], None]:
    """Asserts that pictures are what codes decode to eagerly."""

    def compare(run: View, z: Any, pictures: Sequence[np.ndarray]) -> None:
        with torch.no_grad():
            images = standalone(Decode(run.model))(torch.as_tensor(z, dtype=torch.float32))
        expected = images.permute(0, 2, 3, 1).mul(255).expand(-1, -1, -1, 3)
        assert len(pictures) == len(expected)
        for found, image in zip(pictures, expected.numpy(), strict=True):
            np.testing.assert_allclose(found, image, rtol=0, atol=CLOSE)

    return compare
