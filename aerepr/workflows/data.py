"""`aerepr data inspect`: what a spec's `[data]` table gives, looked at before training."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from aerepr.data.source import DataSource, Split
from aerepr.registry.registry import Registry
from aerepr.sampling import pictures
from aerepr.spec.read import read_spec
from aerepr.workflows.assemble import open_source

SPLITS: tuple[Split, ...] = ("train", "valid", "test")


def inspect(
    spec: str | Path, sets: Sequence[str] = (), out: Path | None = None, n: int = 64, seed: int = 0
) -> dict[str, Any]:
    """Look at the data of a spec.

    Args:
        spec: a TOML file. sets: overrides, each "dotted.path=value".
        out: where a picture of n training examples goes, if one is wanted. seed: which examples.

    Returns:
        `name`, `shape` (kind and sizes), `rows`, `splits` (rows of each, under the subset), `factors` (name, classes,
        known rows), `notes`, `picture` (its path or None).

    Raises:
        SpecError: the spec is wrong. DataError: the data is. UsageError: there is no picture of such data.
    """
    path = Path(spec)
    registry = Registry.beside(path.parent)
    resolved = read_spec(path, sets, registry)
    source = open_source(resolved.data, path.parent, registry)
    if out is not None:
        pictures.require_picture(source.info.shape)
        pictures.save_png(out, _picture(source, n, seed))
    return {
        "name": resolved.data.name,
        "shape": {"kind": source.info.shape.kind, "sizes": list(source.info.shape.sizes)},
        "rows": len(source.dataset),
        "splits": {split: len(source.rows(split)) for split in SPLITS},
        "factors": _factors(source),
        "notes": list(source.dataset.notes),
        "picture": str(out) if out is not None else None,
    }


def _factors(source: DataSource) -> list[dict[str, Any]]:
    table = source.dataset.factors
    if table is None:
        return []
    known = (table.classes >= 0).sum(axis=0).tolist()
    return [
        {"name": name, "classes": size, "known": count}
        for name, size, count in zip(table.names, table.sizes, known, strict=True)
    ]


def _picture(source: DataSource, n: int, seed: int) -> pictures.Pixels:
    rows = source.rows("train")
    chosen = np.random.Generator(np.random.PCG64(seed)).permutation(len(rows))[:n]
    examples = source.examples(rows[np.sort(chosen)]).numpy()
    return pictures.grid(examples) if source.info.shape.is_image else pictures.scatter([("train", examples)])
