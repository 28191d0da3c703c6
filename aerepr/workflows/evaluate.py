"""`aerepr evaluate`: numbers about a finished run on data it names, kept in the run."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from hashlib import sha256
from pathlib import Path
from typing import Any, get_args

from aerepr import atomic
from aerepr.data.source import Split
from aerepr.errors import UsageError
from aerepr.evaluation.evaluate import ROWS, Selection, metrics, over
from aerepr.registry.registry import Registry
from aerepr.sampling.component import component_spec, parse_sets
from aerepr.spec.base import ComponentSpec
from aerepr.spec.run import RunSpec
from aerepr.workflows.assemble import run_source
from aerepr.workflows.load import load

# What is computed if nothing is named, with the metrics of the spec's own `[evaluation]`.
DEFAULT = ("reconstruction",)

# Longer names of files are cut, and told apart by a hash.
_LONGEST_NAME = 80


def evaluate(
    run: str | Path | None = None,
    *,
    runs: str | Path = "runs",
    names: Sequence[str] | None = None,
    split: Split = "test",
    subset: Sequence[str] | Mapping[str, Sequence[int]] = (),
    rows: int | None = ROWS,
    folder: str | Path | None = None,
    sets: Sequence[str] = (),
) -> dict[str, Any]:
    """`aerepr evaluate`: compute metrics and write them to `evaluation/<split>[-<subset>].json` in the run.

    What that file holds of other metrics stays, as long as it is of the same weights.

    Args:
        names: metrics; None: `DEFAULT` and those of the spec.
        subset: class indices by factor, or texts such as "shape=[2]"; instead of the spec's `data.subset`.
        rows: at most so many, a seeded choice; None: all.
        folder: where the spec's data paths start, if they moved. sets: settings, each "metric.key=value".

    Returns:
        `run`, `out`, `spec_hash`, `step`, `split`, `subset`, `rows`, `of` (rows there are), `metrics` ("metric.field" to
        number), `protocol` (metric to how its numbers come about).

    Raises:
        UsageError: split, subset, rows or a metric cannot be meant. UnknownComponent: no such metric.
        SpecError: a setting is wrong. DataError: the data is not at hand. RunDirectoryError: no such run.
    """
    if split not in get_args(Split):
        raise UsageError(f'split: expected {", ".join(get_args(Split))}, got "{split}"')
    if rows is not None and rows < 1:
        raise UsageError(f"rows: expected 1 or more, got {rows}")
    opened = load(run, runs, folder)
    specs = _specs(opened.spec, opened.registry, names, parse_sets(sets))
    selection = Selection(split, _classes(subset), rows)
    source = run_source(opened.directory, opened.view, opened.registry, opened.data)
    chosen = selection.rows(source)
    found = metrics(over(opened.view, source, chosen), specs, opened.registry)
    counts = {"rows": len(chosen), "of": len(source.rows(split, selection.subset))}
    card = json.loads((opened.directory.bundle / "card.json").read_text(encoding="utf-8"))
    of = {
        "spec_hash": opened.spec.hash(),
        "step": card["step"],
        "split": split,
        "subset": {name: list(classes) for name, classes in (selection.subset or opened.spec.data.subset).items()},
    }
    protocol = {spec.name: opened.registry.load("metric", spec.name).protocol for spec in specs}
    computed = {
        spec.name: {
            **counts,
            "settings": spec.model_dump(mode="json", by_alias=True, exclude={"name"}, exclude_none=True),
            "protocol": protocol[spec.name],
            "numbers": {key: value for key, value in found.items() if key.startswith(f"{spec.name}.")},
        }
        for spec in specs
    }
    out = opened.directory.product("evaluation") / f"{_file_name(selection)}.json"
    kept = _kept(out, of)
    atomic.write_text(out, json.dumps({**of, "metrics": {**kept, **computed}}, indent=2) + "\n")
    return {"run": str(opened.path), "out": str(out), **of, **counts, "metrics": found, "protocol": protocol}


def _specs(
    spec: RunSpec, registry: Registry, names: Sequence[str] | None, settings: Mapping[str, Any]
) -> list[ComponentSpec]:
    """The metrics' tables: the settings given, on top of those of the spec's `[evaluation]`."""
    own = {item.name: item for item in spec.evaluation.metrics}
    wanted = list(dict.fromkeys([*DEFAULT, *own] if names is None else names))
    if not wanted:
        raise UsageError(f"name at least one metric; installed: {', '.join(registry.names('metric'))}")
    for name, given in settings.items():
        if name not in wanted or not isinstance(given, Mapping):
            raise UsageError(
                f"--set {name}: expected metric.key=value with one of the metrics computed: {', '.join(wanted)}"
            )
    return [component_spec(registry, "metric", name, settings.get(name, {}), own.get(name)) for name in wanted]


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
