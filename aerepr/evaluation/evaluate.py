"""Metrics of one run, by name, on the rows that are asked about."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch

from aerepr.data.source import DataSource, Split
from aerepr.errors import DataError, UsageError
from aerepr.kinds.metric import Metric
from aerepr.kinds.run import RunView
from aerepr.model.view import View
from aerepr.registry.registry import Registry
from aerepr.spec.base import ComponentSpec

# Rows a metric looks at if not told otherwise, where the split has so many.
ROWS = 10_000


@dataclass(frozen=True)
class Selection:
    """Rows of a run's data set.

    Attributes:
        subset: class indices by factor, instead of the spec's `data.subset`; None: that one.
        count: at most so many rows, a seeded choice that is the same for every run on this data; None: all.
    """

    split: Split = "test"
    subset: Mapping[str, Sequence[int]] | None = None
    count: int | None = ROWS

    def rows(self, source: DataSource) -> np.ndarray:
        """Row numbers, in random order: a metric that fits on the first of them may.

        Raises:
            UsageError: there is no such row, factor or class.
        """
        try:
            rows = source.choice(self.split, self.count, self.subset)
        except DataError as cause:
            raise UsageError(str(cause)) from cause
        if not len(rows):
            raise UsageError(f"{self}: selects no example: use other classes or another split")
        return rows

    def __str__(self) -> str:
        """Such as "test split with shape = [2]"."""
        chosen = ", ".join(f"{name} = {list(classes)}" for name, classes in (self.subset or {}).items())
        return f"{self.split} split{f' with {chosen}' if chosen else ''}"


def over(run: View, source: DataSource, rows: np.ndarray) -> View:
    """The same run, its data at hand, and metrics asked about these rows."""
    found = View(run.spec, run.system, run.sampler, run.info, run.codes, run.gallery)
    found.set_source(
        lambda split: (found.seen(batch) for batch in source.batches(source.rows(split))),
        lambda: (found.seen(batch) for batch in source.batches(rows)),
    )
    return found


def metrics(run: RunView, specs: Sequence[ComponentSpec], registry: Registry | None = None) -> dict[str, float]:
    """Compute metrics.

    Args:
        run: with its data set at hand, where a metric needs that. specs: the metrics' tables.

    Returns:
        "metric.field" to number.

    Raises:
        UnknownComponent: no metric of that name. DataError: the run has no factors, or no data at hand.
        UsageError: the metric compares several runs.
    """
    registry = registry or Registry()
    found: dict[str, float] = {}
    shared: tuple[np.ndarray, np.ndarray | None] | None = None
    for spec in specs:
        name = spec.name
        metric: Metric = registry.load("metric", name)(spec)
        missing = set(metric.modes) - set(run.model.posterior.modes)
        if missing:
            raise UsageError(
                f'metric "{name}" needs the posterior modes {", ".join(sorted(missing))}, and posterior '
                f'"{run.spec.model.posterior.name}" has {", ".join(run.model.posterior.modes)}'
            )
        if metric.needs == "runs":
            raise UsageError(f'metric "{name}" compares several runs; it cannot be computed of one')
        with torch.no_grad():
            if metric.needs == "run":
                found |= metric.compute(run)
                continue
            # Whatever their number, metrics of codes share one pass over the data.
            shared = shared if shared is not None else _codes(run)
            if metric.supervised and shared[1] is None:
                raise DataError(f'metric "{name}" needs ground-truth factors, and this data set has none')
            found |= metric.compute(*shared)
    return found


def _codes(run: RunView) -> tuple[np.ndarray, np.ndarray | None]:
    """Codes (N, D) and, where there are any, factor classes (N, factors) of the rows asked about."""
    codes, factors = [], []
    for batch in run.evaluated():
        codes.append(run.model.prior.to_metric_scale(run.model.represent(batch)).cpu())
        if batch.factors is not None:
            factors.append(batch.factors.cpu())
    return torch.cat(codes).numpy(), torch.cat(factors).numpy() if factors else None
