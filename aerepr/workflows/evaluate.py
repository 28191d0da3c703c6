"""`aerepr evaluate`: numbers about a finished run on data it names, kept in the run."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from hashlib import sha256
from pathlib import Path
from typing import Any, get_args

import torch

from aerepr import atomic
from aerepr.data.source import Part
from aerepr.errors import AereprError, DataError, UsageError
from aerepr.evaluation.asked import default_names
from aerepr.evaluation.evaluate import ROWS, Outcome, Result, Selection, Told, measure, unheard, varying
from aerepr.evaluation.sheet import cells, sheet
from aerepr.kinds.dataset import Progress, silent
from aerepr.sampling.component import parse_sets
from aerepr.sampling.pictures import save_png
from aerepr.spec.base import ComponentSpec
from aerepr.training import precision
from aerepr.training.record import strict
from aerepr.workflows.assemble import run_source
from aerepr.workflows.load import load

# Longer names of files are cut, and told apart by a hash.
_LONGEST_NAME = 80


def evaluate(
    run: str | Path | None = None,
    *,
    runs: str | Path = "runs",
    names: Sequence[str] | None = None,
    split: Part = "test",
    subset: Sequence[str] | Mapping[str, Sequence[int]] = (),
    rows: int | None = ROWS,
    seed: int | None = None,
    resamples: int = 0,
    folder: str | Path | None = None,
    sets: Sequence[str] = (),
    device: str = "auto",
    may_be_empty: bool = False,
    told: Told = unheard,
    progress: Progress = silent,
) -> dict[str, Any]:
    """`aerepr evaluate`: compute metrics and write them to `evaluation/<split>[-<subset>].json` in the run.

    What that file holds of other metrics stays, as long as it is of the same weights.

    Args:
        names: "metric" or "metric@protocol"; None: every metric that is not for requests alone, those of the spec, and a
            picture of examples, reconstructions and samples beside the numbers.
        split: or "all", the whole data set. subset: class indices by factor, or texts such as "shape=[2]"; instead of the
            spec's `data.subset`. rows: at most so many, a seeded choice; None: all.
        seed: of that choice, of what metrics draw and of intervals; None: `data.split_seed`, and what metrics say.
        resamples: of the bootstrap of metrics of codes; 0: no intervals.
        folder: where the spec's paths start, of data and of metrics, if they moved. sets: settings, each "metric.key=value",
            whose paths start in the current folder.
        device: auto (cuda where there is one, else cpu), or a torch device.
        may_be_empty: whether an answer in which every metric is refused is one; else it is an error.
        told: is told of work that takes long. progress: of each metric that is done.

    Returns:
        `run`, `out`, `pictures` (what is shown to the file), `spec_hash`, `step`, `split`, `subset`, `rows`, `of` (rows there
        are), `metrics` ("metric.field" to number; an infinite one is a text, as JSON has none), `intervals` (the same to
        [low, high]), `factors` (names that metrics of codes were given), `left_out` (the other factors, to the reason);
        by metric: `groups` (the keys of its numbers), `protocol` (how they come about), `remarks`, `refused` (why it is not
        defined on this run), `on_request` (why it is not in the default set); `named` (whether `names` were given);
        `perf`: `device`; `encode_seconds` by what was encoded, and `seconds` of metrics without them.

    Raises:
        UsageError: split, subset, rows, a metric or the device cannot be meant. UnknownComponent: no such metric.
        SpecError: a setting is wrong. RunDirectoryError: no such run.
        DataError: the data is not at hand, or none of the metrics named is defined on it.
    """
    selection = selected(split, subset, rows, seed)
    if device == "auto" and not torch.cuda.is_available():
        # Not MPS: sums over many examples are of float64, which it has not.
        device = "cpu"
    where = precision.choose_device(device, "device")
    opened = load(run, runs, folder)
    specs = opened.metric_specs(names, parse_sets(sets), seed)
    source = run_source(opened.directory, opened.view, opened.registry, opened.data, where)
    numerics = precision.plain(opened.view.info.shape.is_image, where)
    precision.prepare(opened.view.system, numerics)
    with numerics.kernels():
        outcome = measure(
            opened.view, source, selection, specs, opened.registry, resamples=resamples, told=told, progress=progress
        )
    if not outcome.results and not may_be_empty:
        raise _refusal(outcome)
    chosen = selection.rows(source)
    counts = {"rows": len(chosen), "of": len(source.rows(split, selection.subset))}
    card = json.loads((opened.directory.bundle / "card.json").read_text(encoding="utf-8"))
    of = {
        "spec_hash": opened.spec.hash(),
        "step": card["step"],
        "split": split,
        "subset": {name: list(classes) for name, classes in (selection.subset or opened.spec.data.subset).items()},
    }
    out = opened.directory.product("evaluation") / f"{_file_name(selection)}.json"
    computed = {label: counts | _kept_of(specs[label], result) for label, result in outcome.results.items()}
    atomic.write_text(out, json.dumps({**of, "metrics": {**_kept(out, of), **computed}}, indent=2) + "\n")
    shown = {label: cells(result.matrix) for label, result in outcome.results.items() if result.matrix is not None}
    samples = sheet(opened.view, source, chosen, seed or 0) if names is None else None
    if samples is not None:
        shown["samples"] = samples
    pictures = {name: out.with_name(f"{out.stem}-{name}.png") for name in shown}
    for name, pixels in shown.items():
        save_png(pictures[name], pixels)
    columns, left_out = varying(source, chosen)
    return {
        "run": str(opened.path),
        "out": str(out),
        "pictures": {name: str(path) for name, path in pictures.items()},
        **of,
        **counts,
        "factors": [opened.view.info.factors[column].name for column in columns],
        "left_out": left_out,
        "metrics": {key: value for one in computed.values() for key, value in one["numbers"].items()},
        "intervals": {key: ends for one in computed.values() for key, ends in one.get("intervals", {}).items()},
        "groups": {label: list(one["numbers"]) for label, one in computed.items()},
        "protocol": {label: one["protocol"] for label, one in computed.items()},
        "remarks": {label: result.remarks for label, result in outcome.results.items() if result.remarks},
        "refused": {label: str(cause) for label, cause in outcome.refused.items()},
        "on_request": default_names(opened.registry)[1] if names is None else {},
        "named": names is not None,
        "perf": {
            "device": str(where),
            "encode_seconds": outcome.encode_seconds,
            "seconds": {label: result.seconds for label, result in outcome.results.items()},
        },
    }


def selected(
    split: Part, subset: Sequence[str] | Mapping[str, Sequence[int]], rows: int | None, seed: int | None
) -> Selection:
    """Rows as they are asked for.

    Raises:
        UsageError: that cannot be meant.
    """
    if split not in get_args(Part):
        raise UsageError(f'split: expected {", ".join(get_args(Part))}, got "{split}"')
    for key, value, least in (("rows", rows, 1), ("seed", seed, 0)):
        if value is not None and value < least:
            raise UsageError(f"{key}: expected {least} or more, got {value}")
    return Selection(split, _classes(subset), rows, seed)


def _kept_of(spec: ComponentSpec, result: Result) -> dict[str, Any]:
    """What the file holds of one metric."""
    found: dict[str, Any] = {
        "settings": spec.model_dump(mode="json", by_alias=True, exclude={"name"}, exclude_none=True),
        "protocol": result.protocol,
        "numbers": {key: strict(value) for key, value in result.numbers.items()},
        "perf": {"seconds": result.seconds},
    }
    if result.intervals:
        found["intervals"] = {key: [*map(strict, asdict(ends).values())] for key, ends in result.intervals.items()}
    return found


def _refusal(outcome: Outcome) -> AereprError:
    if len(outcome.refused) == 1:
        return next(iter(outcome.refused.values()))
    return DataError("; ".join(f"{label}: {cause}" for label, cause in outcome.refused.items()))


def _classes(subset: Sequence[str] | Mapping[str, Sequence[int]]) -> dict[str, list[int]] | None:
    """Class indices by factor; None where nothing is asked."""
    given = subset if isinstance(subset, Mapping) else parse_sets(subset, "--subset")
    found = {name: classes if isinstance(classes, (list, tuple)) else [classes] for name, classes in given.items()}
    for name, classes in found.items():
        if not all(isinstance(item, int) and not isinstance(item, bool) for item in classes):
            raise UsageError(f"subset: expected class indices such as {name}=[0, 2], got {name}={given[name]!r}")
    return {name: list(classes) for name, classes in found.items()} or None


def _file_name(selection: Selection) -> str:
    parts = [f"{name}={','.join(map(str, classes))}" for name, classes in (selection.subset or {}).items()]
    name = re.sub(r"[^\w.,=-]", "_", "-".join([selection.split, *parts]))
    if len(name) <= _LONGEST_NAME:
        return name
    return f"{name[:_LONGEST_NAME]}-{sha256('-'.join(parts).encode()).hexdigest()[:8]}"


def _kept(path: Path, of: Mapping[str, Any]) -> dict[str, Any]:
    """Metrics that a file holds already, if it is about the same weights and rows."""
    try:
        before = json.loads(path.read_text(encoding="utf-8"))
        same = all(before[key] == value for key, value in of.items())
        return dict(before["metrics"]) if same else {}
    except (OSError, ValueError, KeyError, TypeError):
        return {}  # none, or damaged: it is replaced
