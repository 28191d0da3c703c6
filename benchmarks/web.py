"""What a slider move costs in the exported page, against the bare call of onnxruntime-web in the same page.

    python benchmarks/web.py --out DIR                SAE-12 at 64 pixels, weights of two steps; DIR may be that of export.py

A move is timed from the slider's event to the picture on the canvas: its code is decoded, by a quick decoder in the page itself
(`in_page`), else in the page's worker, and painted. The bare call is `session.run` with the values read, of a session that the
benchmark opens in the page itself, with the same runtime, file and number of threads. It is measured twice: of a page at rest,
and shown, which is the least that any page with a slider must do: the slider stands where it is moved to, and the values go to a
canvas. There is a move or a call in each frame, since that is when browsers tell a page of a pointer that moves. All take turns,
some of each at a time; what is compared are the medians.
Needs Chromium, the Python package playwright, and npm if the runtime of the page is not in the cache. Prints one line of JSON.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import sys
import threading
import time
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from statistics import median

from export import trained
from playwright.sync_api import Error, sync_playwright

BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
FLAGS = ["--no-sandbox", "--disable-quic", "--no-first-run", "--disable-background-networking", "--disable-sync"]

OPEN = """async () => {
  const ort = await import("./runtime/ort.wasm.js");
  ort.env.wasm.numThreads = explorer.engine.threads;
  window.bare = { ort, session: await ort.InferenceSession.create("decoder.onnx", { executionProviders: ["wasm"] }) };
}"""

BARE = """async ([count, shown]) => {
  const { ort, session } = window.bare;
  const [slider, picture] = ["#z0", "#picture"].map((id) => document.querySelector(id));
  const image = new ImageData(picture.width, picture.height);
  const { data, width, height } = image;
  const area = width * height;
  const { min, max } = explorer.card.codes[0];
  const times = [];
  for (let i = 0; i < count; i++) {
    const z = Float32Array.from(explorer.code());
    z[0] = min + ((max - min) * (i + 1)) / (count + 1);
    await new Promise(requestAnimationFrame);
    if (shown) slider.value = z[0];
    const began = performance.now();
    const output = (await session.run({ z: new ort.Tensor("float32", z, [1, z.length]) }))[session.outputNames[0]];
    const values = await output.getData();
    if (shown) {
      for (let p = 0; p < area; p++) {
        for (let c = 0; c < 3; c++) data[4 * p + c] = 255 * values[c * area + p];
        data[4 * p + 3] = 255;
      }
      picture.getContext("2d").putImageData(image, 0, 0);
    }
    times.push(performance.now() - began);
  }
  return times;
}"""

MOVES = """async (count) => {
  const [slider, picture] = ["#z0", "#picture"].map((id) => document.querySelector(id));
  const { min, max } = explorer.card.codes[0];
  const times = [];
  for (let i = 0; i < count; i++) {
    await new Promise(requestAnimationFrame);
    const painted = new Promise((resolve) => picture.addEventListener("painted", resolve, { once: true }));
    slider.value = min + ((max - min) * (i + 1)) / (count + 1);
    const began = performance.now();
    slider.dispatchEvent(new Event("input"));
    await painted;
    times.push(performance.now() - began);
  }
  return times;
}"""

# Most that a move may cost, in bare calls; and how long the page may take to open and to make its strips.
AT_MOST, PATIENCE_S = 1.3, 180

RESTS = "!!(window.explorer?.lanes.idle && !document.querySelector('#samples button:disabled'))"


class Files(SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: object) -> None: ...


def rest(page) -> None:
    """Wait until the page has nothing to do, its strips included."""
    quiet, end = 0, time.monotonic() + PATIENCE_S
    while quiet < 5:
        if time.monotonic() > end:
            sys.exit(f"the page does not come to rest: {page.inner_text('#status')}")
        page.wait_for_timeout(100)
        try:
            quiet = quiet + 1 if page.evaluate(RESTS) else 0
        except Error:  # it reloads once, to be isolated
            quiet = 0


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True, help="folder of the run and its page")
    parser.add_argument("--turns", type=int, default=12)
    parser.add_argument("--each", type=int, default=10, help="calls and moves a turn")
    parser.add_argument(
        "--set", dest="sets", action="append", default=[], metavar="KEY=VALUE", help="changes of the spec"
    )
    options = parser.parse_args()
    executable = next((found for name in BROWSERS if (found := shutil.which(name))), None)
    if executable is None:
        sys.exit(f"needs a browser: none of {', '.join(BROWSERS)} is installed")
    site = options.out / "web"
    trained(options.out, options.sets).export("web", out=site)
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Files, directory=str(site)))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    with sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=executable, args=FLAGS)
        page = browser.new_page()
        page.goto(f"http://127.0.0.1:{server.server_port}/?backend=wasm")
        rest(page)
        page.evaluate(OPEN)
        page.evaluate(BARE, [5, False])
        bare, shown, moves = [], [], []
        for _ in range(options.turns):
            rest(page)
            bare += page.evaluate(BARE, [options.each, False])
            rest(page)
            shown += page.evaluate(BARE, [options.each, True])
            rest(page)
            moves += page.evaluate(MOVES, options.each)
        engine = page.evaluate("explorer.engine")
        figures = {
            "bare_ms": round(median(bare), 2),
            "shown_ms": round(median(shown), 2),
            "move_ms": round(median(moves), 2),
            "ratio": round(median(moves) / median(bare), 3),
            "ratio_shown": round(median(moves) / median(shown), 3),
            "at_most": AT_MOST,
            "calls": len(bare),
            "threads": engine["threads"],
            "in_page": page.evaluate("explorer.decoder.here"),
            "browser": browser.version,
            "load_at_end": round(os.getloadavg()[0], 1),
        }
        browser.close()
    server.shutdown()
    print(json.dumps(figures))


if __name__ == "__main__":
    main()
