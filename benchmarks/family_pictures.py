"""What each part of the latent decides, in four autoencoders: pictures of chunk hybridisation and of traversals.

    python benchmarks/family_pictures.py --out DIR               about 11 minutes on two cores

SAE-12, VLAE-12, AdaAE-12 and AE, with the same settings, on rooms; all have twelve latent dimensions. From the same test image
each picture has four rows in which one quarter of the dimensions, from the first, is redrawn (figure 6a of the paper: every
dimension takes the value of a stored training code of its own), then a row for each dimension, swept from its least to its
greatest value (figure 4). In SAE and VLAE the first quarter enters the decoder deepest.

Writes DIR/<model>, the runs, and into --pictures one picture a model and family-chunks.png, the quarters of all four.
Killed and started again, it goes on where it was.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from finish import finish

import aerepr
from aerepr.sampling.pictures import labelled_rows, save_png
from aerepr.spec.read import spec_from_tables

ROOT = Path(__file__).resolve().parents[1]

MODELS = ("SAE-12", "VLAE-12", "AdaAE-12", "AE")
STEPS = 4000
SETTINGS = (
    *("data.size=32", "model.encoder.width=32", "model.decoder.width=32"),
    *("model.encoder.nonlinearity=elu", "model.decoder.nonlinearity=elu"),
    *("train.batch_size=32", "train.optimizer.lr=1e-3"),
    *("train.log_every=100", "train.validate_every=100000", "train.checkpoint_every=400"),
)
CHUNKS = 4
COLUMNS = 7

# Each image pixel becomes so many; and no picture may be larger, in bytes.
SCALE = 2
LARGEST = 300_000

Rows = list[tuple[str, np.ndarray]]


def channels_first(images: np.ndarray) -> np.ndarray:
    return np.moveaxis(images, -1, 1)


def rows_of(run: Path, base: int) -> tuple[Rows, Rows, Rows]:
    """The base image with its reconstruction, the rows of the chunks, and those of the dimensions."""
    opened = aerepr.load(run)
    image = opened.gallery[base : base + 1]
    start = [("base", channels_first(np.concatenate([image, opened.reconstruct(image)])))]
    chunks = opened.traverse("chunks", base, chunks=CHUNKS, steps=COLUMNS)
    dimensions = opened.traverse("dimensions", base, steps=COLUMNS)
    return start, *([(row.label, channels_first(row.values)) for row in rows] for rows in (chunks, dimensions))


def save(path: Path, rows: Rows, group: int = 0) -> None:
    save_png(path, labelled_rows(rows, scale=SCALE, group=group))
    size = path.stat().st_size
    if size >= LARGEST:
        raise SystemExit(f"{path}: {size:,} bytes, expected fewer than {LARGEST:,}: lower SCALE")
    print(f"{path}  {size:,} bytes")


def parsed(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True, help="folder for the runs")
    parser.add_argument("--pictures", type=Path, default=ROOT / "docs" / "images")
    parser.add_argument("--steps", type=int, default=STEPS)
    parser.add_argument("--base", type=int, default=0, help="which test image kept with the runs")
    parser.add_argument(
        "--set", dest="sets", action="append", default=[], metavar="KEY=VALUE", help="changes of the settings"
    )
    return parser.parse_args(arguments)


def main(arguments: Sequence[str] | None = None) -> None:
    options = parsed(arguments)
    together: Rows = []
    for model in MODELS:
        tables = {
            "name": model,
            "model": {"recipe": model},
            "data": {"name": "rooms"},
            "train": {"steps": options.steps},
        }
        run = finish(spec_from_tables(tables, [*SETTINGS, *options.sets]), options.out / model)
        start, chunks, dimensions = rows_of(run, options.base)
        save(options.pictures / f"family-{model}.png", [*start, *chunks, *dimensions])
        together += [(f"{model} {label}", images) for label, images in chunks]
    save(options.pictures / "family-chunks.png", together, group=CHUNKS)


if __name__ == "__main__":
    main()
