"""What does an exported decoder cost, next to the eager model and to the bare runtime?

    python benchmarks/export.py --out DIR             SAE-12 at 64 pixels, ONNX, pt2 and TorchScript, batches of 1 and 64

The weights are those of two steps, since how good they are makes no difference to the time. Sampling goes the whole way from a
seed to images. Every runtime uses all cores.

Every way has a process of its own, as in a program that uses it. Both torch and onnxruntime keep threads that go on waiting
actively for a while after a call; two of them in one process, call by call, take the cores from each other, and the same module
then differs from itself by a factor of two. The processes take turns: one works, the others sleep, and a pause lets threads fall
asleep before the next. In its turn a way is called again and again for half a second; the first calls, which wake threads and
fill caches, are not counted, nor is the first round, in which TorchScript specialises itself. A turn counts as the median of its
calls. Ratios are taken within a round, whose turns follow one another in another order each time, so that a machine that is slow
for a while is slow for both. Reported are medians over the rounds, and in brackets the middle half of them: a ratio whose
brackets are wide is one of a machine that did other things.

Writes the run and its exports, and prints Markdown.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from statistics import median, quantiles
from typing import TYPE_CHECKING, Literal

import numpy as np

if TYPE_CHECKING:
    from aerepr.workflows.load import Run

FORMATS: tuple[Literal["onnx", "pt2", "torchscript"], ...] = ("onnx", "pt2", "torchscript")
BATCHES = (1, 64)

# Length of the pause before a turn, and calls of a turn that are not counted.
PAUSE_S, WAKING = 0.2, 3

# (way, compared with, at most this many times its time, at these batch sizes)
TARGETS = [
    ("onnx: sample", "onnxruntime: bare decoder", {1: 1.05, 64: 1.05}),
    ("onnx: sample", "eager: decode", {1: 1.0, 64: 1.0}),
    ("torchscript: decode", "eager: decode", {1: 1.0, 64: 1.15}),
    ("pt2: decode", "eager: decode", {}),
]

# The calls of a way, by batch size.
Way = Callable[[int], Callable[[], object]]


def eager(place: Path) -> Way:
    """The model itself. What a process does not need, it does not import."""
    import torch

    import aerepr

    model, codes = aerepr.load(place / "SAE-12").view.model, torch.from_numpy(np.load(place / "codes.npy"))

    def of(batch: int) -> Callable[[], object]:
        z = codes[:batch].clone()

        def call() -> object:
            with torch.no_grad():
                return model.decode(z)

        return call

    return of


def bare(place: Path) -> Way:
    """onnxruntime on `decoder.onnx`, and nothing around it."""
    import onnxruntime

    session = onnxruntime.InferenceSession(place / "exports" / "decoder.onnx", providers=["CPUExecutionProvider"])
    codes = np.load(place / "codes.npy")

    def of(batch: int) -> Callable[[], object]:
        z = codes[:batch].copy()
        return lambda: session.run(None, {"z": z})

    return of


def exported(form: Literal["onnx", "pt2", "torchscript"], function: str) -> Callable[[Path], Way]:
    """`decode` of codes, or `sample` of a seed, of `aerepr.load_decoder`."""

    def way(place: Path) -> Way:
        from aerepr.export.load import load_decoder

        decoder, codes = load_decoder(place / "exports", trust=True, format=form), np.load(place / "codes.npy")

        def of(batch: int) -> Callable[[], object]:
            z = codes[:batch].copy()
            return (lambda: decoder.decode(z)) if function == "decode" else (lambda: decoder.sample(batch, 0))

        return of

    return way


WAYS: dict[str, Callable[[Path], Way]] = {
    "eager: decode": eager,
    "onnxruntime: bare decoder": bare,
    **{f"{form}: {function}": exported(form, function) for form in FORMATS for function in ("decode", "sample")},
}


def serve(way: Way, turn_s: float) -> None:
    """Take a turn for each batch size that comes on stdin, and answer the median seconds of a call."""
    print("ready", flush=True)
    for line in sys.stdin:
        call = way(int(line))
        for _ in range(WAKING):
            call()
        seconds: list[float] = []
        end = time.perf_counter() + turn_s
        while time.perf_counter() < end or len(seconds) < 3:
            began = time.perf_counter()
            call()
            seconds.append(time.perf_counter() - began)
        print(json.dumps(median(seconds)), flush=True)


class Worker:
    """The process of one way."""

    def __init__(self, name: str, place: Path, turn_s: float, cores: int) -> None:
        self.name = name
        self.process = subprocess.Popen(
            [sys.executable, __file__, "--out", str(place), "--seconds", str(turn_s), "--way", name],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "OMP_NUM_THREADS": str(cores)},
        )
        self._answer()

    def turn(self, batch: int) -> float:
        time.sleep(PAUSE_S)
        assert self.process.stdin is not None
        self.process.stdin.write(f"{batch}\n")
        self.process.stdin.flush()
        return float(self._answer())

    def end(self) -> None:
        self.process.communicate()

    def _answer(self) -> str:
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        if not line:
            self.end()
            sys.exit(f"{self.name}: its process ended")
        return line


def measure(place: Path, rounds: int, turn_s: float, cores: int) -> dict[int, dict[str, list[float]]]:
    """Batch size to way to the seconds of each round."""
    found: dict[int, dict[str, list[float]]] = {batch: {name: [] for name in WAYS} for batch in BATCHES}
    workers = [Worker(name, place, turn_s, cores) for name in WAYS]
    for number in range(1 + rounds):
        print(f"round {number} of {rounds}", file=sys.stderr)
        for batch in BATCHES:
            # Each way has each place in the order once in as many rounds as there are ways.
            for worker in workers[number % len(workers) :] + workers[: number % len(workers)]:
                seconds = worker.turn(batch)
                if number:
                    found[batch][worker.name].append(seconds)
    for worker in workers:
        worker.end()
    return found


def spread(values: Sequence[float], digits: int) -> str:
    """Median and, in brackets, the middle half."""
    low, middle, high = quantiles(values, n=4, method="inclusive")
    return f"{middle:.{digits}f} ({low:.{digits}f} to {high:.{digits}f})"


def report(found: dict[int, dict[str, list[float]]]) -> str:
    lines = ["| way | " + " | ".join(f"batch {batch}, ms" for batch in found) + " |", "|---" * (1 + len(found)) + "|"]
    for name in WAYS:
        shown = [spread([1000 * value for value in seconds[name]], 2) for seconds in found.values()]
        lines.append(f"| {name} | " + " | ".join(shown) + " |")
    lines += ["", "| ratio | batch | found | at most |", "|---|---|---|---|"]
    for name, other, limits in TARGETS:
        for batch, seconds in found.items():
            ratios = [a / b for a, b in zip(seconds[name], seconds[other], strict=True)]
            limit = f"{limits[batch]:.2f}" if batch in limits else ""
            lines.append(f"| {name} / {other} | {batch} | {spread(ratios, 3)} | {limit} |")
    return "\n".join(lines)


def trained(place: Path, sets: Sequence[str]) -> Run:
    """SAE-12 at 64 pixels after two steps."""
    from finish import finish

    import aerepr
    from aerepr.spec.read import spec_from_tables

    tables = {
        "name": "export",
        "model": {"recipe": "SAE-12"},
        "data": {"name": "rooms"},
        "train": {"steps": 2, "device": "cpu", "validate_every": 1_000_000},
    }
    return aerepr.load(finish(spec_from_tables(tables, sets), place / "SAE-12"))


def prepare(place: Path, sets: Sequence[str]) -> str:
    """Train, export, put codes beside it. Returns the sizes of the files and the versions."""
    import onnxruntime
    import torch

    from aerepr.export.load import load_decoder

    run = trained(place, sets)
    sizes = run.export(FORMATS, out=place / "exports")["bytes"]
    np.save(place / "codes.npy", load_decoder(place / "exports").draw(max(BATCHES), 0))
    model = run.view.model
    weights = sum(
        value.numel() * value.element_size()
        for part in (model.decoder, model.likelihood)
        for value in part.state_dict().values()
    )
    lines = ["| file | bytes | of the decoder's weights |", "|---|---|---|"]
    lines += [f"| {name} | {size:,} | {size / weights:.3f} |" for name, size in sizes.items()]
    versions = f"torch {torch.__version__}, onnxruntime {onnxruntime.__version__}, numpy {np.__version__}"
    return "\n".join([*lines, "", versions])


def parsed(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True, help="folder of the run and its exports")
    parser.add_argument("--rounds", type=int, default=2 * len(WAYS), help="at least 2, besides the first")
    parser.add_argument("--seconds", type=float, default=0.5, help="length of a turn")
    parser.add_argument(
        "--set", dest="sets", action="append", default=[], metavar="KEY=VALUE", help="changes of the spec"
    )
    parser.add_argument("--way", choices=WAYS, help=argparse.SUPPRESS)
    asked = parser.parse_args(arguments)
    if asked.rounds < 2:
        parser.error("--rounds must be 2 or more")
    return asked


def main(arguments: Sequence[str] | None = None) -> None:
    asked = parsed(arguments)
    if asked.way is not None:
        serve(WAYS[asked.way](asked.out), asked.seconds)
        return
    cores, load = len(os.sched_getaffinity(0)), os.getloadavg()[0]
    files = prepare(asked.out, asked.sets)
    found = measure(asked.out, asked.rounds, asked.seconds, cores)
    print(f"{report(found)}\n\n{files}, {cores} cores, load {load:.1f} before")


if __name__ == "__main__":
    main()
