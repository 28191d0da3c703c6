"""Metrics of one run, by name, on the rows that are asked about.

A metric that is not defined on the run (no factors, no density, a library that is missing) says why and stops no other.
Codes are made once, whatever number of metrics reads them, and their seconds are kept apart.
Shape letters: N rows, D latent dimensions, K factors.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
import torch
from torch import nn

from aerepr.data.labelled import as_classes, train_count
from aerepr.data.source import DataSource, Part
from aerepr.errors import AereprError, DataError, UsageError
from aerepr.evaluation.arrays import Interval, intervals
from aerepr.kinds.dataset import Progress, silent
from aerepr.kinds.metric import Metric
from aerepr.layers.interventions import grid_lookup
from aerepr.model.view import View
from aerepr.registry.registry import Registry
from aerepr.spec.base import ComponentSpec

# Rows a metric looks at if not told otherwise, where there are so many. Metrics that fit do so on the first two thirds:
# 10,000 rows, and 5,000 to score, as the published tables have it.
ROWS = 15_000

# Rows encoded at once; twice as many are encoded to tell how long many will take.
_BATCH = 256

# Work that will take longer, in seconds, is announced.
_LONG = 10.0

Told = Callable[[str], None]


def unheard(text: str) -> None:
    """Nobody is told."""


@dataclass(frozen=True)
class Selection:
    """Rows of a run's data set.

    Attributes:
        split: or "all", the splits together. subset: class indices by factor, instead of the spec's `data.subset`; None:
            that one. count: at most so many rows, a seeded choice that is the same for every run on this data; None: all.
        seed: of that choice; None: the spec's `data.split_seed`.
    """

    split: Part = "test"
    subset: Mapping[str, Sequence[int]] | None = None
    count: int | None = ROWS
    seed: int | None = None

    def rows(self, source: DataSource) -> np.ndarray:
        """Row numbers, in random order: a metric that fits on the first of them may.

        Raises:
            UsageError: there is no such row, factor or class.
        """
        try:
            rows = source.choice(self.split, self.count, self.subset, self.seed)
        except DataError as cause:
            raise UsageError(str(cause)) from cause
        if not len(rows):
            raise UsageError(f"{self}: selects no example: use other classes or another split")
        return rows

    def __str__(self) -> str:
        """Such as "test split with shape = [2]"."""
        chosen = ", ".join(f"{name} = {list(classes)}" for name, classes in (self.subset or {}).items())
        part = "whole data set" if self.split == "all" else f"{self.split} split"
        return f"{part}{f' with {chosen}' if chosen else ''}"


@dataclass(frozen=True)
class Result:
    """What one metric gave.

    Attributes:
        numbers: "metric.field" to number. intervals: the same to its bootstrap interval, where asked for and defined.
        protocol: how the numbers come about, and of which rows. remarks: what a reader should be told. seconds: it took,
            without those in the encoder. matrix: as the metric's.
    """

    numbers: dict[str, float]
    intervals: dict[str, Interval]
    protocol: str
    remarks: list[str]
    seconds: float
    matrix: np.ndarray | None = None


@dataclass
class Outcome:
    """Attributes: results, refused: by label, what a metric gave, or why it is not defined here.

    encode_seconds: spent encoding, by what was encoded: passes that metrics of codes share, and all of metrics of runs.
    """

    results: dict[str, Result] = field(default_factory=dict)
    refused: dict[str, AereprError] = field(default_factory=dict)
    encode_seconds: dict[str, float] = field(default_factory=dict)

    @property
    def numbers(self) -> dict[str, float]:
        """Those of all metrics."""
        return {key: value for result in self.results.values() for key, value in result.numbers.items()}


def over(run: View, source: DataSource, rows: np.ndarray) -> View:
    """The same run, its data at hand, and metrics asked about these rows."""
    found = View(run.spec, run.system, run.sampler, run.info, run.codes, run.gallery)
    found.set_source(
        lambda split: (found.seen(batch) for batch in source.batches(source.rows(split))),
        lambda: (found.seen(batch) for batch in source.batches(rows)),
    )
    return found


def varying(source: DataSource, rows: np.ndarray) -> tuple[list[int], dict[str, str]]:
    """Columns of the factor table that metrics of codes are given, and why the others are not, by name.

    A factor with one value among the rows, which a subset holds, or one that is unknown would leave most metrics undefined.
    """
    columns, left_out = [], {}
    table = source.dataset.factors
    for column, name in enumerate(table.names if table is not None else ()):
        assert table is not None
        classes_N = table.classes[rows, column]
        if classes_N.min() < 0:
            left_out[name] = "its classes are unknown"
        elif classes_N.min() == classes_N.max():
            left_out[name] = "it has one value in these rows"
        else:
            columns.append(column)
    return columns, left_out


class Codes:
    """Codes (N, D) and factor classes (N, K) of the rows asked about, and of the whole factor grid; each encoded once."""

    def __init__(self, run: View, source: DataSource, rows: np.ndarray, told: Told = unheard) -> None:
        self.run = run
        self.source = source
        self.rows = rows
        self.told = told
        self.seconds: dict[str, float] = {}

    @cached_property
    def given(self) -> tuple[np.ndarray, np.ndarray | None]:
        """Of the rows asked about; None where there is no factor that varies."""
        return self._timed(self.rows), self._classes(self.rows)

    @cached_property
    def grid(self) -> tuple[np.ndarray, np.ndarray]:
        """Of every combination of factors, once each; its cost is told before it begins.

        Raises:
            DataError: the data set is no such grid.
        """
        rows = np.arange(len(self.source.dataset))
        classes_NK = self._classes(rows)
        if classes_NK is None:
            raise DataError("this protocol draws factors, and the data set has none")
        # Refuses what is no grid before anything is encoded.
        grid_lookup(classes_NK, classes_NK, as_classes(classes_NK, len(rows), least=2).sizes)
        self._encode(rows[:_BATCH])
        began = time.perf_counter()
        self._encode(rows[:_BATCH])
        seconds = (time.perf_counter() - began) * len(rows) / min(_BATCH, len(rows))
        self.told(f"every combination of factors is encoded: {len(rows):,} examples, about {duration(seconds)}")
        return self._timed(rows), classes_NK

    def _timed(self, rows: np.ndarray) -> np.ndarray:
        began = time.perf_counter()
        codes_ND = self._encode(rows)
        self.seconds[f"{len(rows):,} examples"] = time.perf_counter() - began
        return codes_ND

    def _encode(self, rows: np.ndarray) -> np.ndarray:
        model, codes = self.run.model, []
        with torch.no_grad():
            for batch in self.source.batches(rows, _BATCH):
                codes.append(model.prior.to_metric_scale(model.represent(self.run.seen(batch))).cpu())
        codes_ND: np.ndarray = torch.cat(codes).numpy()
        return codes_ND

    def _classes(self, rows: np.ndarray) -> np.ndarray | None:
        columns, _ = varying(self.source, rows)
        if not columns:
            return None
        assert self.source.dataset.factors is not None
        return self.source.dataset.factors.classes[rows][:, columns].astype(np.int64)


def measure(
    run: View,
    source: DataSource,
    selection: Selection,
    specs: Mapping[str, ComponentSpec],
    registry: Registry,
    *,
    resamples: int = 0,
    told: Told = unheard,
    progress: Progress = silent,
) -> Outcome:
    """Compute metrics; one that is not defined on this run stops no other.

    Args:
        specs: the metrics' tables by label. resamples: of the bootstrap of metrics of codes; 0: no intervals.
        told: is told of work that takes long. progress: of each metric that is done.

    Raises:
        UsageError: the selection has no rows. UnknownComponent: no metric of that name.
    """
    rows = selection.rows(source)
    codes = Codes(over(run, source, rows), source, rows, told)
    outcome, encoder = Outcome(), _Stopwatch(run.model.encoder)
    within: dict[str, float] = {}
    for done, (label, spec) in enumerate(specs.items()):
        progress("evaluate", done, len(specs))
        try:
            metric = _metric(run, source, rows, spec, registry)
            subject = _subject(metric, codes)
            began = time.perf_counter()
            with torch.no_grad(), encoder:
                numbers = metric.compute(*subject)
            seconds = time.perf_counter() - began - encoder.seconds
        except AereprError as cause:
            outcome.refused[label] = cause
            continue
        remarks, ends = list(metric.remarks(numbers)), {}
        if resamples and metric.needs == "codes" and not metric.whole_grid:
            if seconds * resamples > _LONG:
                told(f"{label}: {resamples} resamples will take about {duration(seconds * resamples)}")
            try:
                ends = intervals(spec, *codes.given, registry, numbers, resamples, selection.seed or 0)
            except DataError as cause:
                remarks.append(f"no interval: {cause}")
            seconds = time.perf_counter() - began - encoder.seconds
        if encoder.seconds:
            within[f"in {label}"] = encoder.seconds
        protocol = f"{metric.protocol}; {_of_rows(metric, spec, source, selection, rows)}"
        outcome.results[label] = Result(numbers, ends, protocol, remarks, seconds, metric.matrix)
    progress("evaluate", len(specs), len(specs))
    outcome.encode_seconds = codes.seconds | within
    return outcome


class _Stopwatch:
    """Seconds that a module's forward takes while the context lasts, anew each time."""

    def __init__(self, module: nn.Module) -> None:
        self.module = module
        self.seconds = self.began = 0.0

    def __enter__(self) -> None:
        self.seconds = 0.0
        self.hooks = [
            self.module.register_forward_pre_hook(lambda *_: self._begin()),
            self.module.register_forward_hook(lambda *_: self._end()),
        ]

    def __exit__(self, *_: object) -> None:
        for hook in self.hooks:
            hook.remove()

    def _begin(self) -> None:
        self.began = time.perf_counter()

    def _end(self) -> None:
        self.seconds += time.perf_counter() - self.began


def duration(seconds: float) -> str:
    """Such as "40 s" or "8 min"."""
    return f"{seconds:.0f} s" if seconds < 120 else f"{seconds / 60:.0f} min"


def _metric(run: View, source: DataSource, rows: np.ndarray, spec: ComponentSpec, registry: Registry) -> Metric:
    """The metric, if it can be asked about this run."""
    component: type[Metric] = registry.load("metric", spec.name)
    missing = set(component.modes) - set(run.model.posterior.modes)
    if missing:
        raise UsageError(
            f'metric "{spec.name}" needs the posterior modes {", ".join(sorted(missing))}, and posterior '
            f'"{run.spec.model.posterior.name}" has {", ".join(run.model.posterior.modes)}'
        )
    if component.needs == "runs":
        raise UsageError(f'metric "{spec.name}" compares several runs; it cannot be computed of one')
    if component.needs == "codes" and component.supervised and source.dataset.factors is None:
        raise DataError(f'metric "{spec.name}" needs ground-truth factors, and this data set has none')
    metric = component(spec)
    if component.needs == "codes" and component.supervised and not metric.whole_grid and not varying(source, rows)[0]:
        raise DataError(f'metric "{spec.name}" needs ground-truth factors, and in these rows none is known and varies')
    return metric


def _subject(metric: Metric, codes: Codes) -> tuple[Any, ...]:
    if metric.needs == "run":
        return (codes.run,)
    return codes.grid if metric.whole_grid else codes.given


def _of_rows(metric: Metric, spec: ComponentSpec, source: DataSource, selection: Selection, rows: np.ndarray) -> str:
    """Which rows a metric's numbers are of."""
    if metric.needs == "codes" and metric.whole_grid:
        return f"factors drawn uniformly, each by itself, from all {len(source.dataset):,} combinations of the data set"
    seed = source.spec.split_seed if selection.seed is None else selection.seed
    text = f"{len(rows):,} of {len(source.rows(selection.split, selection.subset)):,} rows of the {selection}"
    text += f", drawn without replacement (seed {seed})"
    if metric.needs == "codes" and "train_rows" in type(spec).model_fields:
        text += (
            f", the first {train_count(len(rows), getattr(spec, 'train_rows', None), scored=False):,} are train rows"
        )
    return text
