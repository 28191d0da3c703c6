"""What does an exported decoder cost, next to the eager model and to the bare runtime?

    python benchmarks/export.py --out DIR             SAE-12 at 64 pixels, ONNX, pt2 and TorchScript, batches of 1 and 64

The weights are those of two steps, since how good they are makes no difference to the time. Every way is timed in turn, round
after round, so that a busy machine slows all alike; figures are medians over the rounds, and ratios are of those. Sampling goes
the whole way from a seed to images. Writes the run and its exports, and prints Markdown.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from statistics import median
from typing import Literal

import numpy as np
import onnxruntime
import torch
from finish import finish

import aerepr
from aerepr.export.load import Decoder, load_decoder
from aerepr.spec.read import spec_from_tables
from aerepr.workflows.load import Run

FORMATS: tuple[Literal["onnx", "pt2", "torchscript"], ...] = ("onnx", "pt2", "torchscript")
BATCHES = (1, 64)

# (way, compared with, at most this many times its time, at these batch sizes)
TARGETS = [
    ("onnx: sample(n, seed)", "onnxruntime: bare decoder", {1: 1.05, 64: 1.05}),
    ("onnx: sample(n, seed)", "eager: decode(z)", {1: 1.0, 64: 1.0}),
    ("torchscript: decode(z)", "eager: decode(z)", {1: 1.0, 64: 1.15}),
    ("pt2: decode(z)", "eager: decode(z)", {}),
]


def parsed(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True, help="folder of the run and its exports")
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--warm-up", type=int, default=3, help="rounds before those, not counted")
    parser.add_argument(
        "--set", dest="sets", action="append", default=[], metavar="KEY=VALUE", help="changes of the spec"
    )
    return parser.parse_args(arguments)


def ways(run: Run, folder: Path, batch: int) -> dict[str, Callable[[], object]]:
    """What is timed, by name."""
    decoders: dict[str, Decoder] = {name: load_decoder(folder, trust=True, format=name) for name in FORMATS}
    session = onnxruntime.InferenceSession(folder / "decoder.onnx", providers=["CPUExecutionProvider"])
    z = decoders["onnx"].draw(batch, 0)
    codes, model = torch.from_numpy(z), run.view.model

    def eager() -> object:
        with torch.no_grad():
            return model.decode(codes)

    found: dict[str, Callable[[], object]] = {
        "eager: decode(z)": eager,
        "onnxruntime: bare decoder": lambda: session.run(None, {"z": z}),
    }
    for name, decoder in decoders.items():
        found[f"{name}: decode(z)"] = partial(decoder.decode, z)
        found[f"{name}: sample(n, seed)"] = partial(decoder.sample, batch, 0)
    return found


def timed(found: dict[str, Callable[[], object]], warm_up: int, rounds: int) -> dict[str, float]:
    """Median seconds of each way, all in turn."""
    seconds: dict[str, list[float]] = {name: [] for name in found}
    for number in range(warm_up + rounds):
        for name, call in found.items():
            began = time.perf_counter()
            call()
            if number >= warm_up:
                seconds[name].append(time.perf_counter() - began)
    return {name: median(values) for name, values in seconds.items()}


def report(seconds: dict[int, dict[str, float]], run: Run, exported: dict[str, int]) -> str:
    lines = [
        "| way | " + " | ".join(f"batch {batch}, ms" for batch in seconds) + " |",
        "|---" * (1 + len(seconds)) + "|",
    ]
    for name in next(iter(seconds.values())):
        lines.append(f"| {name} | " + " | ".join(f"{1000 * found[name]:.1f}" for found in seconds.values()) + " |")
    lines += ["", "| ratio | batch | found | at most |", "|---|---|---|---|"]
    for name, other, limits in TARGETS:
        for batch, found in seconds.items():
            limit = f"{limits[batch]:.2f}" if batch in limits else ""
            lines.append(f"| {name} / {other} | {batch} | {found[name] / found[other]:.2f} | {limit} |")
    model = run.view.model
    weights = sum(
        value.numel() * value.element_size()
        for part in (model.decoder, model.likelihood)
        for value in part.state_dict().values()
    )
    lines += ["", "| file | bytes | of the decoder's weights |", "|---|---|---|"]
    lines += [f"| {name} | {size:,} | {size / weights:.3f} |" for name, size in exported.items()]
    versions = f"torch {torch.__version__}, onnxruntime {onnxruntime.__version__}, numpy {np.__version__}"
    return "\n".join([*lines, "", f"{torch.get_num_threads()} threads, {versions}"])


def main(arguments: Sequence[str] | None = None) -> None:
    asked = parsed(arguments)
    tables = {
        "name": "export",
        "model": {"recipe": "SAE-12"},
        "data": {"name": "rooms"},
        "train": {"steps": 2, "device": "cpu", "validate_every": 1_000_000},
    }
    run = aerepr.load(finish(spec_from_tables(tables, asked.sets), asked.out / "SAE-12"))
    exported = run.export(FORMATS, out=asked.out / "exports")
    seconds = {batch: timed(ways(run, asked.out / "exports", batch), asked.warm_up, asked.rounds) for batch in BATCHES}
    print(report(seconds, run, exported["bytes"]))


if __name__ == "__main__":
    main()
