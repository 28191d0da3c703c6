"""`aerepr evaluate RUN RUN ...`: metrics that compare runs."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from aerepr.data.source import DataSource, Part
from aerepr.errors import AereprError, UsageError
from aerepr.evaluation.asked import metric_specs
from aerepr.evaluation.evaluate import ROWS, Selection
from aerepr.evaluation.together import Compared, compare
from aerepr.kinds.dataset import Progress, silent
from aerepr.registry.registry import Registry
from aerepr.rundir import manifest
from aerepr.sampling.component import parse_sets
from aerepr.spec.base import ComponentSpec
from aerepr.training.record import strict
from aerepr.workflows.assemble import run_source
from aerepr.workflows.evaluate import selected
from aerepr.workflows.load import Run, load


def evaluate_together(
    asked: Sequence[str | Path],
    *,
    runs: str | Path = "runs",
    names: Sequence[str] | None = None,
    split: Part = "test",
    subset: Sequence[str] | Mapping[str, Sequence[int]] = (),
    rows: int | None = ROWS,
    seed: int | None = None,
    folder: str | Path | None = None,
    sets: Sequence[str] = (),
    progress: Progress = silent,
) -> dict[str, Any]:
    """Metrics of two runs or more, on the same examples. They belong to none of the runs, so no file keeps them.

    Args:
        asked: paths or names of runs. names: of metrics; None: every installed one that compares runs. The others as for
            `evaluate`.

    Returns:
        `runs`, `split`, `subset`, `rows`, `of`; `metrics` ("metric.field" to number), `each` (the same of every run),
        `protocol` and `refused` by metric; `named` (whether `names` were given).

    Raises:
        As `evaluate`; UsageError too for a metric of a single run.
    """
    if len(asked) < 2:
        raise UsageError(f"found {len(asked)} runs, expected two or more")
    selection = selected(split, subset, rows, seed)
    opened = [load(run, runs, folder) for run in asked]
    twice = [str(run.path) for number, run in enumerate(opened) if run.path in [one.path for one in opened[:number]]]
    if twice:
        raise UsageError(f"{twice[0]}: is named twice, and agrees with itself: name each run once, by its path")
    registry = opened[0].registry
    wanted = comparing(registry) if names is None else names
    specs = metric_specs(registry, [], wanted, parse_sets(sets), seed)
    sources = sources_of(opened)
    found: dict[str, Compared] = {}
    refused: dict[str, AereprError] = {}
    for done, (label, spec) in enumerate(specs.items()):
        progress("evaluate", done, len(specs))
        try:
            found[label] = compare([run.view for run in opened], sources, selection, spec, registry)
        except AereprError as cause:
            refused[label] = cause
    progress("evaluate", len(specs), len(specs))
    if not found:
        raise next(iter(refused.values()))
    return {
        "runs": [str(run.path) for run in opened],
        "split": split,
        "subset": {name: list(classes) for name, classes in (selection.subset or opened[0].spec.data.subset).items()},
        "rows": len(selection.rows(sources[0])),
        "of": len(sources[0].rows(split, selection.subset)),
        "metrics": {key: strict(value) for one in found.values() for key, value in one.numbers.items()},
        "each": [
            {key: strict(value) for one in found.values() for key, value in one.each[number].items()}
            for number in range(len(opened))
        ],
        "protocol": {label: one.protocol for label, one in found.items()},
        "refused": {label: str(cause) for label, cause in refused.items()},
        "named": names is not None,
    }


def comparing(registry: Registry) -> list[str]:
    """Every installed metric that compares runs."""
    found = []
    for name in registry.names("metric"):
        try:
            if registry.load("metric", name).needs == "runs":
                found.append(name)
        except AereprError:
            continue  # a broken plugin, which `aerepr plugins list` reports
    return found


def compared(
    members: Sequence[Path], selection: Selection, spec: ComponentSpec, folder: str | Path | None = None
) -> Compared:
    """One metric of the runs in these folders; errors as for `compare`, and those of opening a run.

    Args:
        folder: where data paths start, if the data moved.
    """
    opened = [load(path, data=folder) for path in members]
    return compare([run.view for run in opened], sources_of(opened), selection, spec, opened[0].registry)


def sources_of(opened: Sequence[Run]) -> list[DataSource]:
    """The data of each run; runs on the same data share it, so that it is read once."""
    known: dict[tuple[str, str], DataSource] = {}
    found = []
    for run in opened:
        place = str(run.data) if run.data is not None else manifest.read_env(run.directory)["folder"]
        key = (place, json.dumps(run.spec.data.model_dump(mode="json"), sort_keys=True))
        if key not in known:
            known[key] = run_source(run.directory, run.view, run.registry, run.data)
        found.append(known[key])
    return found
