"""`aerepr data inspect`, `render`: what a `[data]` table gives, looked at before training or written to a file."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any, cast

import numpy as np

from aerepr.data.source import DataSource, Split
from aerepr.kinds.dataset import Progress, silent
from aerepr.registry.registry import Registry
from aerepr.sampling import pictures, store
from aerepr.sampling.component import component_spec, parse_sets
from aerepr.spec.data import DatasetSpec
from aerepr.spec.read import read_spec
from aerepr.workflows.assemble import open_source

SPLITS: tuple[Split, ...] = ("train", "valid", "test")


def inspect(
    spec: str | Path,
    sets: Sequence[str] = (),
    out: Path | None = None,
    n: int = 64,
    seed: int = 0,
    progress: Progress = silent,
) -> dict[str, Any]:
    """Look at a data set, or at the data of a spec.

    Args:
        spec: a TOML file, or the name of a data set. sets: overrides, each "dotted.path=value"; of a data set, the keys of
            its own table.
        out: where a picture of n training examples goes, if one is wanted. seed: which examples.
        progress: is told of work that takes long, such as decoding a data set.

    Returns:
        `name`, `shape` (kind and sizes), `rows`, `splits` (rows of each, under the subset), `factors` (name, classes,
        known rows), `notes`, `picture` (its path or None).

    Raises:
        SpecError: the spec is wrong. DataError: the data is. UsageError: there is no picture of such data.
        UnknownComponent: there is neither a file nor a data set of that name.
    """
    path = Path(spec)
    registry = Registry.beside(path.parent)
    if re.fullmatch(r"[\w-]+", str(spec)) and not path.is_file():
        data = cast(DatasetSpec, component_spec(registry, "dataset", str(spec), parse_sets(sets)))
    else:
        data = read_spec(path, sets, registry).data
    source = open_source(data, path.parent, registry, progress=progress)
    if out is not None:
        pictures.require_picture(source.info.shape)
        pictures.save_png(out, _picture(source, n, seed))
    return {
        "name": data.name,
        "shape": {"kind": source.info.shape.kind, "sizes": list(source.info.shape.sizes)},
        "rows": len(source.dataset),
        "splits": {split: len(source.rows(split)) for split in SPLITS},
        "factors": _factors(source),
        "notes": list(source.dataset.notes),
        "picture": str(out) if out is not None else None,
    }


def render(
    name: str,
    out: str | Path,
    n: int = 1000,
    seed: int = 0,
    sets: Sequence[str] = (),
    progress: Progress = silent,
) -> dict[str, Any]:
    """Write examples of a data set, such as one that aerepr draws itself, for other programs.

    Args:
        name: the data set. sets: its settings, each "key=value"; paths start in the current folder.
        out: .npz or .h5, with `images` uint8 (n, H, W, C) or `values`, `rows`, and where there are factors `factors`
            (n, F) class indices and `factor_names`; or .png, a picture of them.
        n: how many rows; all, if there are fewer. seed: which, without replacement and in row order.
        progress: is told of work that takes long.

    Returns:
        `name`, `out`, `n`, `of` (rows there are).

    Raises:
        UnknownComponent: no such data set. SpecError: a setting is wrong. DataError: its files are.
        UsageError: out cannot be meant.
    """
    registry = Registry.beside(Path.cwd())
    spec = cast(DatasetSpec, component_spec(registry, "dataset", name, parse_sets(sets)))
    target = Path(out)
    store.check_target(target)
    source = open_source(spec, Path.cwd(), registry, progress=progress)
    chosen = np.random.Generator(np.random.PCG64(seed)).permutation(len(source.dataset))[:n]
    rows = np.sort(chosen).astype(np.int64)
    examples, shape, table = source.examples(rows), source.info.shape, source.dataset.factors
    arrays = {**store.stored_examples(examples, shape), "rows": rows}
    if table is not None:
        arrays |= {"factors": table.classes[rows].astype(np.int64), "factor_names": np.array(table.names)}

    def picture() -> pictures.Pixels:
        pictures.require_picture(shape)
        return pictures.grid(examples.numpy()) if shape.is_image else pictures.scatter([(name, examples.numpy())])

    store.write(target, arrays, picture)
    return {"name": name, "out": str(target), "n": len(rows), "of": len(source.dataset)}


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
