"""Metrics of one run, by name."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from aerepr.errors import DataError, UsageError
from aerepr.kinds.metric import Metric
from aerepr.kinds.run import RunView
from aerepr.registry.registry import Registry


def metrics(run: RunView, names: Sequence[str], registry: Registry | None = None) -> dict[str, float]:
    """Compute metrics with their default settings.

    Args:
        run: with its data set at hand, where a metric needs that.

    Returns:
        "metric.field" to number.

    Raises:
        UnknownComponent: no metric of that name. DataError: the run has no factors, or no data at hand.
        UsageError: the metric compares several runs.
    """
    registry = registry or Registry()
    found: dict[str, float] = {}
    for name in names:
        component = registry.load("metric", name)
        metric: Metric = component(component.Spec(name=name))
        if metric.needs == "runs":
            raise UsageError(f'metric "{name}" compares several runs; it cannot be computed of one')
        if metric.needs == "run":
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
