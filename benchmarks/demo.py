"""Are hybrid samples of the demo as good as its reconstructions?

    aerepr demo --seed 0 --runs demo-0        and so on
    python benchmarks/demo.py demo-0/demo/* demo-1/demo/* demo-2/demo/*

A picture is good if it is near a real room: its squared distance to the nearest of all images that the demo's data set has, in
percent of the mean image's error, averaged over 512 hybrid samples (seed 0) and over 512 reconstructions of test images. Prints
Markdown; writes nothing.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from aerepr.registry.registry import Registry
from aerepr.sampling.sample import draw
from aerepr.workflows.assemble import open_source
from aerepr.workflows.demo import errors_on_test
from aerepr.workflows.load import load

COUNT = 512


def nearest(x: Tensor, known: Tensor) -> Tensor:
    """Squared distance of each example of `x` (N, ...) to the nearest of `known` (M, ...)."""
    return torch.cdist(x.flatten(1), known.flatten(1)).square().amin(dim=1)


def measured(path: Path) -> dict[str, float]:
    """Figures of one run, in percent of the mean image's error."""
    view = load(path).view
    source = open_source(view.spec.data, Path.cwd(), Registry())
    errors = errors_on_test(view, source)
    rows = np.concatenate([source.rows(split) for split in ("train", "valid", "test")])
    known = torch.cat([batch.x for batch in source.batches(rows)])
    with torch.no_grad():
        hybrids = draw(view, COUNT, 0, view.sampler).values
        back = view.model(torch.cat([batch.x for batch in source.batches(source.rows("test")[:COUNT])]))
    percent = 100 / errors["mean image"]
    return {
        "test error": percent * errors["model"],
        "hybrids": percent * float(nearest(hybrids, known).mean()),
        "reconstructions": percent * float(nearest(back, known).mean()),
    }


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("runs", nargs="+", type=Path, help="runs of `aerepr demo`")
    print(
        "| seed | test error | hybrids to the nearest room | reconstructions to the nearest room |\n|---|---|---|---|"
    )
    for path in parser.parse_args(arguments).runs:
        found = measured(path)
        print(f"| {load(path).spec.seed} | " + " | ".join(f"{value:.2f} %" for value in found.values()) + " |")


if __name__ == "__main__":
    main()
