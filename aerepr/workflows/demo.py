"""`aerepr demo`: the whole way on an embedded data set, from a spec to exported decoders, in a few minutes."""

from __future__ import annotations

import time
from collections.abc import Sequence
from importlib.resources import as_file, files
from pathlib import Path
from typing import Any

import numpy as np
import torch

from aerepr.data.source import DataSource
from aerepr.model.view import View
from aerepr.registry.registry import Registry
from aerepr.sampling import pictures
from aerepr.sampling.sample import draw
from aerepr.workflows import products
from aerepr.workflows.assemble import open_source
from aerepr.workflows.load import load
from aerepr.workflows.train import Onlooker, train

SPEC = "demo.toml"


def demo(
    runs: str | Path = "runs", seed: int = 0, watcher: Onlooker | None = None, sets: Sequence[str] = ()
) -> dict[str, Any]:
    """Train a structural autoencoder on `rooms`, sample, reconstruct, traverse and export it.

    Args:
        runs: folder of all runs. seed: initial weights and data order. sets: overrides of the demo's spec.

    Returns:
        What was made and where, and the test error in percent of the mean image's.
    """
    began = time.monotonic()
    with as_file(files("aerepr.workflows") / SPEC) as spec:
        path = train(spec, sets=[f"seed={seed}", *sets], runs=runs, watcher=watcher)
    trained = time.monotonic() - began
    run = load(path)
    view = run.view
    source = open_source(view.spec.data, Path.cwd(), Registry())
    errors = errors_on_test(view, source)
    made = {
        "hybrid samples": products.sample(path, n=64, seed=0)["out"],
        "reconstructions": products.reconstruct(path)["out"],
        "traversals": products.traverse(path, name="dimensions")["out"],
        "overview": str(_overview(view, path / "samples" / "overview.png")),
        "exports": str(path / "exports"),
    }
    products.export(path)
    held = ", ".join(sorted(view.spec.data.subset)) or "nothing"
    return {
        "run": str(path),
        "data": f"rooms, drawn by aerepr: {view.info.shape}, {view.info.train_size} training images; held fixed: {held}",
        "test error": f"{errors['model']:.3f} (sum of squares an image), the mean image has {errors['mean image']:.2f}",
        "percent of the mean image's": round(100 * errors["model"] / errors["mean image"], 3),
        **made,
        "seconds training": round(trained),
        "seconds altogether": round(time.monotonic() - began),
        "next": f"aerepr sample {path} -n 16 --seed 1",
    }


def errors_on_test(view: View, source: DataSource) -> dict[str, float]:
    """Squared error an image over the test split, of the reconstructions and of the training set's mean image.

    Returns:
        `model` and `mean image`, each summed over pixels and channels, averaged over images.
    """
    with torch.no_grad():
        total, count = torch.zeros(view.info.shape.sizes, dtype=torch.float64), 0
        for batch in source.batches(source.rows("train")):
            total += batch.x.sum(dim=0, dtype=torch.float64)
            count += len(batch)
        mean = (total / count).float()
        errors, rows = np.zeros(2), 0
        for batch in source.batches(source.rows("test")):
            errors[0] += float((view.model(batch.x) - batch.x).square().sum(dtype=torch.float64))
            errors[1] += float((mean - batch.x).square().sum(dtype=torch.float64))
            rows += len(batch)
    return {"model": errors[0] / rows, "mean image": errors[1] / rows}


def _overview(view: View, path: Path) -> Path:
    """Test images, their reconstructions and hybrid samples, a row each."""
    originals = view.gallery[:10]
    with torch.no_grad():
        back = view.model(originals)
    drawn = draw(view, 10, 0, view.sampler).values
    rows = [("test image", originals.numpy()), ("reconstruction", back.numpy()), ("hybrid sample", drawn.numpy())]
    pictures.save_png(path, pictures.labelled_rows(rows))
    return path
