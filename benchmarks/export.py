"""What does an exported decoder cost, next to the eager model and to the bare runtime?

    python benchmarks/export.py --out DIR                  SAE-12 at 64 pixels, ONNX, pt2 and TorchScript, batches of 1 and 64
    python benchmarks/export.py --out DIR --first-calls    what the first call after loading costs, beside later ones
    python benchmarks/export.py --out DIR --precision      ONNX weights in fewer bits: bytes, PSNR, time

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

A first call is that of a process which has loaded one file and called nothing since, for each batch size anew; `load_decoder`
itself asks the file for one example, the golden one. Eight bits are no export of aerepr: a scale for each row of a weight.

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
from numpy.typing import NDArray

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


def bare(folder: str) -> Callable[[Path], Way]:
    """onnxruntime on the `decoder.onnx` of a folder, and nothing around it."""

    def way(place: Path) -> Way:
        import onnxruntime

        session = onnxruntime.InferenceSession(place / folder / "decoder.onnx", providers=["CPUExecutionProvider"])
        codes = np.load(place / "codes.npy")

        def of(batch: int) -> Callable[[], object]:
            z = codes[:batch].copy()
            return lambda: session.run(None, {"z": z})

        return of

    return way


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
    "onnxruntime: bare decoder": bare("exports"),
    **{f"{form}: {function}": exported(form, function) for form in FORMATS for function in ("decode", "sample")},
}

# Bits of a weight -> folder of its `decoder.onnx`.
FOLDERS = {"fp32": "exports", "fp16": "half", "int8": "eight"}
PRECISIONS = {f"onnxruntime: weights in {bits}": bare(folder) for bits, folder in FOLDERS.items()}


def serve(way: Way, turn_s: float) -> None:
    """Take a turn for each batch size that comes on stdin, and answer the seconds of its first call and of the median one."""
    print("ready", flush=True)
    for line in sys.stdin:
        call = way(int(line))
        waking = [timed(call) for _ in range(WAKING)]
        seconds: list[float] = []
        end = time.perf_counter() + turn_s
        while time.perf_counter() < end or len(seconds) < 3:
            seconds.append(timed(call))
        print(json.dumps([waking[0], median(seconds)]), flush=True)


def timed(call: Callable[[], object]) -> float:
    began = time.perf_counter()
    call()
    return time.perf_counter() - began


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

    def turn(self, batch: int) -> tuple[float, float]:
        """Seconds of the first call and of the median one."""
        time.sleep(PAUSE_S)
        assert self.process.stdin is not None
        self.process.stdin.write(f"{batch}\n")
        self.process.stdin.flush()
        first, later = json.loads(self._answer())
        return first, later

    def end(self) -> None:
        self.process.communicate()

    def _answer(self) -> str:
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        if not line:
            self.end()
            sys.exit(f"{self.name}: its process ended")
        return line


def measure(
    place: Path, ways: Sequence[str], rounds: int, turn_s: float, cores: int
) -> dict[int, dict[str, list[float]]]:
    """Batch size to way to the seconds of each round."""
    found: dict[int, dict[str, list[float]]] = {batch: {name: [] for name in ways} for batch in BATCHES}
    workers = [Worker(name, place, turn_s, cores) for name in ways]
    for number in range(1 + rounds):
        print(f"round {number} of {rounds}", file=sys.stderr)
        for batch in BATCHES:
            # Each way has each place in the order once in as many rounds as there are ways.
            for worker in workers[number % len(workers) :] + workers[: number % len(workers)]:
                _, seconds = worker.turn(batch)
                if number:
                    found[batch][worker.name].append(seconds)
    for worker in workers:
        worker.end()
    return found


def first_calls(place: Path, starts: int, cores: int) -> str:
    """The first call after loading and a later one, each start a process of its own."""
    lines = ["| way | batch | first call, ms | a later one, ms | ratio |", "|---|---|---|---|---|"]
    for name in WAYS:
        for batch in BATCHES:
            print(f"{name}, batch {batch}", file=sys.stderr)
            turns = []
            for _ in range(starts):
                worker = Worker(name, place, 0, cores)
                turns.append(worker.turn(batch))
                worker.end()
            shown = [spread([1000 * turn[i] for turn in turns], 2) for i in (0, 1)]
            lines.append(
                f"| {name} | {batch} | {' | '.join(shown)} | {spread([first / later for first, later in turns], 1)} |"
            )
    return "\n".join(lines)


def precisions(place: Path, run: Run, rounds: int, turn_s: float, cores: int) -> str:
    """What weights in fewer bits weigh, lose and cost."""
    run.export("onnx", out=place / FOLDERS["fp16"], precision="fp16")
    (place / FOLDERS["int8"]).mkdir(exist_ok=True)
    full = (place / FOLDERS["fp32"] / "decoder.onnx").read_bytes()
    (place / FOLDERS["int8"] / "decoder.onnx").write_bytes(in_eight_bits(full))
    found = measure(place, list(PRECISIONS), rounds, turn_s, cores)
    images = {bits: decoded(place / folder / "decoder.onnx", place) for bits, folder in FOLDERS.items()}
    batches = " | ".join(f"time, batch {batch}" for batch in BATCHES)
    lines = [f"| weights | bytes | of fp32 | PSNR, dB | largest of 255 | {batches} |", "|---" * 7 + "|"]
    for (bits, folder), name in zip(FOLDERS.items(), PRECISIONS, strict=True):
        size, error = (place / folder / "decoder.onnx").stat().st_size, images[bits] - images["fp32"]
        lost = f"{-10 * np.log10(np.square(error).mean()):.1f} | {255 * abs(error).max():.2f}" if error.any() else " | "
        times = [
            spread([a / b for a, b in zip(seconds[name], next(iter(seconds.values())), strict=True)], 3)
            for seconds in found.values()
        ]
        lines.append(f"| {bits} | {size:,} | {size / len(full):.3f} | {lost} | {' | '.join(times)} |")
    return "\n".join(lines)


def decoded(file: Path, place: Path) -> NDArray[np.float64]:
    """Images in [0, 1] of the codes."""
    import onnxruntime

    session = onnxruntime.InferenceSession(file, providers=["CPUExecutionProvider"])
    (images,) = session.run(None, {"z": np.load(place / "codes.npy")})
    return np.asarray(images, np.float64)


def in_eight_bits(data: bytes) -> bytes:
    """An ONNX file with its weights in int8 and a scale for each row, multiplied back by the file, which the runtime does once."""
    import onnx
    from onnx import TensorProto, helper, numpy_helper

    model = onnx.load_from_string(data)
    nodes = []
    for weight in list(model.graph.initializer):
        if weight.data_type != TensorProto.FLOAT or len(weight.dims) < 2:
            continue
        name, values = weight.name, numpy_helper.to_array(weight)
        scale = np.maximum(abs(values).max(axis=tuple(range(1, values.ndim)), keepdims=True), 1e-30) / 127
        weight.CopyFrom(numpy_helper.from_array(np.rint(values / scale).astype(np.int8), f"{name}.int8"))
        model.graph.initializer.append(numpy_helper.from_array(scale.astype(np.float32), f"{name}.scale"))
        nodes.append(helper.make_node("Cast", [f"{name}.int8"], [f"{name}.whole"], to=TensorProto.FLOAT))
        nodes.append(helper.make_node("Mul", [f"{name}.whole", f"{name}.scale"], [name]))
    nodes += model.graph.node
    del model.graph.node[:]
    model.graph.node.extend(nodes)
    onnx.checker.check_model(model)
    return bytes(model.SerializeToString())


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


def prepare(place: Path, sets: Sequence[str]) -> tuple[Run, str]:
    """Train, export, put codes beside it. Returns the run, and the sizes of the files and the versions."""
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
    return run, "\n".join([*lines, "", versions])


def parsed(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True, help="folder of the run and its exports")
    parser.add_argument("--rounds", type=int, default=2 * len(WAYS), help="at least 2, besides the first")
    parser.add_argument("--seconds", type=float, default=0.5, help="length of a turn")
    parser.add_argument(
        "--set", dest="sets", action="append", default=[], metavar="KEY=VALUE", help="changes of the spec"
    )
    mode = parser.add_mutually_exclusive_group()
    mode.add_argument("--first-calls", action="store_true", help="time first calls after loading, --rounds starts each")
    mode.add_argument("--precision", action="store_true", help="compare ONNX files with weights in fewer bits")
    parser.add_argument("--way", choices=WAYS | PRECISIONS, help=argparse.SUPPRESS)
    asked = parser.parse_args(arguments)
    if asked.rounds < 2:
        parser.error("--rounds must be 2 or more")
    return asked


def main(arguments: Sequence[str] | None = None) -> None:
    asked = parsed(arguments)
    if asked.way is not None:
        serve((WAYS | PRECISIONS)[asked.way](asked.out), asked.seconds)
        return
    cores, load = len(os.sched_getaffinity(0)), os.getloadavg()[0]
    run, files = prepare(asked.out, asked.sets)
    if asked.first_calls:
        shown = first_calls(asked.out, asked.rounds, cores)
    elif asked.precision:
        shown = precisions(asked.out, run, asked.rounds, asked.seconds, cores)
    else:
        shown = report(measure(asked.out, list(WAYS), asked.rounds, asked.seconds, cores))
    print(f"{shown}\n\n{files}, {cores} cores, load {load:.1f} before")


if __name__ == "__main__":
    main()
