"""Metrics of plain arrays, by name, with bootstrap intervals where they are asked for.

The interval is the standard bootstrap's: value -+ 1.96 times the deviation of the metric over resamples, train and test rows
drawn with replacement each from their own, the metric's own seed another each time. It says how far the number would move
with another sample of as many rows. It does not speak of bias, and it is cut nowhere, so it may pass 0 or 1. Percentiles of
the resamples are not used: rows that occur twice raise the plug-in mutual information, and would shift them.

Source: Efron and Tibshirani 1993, "An introduction to the bootstrap", chapters 6 and 13.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from aerepr.data.labelled import as_codes, train_count
from aerepr.errors import AereprError, DataError, UsageError
from aerepr.kinds.metric import Metric
from aerepr.registry.registry import Registry
from aerepr.spec.base import ComponentSpec

NORMAL_95 = 1.959963984540054


@dataclass(frozen=True)
class Interval:
    """Attributes: low, high: ends of the 95 % interval."""

    low: float
    high: float


def metric_names(registry: Registry) -> list[str]:
    """Metrics of codes that are installed; a broken plugin, which `plugins list` reports, stops nothing."""
    found = []
    for name in registry.names("metric"):
        try:
            component: type[Metric] = registry.load("metric", name)
        except AereprError:
            continue
        if component.needs == "codes":
            found.append(name)
    return found


def of_codes(name: str, registry: Registry) -> type[Metric]:
    """The metric of that name.

    Raises:
        UsageError: it is of runs, not of codes. UnknownComponent: there is none.
    """
    component: type[Metric] = registry.load("metric", name)
    if component.needs != "codes":
        raise UsageError(f'metric "{name}" is of a run, not of codes: aerepr evaluate computes it')
    return component


def compute(
    spec: ComponentSpec, codes: npt.NDArray[Any], factors: npt.NDArray[Any] | None, registry: Registry
) -> dict[str, float]:
    """The numbers of one metric.

    Args:
        spec: its table. codes: (N, D). factors: (N, K); None where there are none.

    Raises:
        DataError: arrays that it is not defined on. UsageError: it is of runs, not of codes.
        MissingExtra: a library it needs is not installed.
    """
    component = of_codes(spec.name, registry)
    if component.supervised and factors is None:
        raise DataError(f'metric "{spec.name}" needs ground-truth factors, and none were given')
    return component(spec).compute(codes, factors)


def intervals(
    spec: ComponentSpec,
    codes: npt.NDArray[Any],
    factors: npt.NDArray[Any] | None,
    registry: Registry,
    numbers: Mapping[str, float],
    resamples: int,
    seed: int,
) -> dict[str, Interval]:
    """Bootstrap intervals of the numbers of one metric.

    Args:
        spec, codes, factors: as for `compute`. numbers: what it gave. resamples: how many. seed: of the draws.

    Raises:
        UsageError: fewer than two resamples. DataError: a resample on which the metric is not defined.
    """
    if resamples < 2:
        raise UsageError(f"resamples: expected at least 2, got {resamples}")
    codes = as_codes(codes)
    generator = np.random.default_rng([seed, 1])
    splits = "train_rows" in type(spec).model_fields
    train = len(codes)
    if splits:
        train = train_count(len(codes), getattr(spec, "train_rows", None), scored=False)
    scored = len(codes) - train
    found: dict[str, list[float]] = {key: [] for key in numbers}
    for index in range(resamples):
        rows = np.append(generator.integers(train, size=train), train + generator.integers(max(scored, 1), size=scored))
        changed = {"train_rows": train} if splits else {}
        if "seed" in type(spec).model_fields:
            changed["seed"] = spec.seed + index + 1  # type: ignore[attr-defined]  # it has that field
        try:
            drawn = compute(
                spec.model_copy(update=changed), codes[rows], None if factors is None else factors[rows], registry
            )
        except DataError as cause:
            raise DataError(
                f"resample {index + 1} of {resamples}: {cause}; without an interval it may be defined"
            ) from cause
        for key, value in drawn.items():
            found[key].append(value)
    return {key: _interval(numbers[key], values) for key, values in found.items()}


def _interval(value: float, resampled: list[float]) -> Interval:
    if not all(map(math.isfinite, [value, *resampled])):
        return Interval(math.nan, math.nan)
    half = NORMAL_95 * float(np.std(resampled, ddof=1))
    return Interval(value - half, value + half)
