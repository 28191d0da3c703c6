"""Metrics that compare runs, such as `udr`, which asks whether runs of other seeds find the same dimensions.

They need the same examples encoded by every run, so runs on other data are refused.
Shape letters: N rows.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from aerepr.data.source import DataSource
from aerepr.errors import DataError, UsageError
from aerepr.evaluation.evaluate import Selection, of_rows, over, require_modes
from aerepr.kinds.metric import Metric
from aerepr.model.view import View
from aerepr.registry.registry import Registry
from aerepr.spec.base import ComponentSpec

# Examples by which data sets are told apart.
_COMPARED = 64


@dataclass(frozen=True)
class Compared:
    """What one metric gave of several runs.

    Attributes:
        numbers: "metric.field" to number, of them all. each: the same of every run, in the order given.
    """

    numbers: dict[str, float]
    each: list[dict[str, float]]
    protocol: str


def compare(
    runs: Sequence[View], sources: Sequence[DataSource], selection: Selection, spec: ComponentSpec, registry: Registry
) -> Compared:
    """Compute one metric of several runs.

    Args:
        sources: the data of each run; may be one object several times.

    Raises:
        UsageError: the metric is one of a single run, needs a mode that a posterior lacks, or there are too few runs.
        DataError: the runs are of different data, or the metric is not defined on them.
        UnknownComponent: no such metric.
    """
    component: type[Metric] = registry.load("metric", spec.name)
    if component.needs != "runs":
        raise UsageError(
            f'metric "{spec.name}" is one of a single run: name one run, or see `aerepr study table` for many'
        )
    for run in runs:
        require_modes(run, component, spec, registry)
    rows = [selection.rows(source) for source in sources]
    for number, (source, rows_N) in enumerate(zip(sources, rows, strict=True)):
        if not _same(sources[0], rows[0], source, rows_N):
            raise DataError(
                f'metric "{spec.name}" compares runs on the same examples, and those of run {number} (from 0) are others than '
                "those of the first: use runs on one data set, with one split"
            )
    metric = component(spec)
    with torch.no_grad():
        subjects = [over(run, source, rows_N) for run, source, rows_N in zip(runs, sources, rows, strict=True)]
        found = metric.compute(subjects)
    # The contract of such a metric: beside `metric.field`, `metric.field_0` and so on of each run.
    each = [
        {key: found[f"{key}_{number}"] for key in found if f"{key}_{number}" in found} for number in range(len(runs))
    ]
    own = {f"{key}_{number}" for number, numbers in enumerate(each) for key in numbers}
    protocol = f"{metric.protocol}; {of_rows(metric, spec, sources[0], selection, rows[0])}"
    return Compared({key: value for key, value in found.items() if key not in own}, each, protocol)


def _same(first: DataSource, first_N: np.ndarray, second: DataSource, second_N: np.ndarray) -> bool:
    """Whether two choices of rows are the same, and so are the first examples there."""
    if first is second:
        return True
    if first.info.shape != second.info.shape or not np.array_equal(first_N, second_N):
        return False
    return torch.equal(first.examples(first_N[:_COMPARED]), second.examples(second_N[:_COMPARED]))
