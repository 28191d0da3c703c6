"""`aerepr metrics`: disentanglement metrics of arrays that any framework has written."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from aerepr.data.labelled import as_codes, as_factors
from aerepr.data.lookup import existing_file
from aerepr.data.npz import npz_keys, read_npy, read_npz
from aerepr.errors import AereprError, DataError, MissingExtra, UsageError
from aerepr.evaluation import arrays
from aerepr.registry.registry import Registry
from aerepr.sampling.component import component_spec, parse_sets
from aerepr.spec.base import ComponentSpec

RESAMPLES = 100


def metrics(
    codes: str | Path,
    factors: str | Path | None = None,
    *,
    only: Sequence[str] | None = None,
    train_rows: int | None = None,
    shuffle: bool = False,
    seed: int = 0,
    resamples: int = 0,
    sets: Sequence[str] = (),
    codes_key: str | None = None,
    factors_key: str | None = None,
    told: Callable[[str], None] = lambda text: None,
) -> dict[str, Any]:
    """Compute metrics of codes and ground-truth factors.

    Args:
        codes: a .npy or .npz file, (N, D). factors: the same, (N, K); None: those beside the codes in an npz file, if any.
        only: names of metrics; None: all that are installed and can do with what is given.
        train_rows: the first rows, which metrics with a split fit on; None: two thirds.
        shuffle: whether rows are put into an order drawn by the seed first.
        seed: of what metrics draw, and of the intervals. resamples: of the bootstrap; 0 for no intervals.
        sets: settings of metrics, each "metric.key=value". codes_key, factors_key: which array of an npz file.
        told: is told of work that takes long, and of sorted rows where train rows matter.

    Returns:
        `numbers` ("metric.field" to number), `intervals` ("metric.field" to [low, high]), `seconds`, `protocol` (both by
        metric), `refused` (metric to the reason why it is not defined here), `rows`, `dimensions`, `factors` (how many).

    Raises:
        DataError: a file or its arrays are not what they should be, or no metric is defined on them.
        UsageError: a metric is not one of codes. UnknownComponent: no such metric. SpecError: a setting is wrong.
    """
    registry = Registry()
    z_ND = as_codes(_read(Path(codes), codes_key, "codes"))
    y_NK = _factors(Path(codes), factors, factors_key)
    if y_NK is not None:
        y_NK = as_factors(y_NK, len(z_ND))
    if shuffle:
        order_N = np.random.default_rng(seed).permutation(len(z_ND))
        z_ND, y_NK = z_ND[order_N], None if y_NK is None else y_NK[order_N]
    names = list(only) if only is not None else arrays.metric_names(registry)
    if only is None and y_NK is None:
        names = [name for name in names if not registry.load("metric", name).supervised]
    specs = _specs(registry, names, sets, train_rows, seed)
    _tell_of_order(told, specs, y_NK)
    answer: dict[str, Any] = {"numbers": {}, "intervals": {}, "seconds": {}, "protocol": {}, "refused": {}}
    for spec in specs:
        began = time.perf_counter()
        try:
            numbers = arrays.compute(spec, z_ND, y_NK, registry)
            answer["seconds"][spec.name] = time.perf_counter() - began
            if resamples:
                _tell(told, spec.name, answer["seconds"][spec.name], resamples)
                found = arrays.intervals(spec, z_ND, y_NK, registry, numbers, resamples, seed)
                answer["intervals"] |= {key: [ends.low, ends.high] for key, ends in found.items()}
        except (DataError, MissingExtra) as cause:
            answer["refused"][spec.name] = str(cause)
            continue
        answer["numbers"] |= numbers
        answer["protocol"][spec.name] = registry.load("metric", spec.name).protocol
    if not answer["numbers"]:
        raise _refusal(answer["refused"])
    answer |= {"rows": len(z_ND), "dimensions": z_ND.shape[1], "factors": 0 if y_NK is None else y_NK.shape[1]}
    return answer


def _tell_of_order(
    told: Callable[[str], None], specs: Sequence[ComponentSpec], y_NK: npt.NDArray[np.int64] | None
) -> None:
    """Rows of a grid are often stored sorted: the first of them, train rows, have other classes than the rest."""
    split = [spec.name for spec in specs if "train_rows" in type(spec).model_fields]
    if y_NK is None or not split:
        return
    steps_NK = np.diff(y_NK, axis=0)
    sorted_K = ((steps_NK >= 0).all(axis=0) | (steps_NK <= 0).all(axis=0)) & (steps_NK != 0).any(axis=0)
    if sorted_K.any():
        told(
            f"rows are sorted by factor {int(sorted_K.argmax())}: the train rows of {', '.join(split)} have other classes "
            "than their test rows; --shuffle puts rows into a drawn order"
        )


def _refusal(refused: dict[str, str]) -> AereprError:
    if not refused:
        return UsageError("name at least one metric: without factors, only those that read none can be computed")
    return DataError("; ".join(f"{name}: {text}" for name, text in refused.items()))


def _tell(told: Callable[[str], None], name: str, seconds: float, resamples: int) -> None:
    if seconds * resamples > 10:
        told(
            f"{name}: one computation took {seconds:.3g} s, {resamples} resamples will take about {seconds * resamples:.0f} s"
        )


def _specs(
    registry: Registry, names: Sequence[str], sets: Sequence[str], train_rows: int | None, seed: int
) -> list[ComponentSpec]:
    """The metrics' tables: what the command was given where a metric has such a field, and settings of their own."""
    settings = parse_sets(sets)
    for name, given in settings.items():
        if name not in names or not isinstance(given, dict):
            raise UsageError(
                f"--set {name}: expected metric.key=value with one of the metrics computed: {', '.join(names)}"
            )
    found = []
    for name in dict.fromkeys(names):
        fields = arrays.of_codes(name, registry).Spec.model_fields
        common = {"train_rows": train_rows, "seed": seed}
        given = {key: value for key, value in common.items() if key in fields and value is not None}
        found.append(component_spec(registry, "metric", name, given | settings.get(name, {})))
    return found


def _factors(codes: Path, factors: str | Path | None, key: str | None) -> npt.NDArray[Any] | None:
    if factors is not None:
        return _read(Path(factors), key, "factors")
    beside = codes.suffix.lower() == ".npz" and "factors" in npz_keys(codes)
    return _read(codes, key or "factors", "factors") if key or beside else None


def _read(path: Path, key: str | None, usual: str) -> npt.NDArray[Any]:
    """The array of an npy file; of an npz file that of the key, else the only one, else the one of the usual name."""
    existing_file(path)
    if path.suffix.lower() == ".npy":
        if key is not None:
            raise UsageError(f"--{usual}-key {key}: {path} holds one array without a name; leave the option out")
        return read_npy(path)
    if path.suffix.lower() != ".npz":
        raise DataError(
            f'{path}: found a file that ends in "{path.suffix}", expected .npy or .npz; store it with numpy'
        )
    keys = npz_keys(path)
    if key is None:
        key = keys[0] if len(keys) == 1 else usual
        if key not in keys:
            raise DataError(
                f'{path}: found the arrays {", ".join(keys) or "(none)"}, expected one, or one named "{usual}"; name it with '
                f"--{usual}-key"
            )
    return read_npz(path, [key])[0][key]
