"""Are hybrid samples of a structural autoencoder digits? The whole way, on the real MNIST test images.

    python benchmarks/hybrid_digits.py --images t10k-images-idx3-ubyte.gz --labels t10k-labels-idx1-ubyte.gz --out DIR

Trains examples/sae_mnist.toml on the train split, kills the process (SIGKILL) partway and resumes it, draws hybrid and
Gaussian-fitted samples, reconstructs test images, exports ONNX and samples the exported files with onnxruntime and numpy
alone. A small classifier, trained on the real images of the same split, then says of each set how often it is sure of a
digit: softmax confidence of at least 0.8. It is not calibrated on anything but digits, so the table has the real test
images above and, below, a control that is no digits: each pixel copied from a training image of its own.

Writes DIR/figures.json, DIR/samples.png (100 hybrid samples, 100 reconstructions) and the run in DIR/run.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

import aerepr
from aerepr.data.idx import read_idx
from aerepr.data.splits import split_rows
from aerepr.sampling.pictures import grid, save_png

ROOT = Path(__file__).resolve().parents[1]
CONFIDENT = 0.8


def kill_and_resume(spec: Path, run: Path, sets: Sequence[str], after: int) -> dict[str, Any]:
    """Train in a process of its own, kill it once a checkpoint at or after a step is there, and resume it to the end."""
    command = [sys.executable, "-m", "aerepr", "train"]
    began = time.perf_counter()
    with (run.parent / "train.log").open("w") as log:
        first = subprocess.Popen(
            [*command, str(spec), "--run", str(run), *(word for item in sets for word in ("--set", item))],
            stdout=log,
            stderr=log,
        )
        pointer = run / "checkpoints" / "last"
        while first.poll() is None and not (pointer.exists() and int(pointer.read_text().split("-")[1]) >= after):
            time.sleep(0.02)
        # A moment later, so that the kill falls between checkpoints.
        time.sleep(0.3)
        if first.poll() is not None:
            raise SystemExit(f"training ended with {first.returncode} before it was killed: see {log.name}")
        os.kill(first.pid, signal.SIGKILL)
        assert first.wait() == -signal.SIGKILL
        killed = time.perf_counter()
        seen = [json.loads(line)["step"] for line in (run / "metrics.jsonl").read_text().splitlines()]
        assert not (run / "DONE").exists()
        resumed_from = int(pointer.read_text().split("-")[1])
        subprocess.run([*command, "--resume", str(run)], stdout=log, stderr=log, check=True)
    assert (run / "DONE").exists()
    return {
        "killed_after_step": max(seen, default=0),
        "resumed_from_step": resumed_from,
        "seconds_before_kill": round(killed - began, 1),
        "seconds_after_resume": round(time.perf_counter() - killed, 1),
    }


def classifier() -> nn.Module:
    """Two convolutions and two linear layers."""
    return nn.Sequential(
        *(nn.Conv2d(1, 16, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2)),
        *(nn.Conv2d(16, 32, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2)),
        *(nn.Flatten(), nn.Dropout(0.3), nn.Linear(32 * 49, 64), nn.ReLU(), nn.Linear(64, 10)),
    )


def train_classifier(x: Tensor, y: Tensor, epochs: int) -> nn.Module:
    """The classifier, trained on images (N, 1, 28, 28) in [0, 1] and their labels."""
    torch.manual_seed(0)
    network = classifier()
    optimizer = torch.optim.Adam(network.parameters(), lr=2e-3)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, epochs)
    for _ in range(epochs):
        for rows in torch.randperm(len(x)).split(64):
            optimizer.zero_grad()
            nn.functional.cross_entropy(network(x[rows]), y[rows]).backward()
            optimizer.step()
        schedule.step()
    return network.eval()


@torch.no_grad()
def judged(network: nn.Module, images: np.ndarray) -> dict[str, Any]:
    """How sure the classifier is of images (N, 28, 28, 1) in [0, 1]."""
    confidence, digit = network(as_input(images)).softmax(1).max(1)
    return {
        "n": len(images),
        "share_confident": round(float((confidence >= CONFIDENT).float().mean()), 4),
        "mean_confidence": round(float(confidence.mean()), 4),
        "digits": digit.bincount(minlength=10).tolist(),
    }


def as_input(images: np.ndarray) -> Tensor:
    return torch.from_numpy(np.ascontiguousarray(images.transpose(0, 3, 1, 2), dtype=np.float32))


def shuffled_pixels(images: np.ndarray, n: int) -> np.ndarray:
    """The control: hybrids of pixels, each copied from an image of its own."""
    flat = images.reshape(len(images), -1)
    chosen = np.random.Generator(np.random.PCG64(0)).integers(len(flat), size=(n, flat.shape[1]))
    return np.take_along_axis(flat, chosen, axis=0).reshape(n, *images.shape[1:])


def picture(left: np.ndarray, right: np.ndarray) -> np.ndarray:
    """Two grids of 100 side by side."""
    grids = [grid(images[:100].transpose(0, 3, 1, 2), columns=10) for images in (left, right)]
    gap = np.full((grids[0].shape[0], 24, 3), 255, np.uint8)
    return np.concatenate([grids[0], gap, grids[1]], axis=1)


def measure(options: argparse.Namespace) -> dict[str, Any]:
    """Everything, as one table of figures."""
    out: Path = options.out
    out.mkdir(parents=True, exist_ok=True)
    sets = [f"data.images={options.images.resolve()}", f"data.labels={options.labels.resolve()}", *options.sets]
    run = out / "run"
    training = kill_and_resume(options.spec, run, sets, options.kill_after)

    opened = aerepr.load(run)
    data = opened.spec.data
    rows = split_rows(10_000, data.split, data.split_seed)
    images = read_idx(options.images)[..., None].astype(np.float32) / 255
    labels = torch.from_numpy(read_idx(options.labels).astype(np.int64))
    test = images[rows["test"][: options.n]]
    samples = {
        "real test images": test,
        "reconstructions of them": opened.reconstruct(test),
        "hybrid samples": opened.sample(options.n, seed=0, sampler="hybrid"),
        "Gaussian-fitted samples": opened.sample(options.n, seed=0, sampler="gaussian"),
    }

    exported = opened.export("onnx", sampler="hybrid", out=out / "exports")
    command = [sys.executable, "-I", str(ROOT / "examples" / "apps" / "python" / "sample.py")]
    subprocess.run([*command, str(out / "exports"), str(options.n), "0", str(out / "onnx.ppm")], check=True)
    samples["hybrid samples, ONNX and numpy alone"] = np.load(out / "onnx.npy").transpose(0, 2, 3, 1)
    difference = np.abs(samples["hybrid samples, ONNX and numpy alone"] - samples["hybrid samples"]).max()
    samples["control: hybrids of pixels"] = shuffled_pixels(images[rows["train"]], options.n)

    network = train_classifier(as_input(images[rows["train"]]), labels[rows["train"]], options.epochs)
    with torch.no_grad():
        right = network(as_input(images[rows["test"]])).argmax(1) == labels[rows["test"]]
    errors = ((samples["reconstructions of them"] - test) ** 2).sum(axis=(1, 2, 3))
    mean_errors = ((images[rows["train"]].mean(axis=0) - test) ** 2).sum(axis=(1, 2, 3))
    save_png(out / "samples.png", picture(samples["hybrid samples"], samples["reconstructions of them"]))
    figures = {
        "spec": opened.spec.tables(),
        "machine": f"{platform.machine()}, {os.cpu_count()} cores, {torch.get_num_threads()} threads, torch {torch.__version__}",
        "training": training,
        "classifier_test_accuracy": round(float(right.float().mean()), 4),
        "reconstruction_error_to_mean_image": round(float(errors.mean() / mean_errors.mean()), 4),
        "onnx_max_abs_diff": {**exported["max_abs_diff"], "samples": float(difference)},
        "confidence": {name: judged(network, values) for name, values in samples.items()},
    }
    (out / "figures.json").write_text(json.dumps(figures, indent=1) + "\n")
    return figures


def show(figures: dict[str, Any]) -> None:
    training = figures["training"]
    print(
        f"killed after step {training['killed_after_step']}, resumed from {training['resumed_from_step']}; "
        f"{training['seconds_before_kill'] + training['seconds_after_resume']:.0f} s in all"
    )
    print(f"classifier: {figures['classifier_test_accuracy']:.1%} of the test split right")
    print(f"reconstruction error: {figures['reconstruction_error_to_mean_image']:.1%} of the mean image's")
    print(f"ONNX against the model: at most {figures['onnx_max_abs_diff']['samples']:.1e} apart\n")
    print(f"{'':<38} {'n':>4}  {'>= 0.8':>7}  {'mean':>5}  digits 0 to 9")
    for name, row in figures["confidence"].items():
        digits = " ".join(f"{count:>3}" for count in row["digits"])
        print(f"{name:<38} {row['n']:>4}  {row['share_confident']:>7.1%}  {row['mean_confidence']:>5.2f}  {digits}")


def parsed(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=Path, required=True, help="idx3 file of the MNIST test images")
    parser.add_argument("--labels", type=Path, required=True, help="idx1 file of their labels")
    parser.add_argument("--out", type=Path, required=True, help="folder for everything written; new or empty")
    parser.add_argument("--spec", type=Path, default=ROOT / "examples" / "sae_mnist.toml")
    parser.add_argument(
        "--set", dest="sets", action="append", default=[], metavar="KEY=VALUE", help="changes of the spec"
    )
    parser.add_argument(
        "--kill-after", type=int, default=1000, help="step whose checkpoint is waited for before the kill"
    )
    parser.add_argument("--n", type=int, default=500, help="images of each sort")
    parser.add_argument("--epochs", type=int, default=8, help="of the classifier")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    show(measure(parsed()))
