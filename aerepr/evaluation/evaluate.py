"""Metrics of one run, by name."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from aerepr.errors import DataError, UsageError
from aerepr.kinds.metric import Metric
from aerepr.kinds.run import RunView
from aerepr.registry.registry import Registry
from aerepr.spec.base import ComponentSpec


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
        if metric.needs == "run":
            with torch.no_grad():
                found |= metric.compute(run)
            continue
        codes, factors = [], []
        with torch.no_grad():
            for batch in run.batches("test"):
                if batch.factors is None:
                    raise DataError(f'metric "{name}" needs ground-truth factors, and this data set has none')
                codes.append(run.model.prior.to_metric_scale(run.model.represent(batch)).cpu())
                factors.append(batch.factors.cpu())
        found |= metric.compute(torch.cat(codes).numpy(), torch.cat(factors).numpy())
    return found
