"""What is made from a finished run, one function a command: samples, traversals, reconstructions, codes, exports.

Each takes a run (its path, its name, or nothing for the newest) and writes one file or folder, replacing an older one as a
whole. Each returns what it did, ready for JSON.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from aerepr.errors import UsageError
from aerepr.kinds.shape import DataShape
from aerepr.model.view import Split
from aerepr.sampling import pictures, store
from aerepr.sampling.component import parse_sets
from aerepr.sampling.sample import check_draw, choose_sampler, draw
from aerepr.sampling.sample import decode as decode_codes
from aerepr.sampling.sample import encode as encode_examples
from aerepr.sampling.traverse import base_code, build_traversal
from aerepr.sampling.traverse import traverse as follow
from aerepr.workflows.inputs import read_examples
from aerepr.workflows.load import Run, load

# Examples in one line of a picture of reconstructions.
COLUMNS = 12

Place = str | Path | None


def sample(
    run: Place = None,
    *,
    runs: str | Path = "runs",
    sampler: str | None = None,
    n: int = 64,
    seed: int = 0,
    out: Place = None,
    sets: Sequence[str] = (),
) -> dict[str, Any]:
    """`aerepr sample`: draw new examples.

    Args:
        sampler: name; the run's own when left out. sets: its settings, each "key=value".
        n: how many, 1 or more. seed: 0 or more.
        out: .png, .npz or .h5; left out: `samples/<sampler>-seed<seed>` in the run, .png where there is a picture of the
            data, else .npz.

    Returns:
        `run`, `out`, `sampler`, `n`, `seed`.

    Raises:
        UsageError: n, seed or out cannot be meant, or the prior is asked of a model not trained towards it.
        UnknownComponent: no such sampler. SpecError: a setting is wrong. RunDirectoryError: no such run.
    """
    check_draw(n, seed)
    opened = load(run, runs)
    view, shape = opened.view, opened.view.info.shape
    spec, chosen = choose_sampler(view, sampler, parse_sets(sets), opened.registry)
    target = _target(opened, out, "samples", f"{spec.name}-seed{seed}")
    drawn = draw(view, n, seed, chosen)
    arrays = {**store.stored_examples(drawn.values, shape), "z": drawn.z.numpy(), "noise": drawn.noise.numpy()}
    store.write(target, arrays, lambda: _show(shape, drawn.values, view.gallery, "samples"))
    return {**_done(opened, target), "sampler": spec.name, "n": n, "seed": seed}


def traverse(
    run: Place = None,
    *,
    runs: str | Path = "runs",
    name: str = "variables",
    data: Place = None,
    key: str | None = None,
    base: int = 0,
    out: Place = None,
    sets: Sequence[str] = (),
) -> dict[str, Any]:
    """`aerepr traverse`: rows of decoded examples along paths through the latent space.

    Args:
        name: the traversal. sets: its settings, each "key=value".
        data: a picture, a folder of pictures, or an array in a .npz, .npy or .h5 file; left out: the test examples kept
            with the run. key: which array of the file.
        base: which of these examples paths start from; without a gallery, the typical code.
        out: .png, .gif (a picture that moves), .npz or .h5; left out: `traversals/<name>` in the run. Files of numbers hold
            all paths joined, with `path`, the number of each row's path, and `labels` of the paths.

    Returns:
        `run`, `out`, `traversal`, `labels`, `notes` on how the data was read.

    Raises:
        UnknownComponent: no such traversal. SpecError: a setting is wrong. UsageError: out or base cannot be meant.
        DataError, ShapeError: the data cannot be read, or is not what the model takes. RunDirectoryError: no such run.
    """
    opened = load(run, runs)
    view, shape = opened.view, opened.view.info.shape
    traversal = build_traversal(name, parse_sets(sets), opened.registry)
    target = _target(opened, out, "traversals", name, (*store.SUFFIXES, ".gif"))
    moving = target.suffix.lower() == ".gif"
    if moving and not shape.is_image:
        raise UsageError(
            f"{target}: a picture that moves is of images, and this run is of a {shape}: write a .png or .npz"
        )
    examples, notes = read_examples(Path(data), shape, key) if data is not None else (None, [])
    rows = follow(view, traversal, base_code(view, base, examples))
    if not rows:
        raise UsageError(f'traversal "{name}" has no paths through this latent space: use another')
    labels = [row.label for row in rows]
    arrays = {
        **store.stored_examples(torch.cat([row.values for row in rows]), shape),
        "z": torch.cat([row.z for row in rows]).numpy(),
        "path": np.repeat(np.arange(len(rows)), [len(row.z) for row in rows]),
        "labels": np.array(labels),
    }

    shown = [(row.label, row.values.numpy()) for row in rows]

    def picture() -> pictures.Pixels:
        if shape.is_image:
            return pictures.labelled_rows(shown)
        return pictures.scatter([("data", view.gallery.numpy())], paths=shown)

    if moving:
        pictures.save_gif(target, pictures.moving_rows(shown))
    else:
        store.write(target, arrays, picture)
    return {**_done(opened, target), "traversal": name, "labels": labels, "notes": notes}


def reconstruct(
    run: Place = None,
    *,
    runs: str | Path = "runs",
    data: Place = None,
    out: Place = None,
    key: str | None = None,
) -> dict[str, Any]:
    """`aerepr reconstruct`: examples above their reconstructions.

    Args:
        data: a picture, a folder of pictures, or an array in a .npz, .npy or .h5 file; left out: the test examples kept
            with the run. key: which array of the file.
        out: .png, .npz or .h5; left out: `reconstructions/<name of the data>` in the run. Files of numbers hold the
            reconstructions under the keys of `sample`, the originals under `originals`, and `z`.

    Returns:
        `run`, `out`, `n`, `notes` on how the data was read.

    Raises:
        DataError, ShapeError: the data cannot be read, or is not what the model takes.
        UsageError: there is no data, or out cannot be meant. RunDirectoryError: no such run.
    """
    opened = load(run, runs)
    view, shape = opened.view, opened.view.info.shape
    target = _target(opened, out, "reconstructions", Path(data).stem if data is not None else "gallery")
    examples, notes = read_examples(Path(data), shape, key) if data is not None else (view.gallery, [])
    if not len(examples):
        raise UsageError("this run keeps no test examples (data.gallery = 0): give a file or folder of examples")
    z = encode_examples(view, examples)
    values = decode_codes(view, z)
    (original,) = store.stored_examples(examples, shape).values()
    arrays = {**store.stored_examples(values, shape), "originals": original, "z": z.numpy()}
    store.write(target, arrays, lambda: _compare(shape, examples, values))
    return {**_done(opened, target), "n": len(examples), "notes": notes}


def encode(
    run: Place = None,
    *,
    runs: str | Path = "runs",
    data: Place = None,
    split: Split = "test",
    out: str | Path = "codes.npz",
    key: str | None = None,
    folder: Place = None,
) -> dict[str, Any]:
    """`aerepr encode`: codes of examples, as the encoder gives them (metrics may want another scale of the prior's).

    Args:
        data: a picture, a folder of pictures, or an array in a .npz, .npy or .h5 file; left out: the run's own data set,
            of which `split` is encoded and `folder` is where its paths start, if it moved. key: which array of the file.
        out: .npz or .h5, with `codes` float32 (N, D) and, from the run's own data set, `rows` and, where there is a factor
            table, `factors` int64 (N, factors), -1 where unknown, and `factor_names`.

    Returns:
        `run`, `out`, `n`, `latent_dim`, `factors` (names), `notes` on how the data was read.

    Raises:
        DataError, ShapeError: the data cannot be read, or is not what the model takes.
        UsageError: out or split cannot be meant. RunDirectoryError: no such run.
    """
    if split not in get_args(Split):
        raise UsageError(f'split: expected {", ".join(get_args(Split))}, got "{split}"')
    target = Path(out)
    store.check_target(target, (".npz", ".h5"))
    opened = load(run, runs, folder)
    if data is not None:
        examples, notes = read_examples(Path(data), opened.view.info.shape, key)
        arrays = {"codes": encode_examples(opened.view, examples).numpy()}
    else:
        arrays, notes = _encode_split(opened, split), []
    store.write_arrays(target, arrays)
    return {
        **_done(opened, target),
        "n": len(arrays["codes"]),
        "latent_dim": opened.layout.latent_dim,
        "factors": arrays["factor_names"].tolist() if "factor_names" in arrays else [],
        "notes": notes,
    }


def decode(z: str | Path, run: Place = None, *, runs: str | Path = "runs", out: Place = None) -> dict[str, Any]:
    """`aerepr decode`: examples of codes.

    Args:
        z: a .npy file, or a .npz or .h5 file with the codes under `z` or `codes`; (N, D).
        out: .png, .npz or .h5; left out: `samples/decoded-<name of the file>` in the run.

    Returns:
        `run`, `out`, `n`.

    Raises:
        DataError: the codes cannot be read, or are not of this model. UsageError: z or out cannot be meant.
        RunDirectoryError: no such run.
    """
    opened = load(run, runs)
    view, shape = opened.view, opened.view.info.shape
    target = _target(opened, out, "samples", f"decoded-{Path(z).stem}")
    codes = torch.from_numpy(store.read_codes(Path(z), opened.layout.latent_dim))
    values = decode_codes(view, codes)
    arrays = {**store.stored_examples(values, shape), "z": codes.numpy()}
    store.write(target, arrays, lambda: _show(shape, values, view.gallery, "decoded"))
    return {**_done(opened, target), "n": len(codes)}


def export(
    run: Place = None,
    *,
    runs: str | Path = "runs",
    to: str | Sequence[str] | None = None,
    sampler: str | None = None,
    parts: Sequence[str] = (),
    out: Place = None,
    sets: Sequence[str] = (),
    precision: str = "fp32",
) -> dict[str, Any]:
    """`aerepr export`: decoder and sampler in formats that other programs run.

    Args:
        to: names of exporters, or "all": every format that can be made here. Left out: TorchScript
            and ONNX, less what cannot be made.
        sampler: another than the run's own; sets: its settings, each "key=value".
        parts: decoder, sampler, encoder or entries of the objective; none: all but the encoder.
        out: folder; left out: `exports/` in the run. What it holds of the same model and sampler stays.
        precision: fp16 stores weights of ONNX files in half the bits.

    Returns:
        `run`, `out`, and what `aerepr.load(run).export(...)` returns.

    Raises:
        UnknownComponent: no such exporter or sampler. SpecError: a setting is wrong. UsageError: no format, no such part or precision.
        ExportError: a format failed; the others are written. RunDirectoryError: no such run.
    """
    opened = load(run, runs)
    folder = Path(out) if out is not None else opened.directory.product("exports")
    return {**_done(opened, folder), **opened.export(to, sampler, folder, parse_sets(sets), parts, precision)}


def _target(
    opened: Run,
    out: Place,
    kind: Literal["samples", "traversals", "reconstructions"],
    stem: str,
    suffixes: Sequence[str] = store.SUFFIXES,
) -> Path:
    """Where a product goes, checked before any work is done."""
    shape = opened.view.info.shape
    suffix = ".png" if pictures.can_picture(shape) else ".npz"
    target = Path(out) if out is not None else opened.directory.product(kind) / f"{stem}{suffix}"
    store.check_target(target, suffixes)
    if target.suffix.lower() in (".png", ".gif"):
        pictures.require_picture(shape)
    return target


def _done(opened: Run, target: Path) -> dict[str, Any]:
    return {"run": str(opened.path), "out": str(target)}


def _show(shape: DataShape, values: Tensor, gallery: Tensor, label: str) -> pictures.Pixels:
    if shape.is_image:
        return pictures.grid(values.numpy())
    return pictures.scatter([("data", gallery.numpy()), (label, values.numpy())])


def _compare(shape: DataShape, examples: Tensor, values: Tensor) -> pictures.Pixels:
    if not shape.is_image:
        return pictures.scatter([("data", examples.numpy()), ("reconstructions", values.numpy())])
    rows = []
    for original, reconstruction in zip(examples.split(COLUMNS), values.split(COLUMNS), strict=True):
        rows += [("data", original.numpy()), ("model", reconstruction.numpy())]
    return pictures.labelled_rows(rows, group=2)


def _encode_split(opened: Run, split: Split) -> dict[str, NDArray[Any]]:
    view = opened.view
    codes, rows, factors = [], [], []
    with torch.no_grad():
        for batch in view.batches(split):
            codes.append(view.model.represent(batch))
            rows.append(batch.rows)
            if batch.factors is not None:
                factors.append(batch.factors)
    if not codes:
        raise UsageError(f'split: "{split}" of this run has no rows: use another')
    arrays: dict[str, NDArray[Any]] = {"codes": torch.cat(codes).numpy(), "rows": torch.cat(rows).numpy()}
    if factors:
        arrays["factors"] = torch.cat(factors).numpy()
        arrays["factor_names"] = np.array([factor.name for factor in view.info.factors])
    return arrays
