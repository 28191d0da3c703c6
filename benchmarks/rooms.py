"""How many images of `rooms` a second are mixed at 64 x 64 pixels, and how long its geometry takes to draw.

    python benchmarks/rooms.py

Batches of 128 random rows as training takes them, images of the whole grid, on as many threads as there are cores; the geometry
from an empty cache. Prints Markdown; writes nothing that stays.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from pathlib import Path
from statistics import quantiles

import torch

from aerepr.kinds.dataset import DataContext
from aerepr.registry.registry import Registry

BATCH = 128


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", type=int, default=64)
    parser.add_argument("--batches", type=int, default=200)
    options = parser.parse_args()
    component = Registry().load("dataset", "rooms")
    with tempfile.TemporaryDirectory() as cache:
        context = DataContext(folder=Path(), cache=Path(cache))
        rooms = component(component.Spec.model_validate({"name": "rooms", "size": options.size}), context)
        began = time.perf_counter()
        geometry = rooms.resident(torch.device("cpu"))
        drawn = time.perf_counter() - began
        generator = torch.Generator().manual_seed(0)
        rates = []
        for _ in range(options.batches):
            rows = torch.randint(len(rooms), (BATCH,), generator=generator)
            began = time.perf_counter()
            rooms.take(geometry, rows)
            rates.append(BATCH / (time.perf_counter() - began))
    low, middle, high = quantiles(rates, n=4)
    print("| pixels | images a second, median (middle half) | geometry from nothing | threads | torch |")
    print("|---|---|---|---|---|")
    print(
        f"| {options.size} x {options.size} | {middle:,.0f} ({low:,.0f} to {high:,.0f}) | {drawn:.1f} s "
        f"| {torch.get_num_threads()} of {os.cpu_count()} | {torch.__version__} |"
    )


if __name__ == "__main__":
    main()
