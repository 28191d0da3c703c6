"""Metrics of one run, by name, on the rows that are asked about.

A metric that is not defined on the run (no factors, no density, a library that is missing) says why and stops no other.
Each row is encoded once, whatever number of metrics asks for its code, and the seconds of encoding are kept apart.
Shape letters: N rows, D latent dimensions, K factors.
"""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
import torch
from torch import Tensor

from aerepr.data.labelled import as_classes, train_count
from aerepr.data.source import DataSource, Part
from aerepr.errors import AereprError, DataError, UsageError
from aerepr.evaluation.arrays import Interval, intervals
from aerepr.kinds.dataset import Progress, silent
from aerepr.kinds.metric import Metric
from aerepr.kinds.step import Step
from aerepr.layers.interventions import grid_lookup
from aerepr.model.check import lacking_modes
from aerepr.model.view import View
from aerepr.registry.registry import Registry
from aerepr.spec.base import ComponentSpec

# Rows a metric looks at if not told otherwise, where there are so many. Metrics that fit do so on the first two thirds:
# 10,000 rows, and 5,000 to score, as the published tables have it.
ROWS = 15_000

# Rows encoded at once, few enough to stay in the caches of a CPU; twice as many are encoded to tell how long many will take.
_BATCH = 64

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

    encode_seconds: spent encoding, by what was encoded: the examples asked about, once for all metrics, and what metrics
        encode beside them ("in ..."), such as samples.
    """

    results: dict[str, Result] = field(default_factory=dict)
    refused: dict[str, AereprError] = field(default_factory=dict)
    encode_seconds: dict[str, float] = field(default_factory=dict)

    @property
    def numbers(self) -> dict[str, float]:
        """Those of all metrics."""
        return {key: value for result in self.results.values() for key, value in result.numbers.items()}


@dataclass
class Seconds:
    """Attributes: seconds: counted so far. began: the clock when the last count began."""

    seconds: float = 0.0
    began: float = 0.0


class Judged(View):
    """A run with its data at hand, of which metrics are asked about some rows; each of these is encoded once.

    Attributes:
        rows: their numbers. encoded_rows: how many of them were encoded so far. seconds: that took, with making their
            batches.
    """

    def __init__(self, run: View, source: DataSource, rows: np.ndarray) -> None:
        super().__init__(run.spec, run.system, run.sampler, run.info, run.codes, run.gallery)
        self.set_source(
            lambda split: (self.seen(batch) for batch in source.batches(source.rows(split), _BATCH)),
            lambda: (self.seen(batch) for batch in source.batches(rows, _BATCH)),
        )
        self.rows = rows
        self.encoded_rows = 0
        self.seconds = 0.0
        self._params: list[Tensor] = []
        self._others = Seconds()

    def encoded(self) -> Iterator[Step]:
        batches = self.evaluated()
        for known in itertools.count():
            began = self._now()
            if (batch := next(batches, None)) is None:
                return
            if known == len(self._params):
                others = self._others.seconds
                with torch.no_grad():
                    self._params.append(self.model.encoder(batch.first))
                # Where a metric asks first, the encoder's hooks have counted this as its own.
                self._others.seconds = others
                self.encoded_rows += len(batch)
                self.seconds += self._now() - began
            yield self.model.drawn(self.step(batch, "represent"), self._params[known])

    @contextmanager
    def timed(self) -> Iterator[Seconds]:
        """Count what the encoder takes for anything else while the context lasts."""
        self._others = found = Seconds()

        def begin(*_: object) -> None:
            found.began = self._now()

        def end(*_: object) -> None:
            found.seconds += self._now() - found.began

        encoder = self.model.encoder
        hooks = [encoder.register_forward_pre_hook(begin), encoder.register_forward_hook(end)]
        try:
            yield found
        finally:
            for hook in hooks:
                hook.remove()

    def _now(self) -> float:
        """The clock, when what a device has in work is done."""
        if self.device.type != "cpu":
            torch.accelerator.synchronize(self.device)
        return time.perf_counter()


def over(run: View, source: DataSource, rows: np.ndarray) -> Judged:
    """The same run, its data at hand, and metrics asked about these rows."""
    return Judged(run, source, rows)


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

    def __init__(self, run: Judged, source: DataSource, told: Told = unheard) -> None:
        self.run = run
        self.source = source
        self.told = told
        self.grid_seconds = 0.0

    @property
    def seconds(self) -> float:
        """Spent on encoding these rows."""
        return self.run.seconds + self.grid_seconds

    @cached_property
    def given(self) -> tuple[np.ndarray, np.ndarray | None]:
        """Of the rows asked about; None where there is no factor that varies."""
        with torch.no_grad():
            codes = [self.run.model.prior.to_metric_scale(step.z_BD).cpu() for step in self.run.encoded()]
        return torch.cat(codes).numpy(), self._classes(self.run.rows)

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
        began = time.perf_counter()
        self._encode(rows[:_BATCH])
        warm = time.perf_counter()
        self._encode(rows[:_BATCH])
        seconds = (time.perf_counter() - warm) * len(rows) / min(_BATCH, len(rows))
        self.told(f"every combination of factors is encoded: {len(rows):,} examples, about {duration(seconds)}")
        codes_ND = self._encode(rows)
        self.grid_seconds = time.perf_counter() - began
        return codes_ND, classes_NK

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
    judged = over(run, source, rows)
    codes, outcome = Codes(judged, source, told), Outcome()
    within: dict[str, float] = {}
    for done, (label, spec) in enumerate(specs.items()):
        progress("evaluate", done, len(specs))
        try:
            metric = _metric(run, source, rows, spec, registry)
            began, before = time.perf_counter(), codes.seconds
            subject = _subject(metric, codes)
            with torch.no_grad(), judged.timed() as encoder:
                numbers = metric.compute(*subject)
            seconds = time.perf_counter() - began - encoder.seconds - (codes.seconds - before)
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
            seconds = time.perf_counter() - began - encoder.seconds - (codes.seconds - before)
        if encoder.seconds:
            within[f"in {label}"] = encoder.seconds
        protocol = f"{metric.protocol}; {of_rows(metric, spec, source, selection, rows)}"
        outcome.results[label] = Result(numbers, ends, protocol, remarks, seconds, metric.matrix)
    progress("evaluate", len(specs), len(specs))
    if judged.encoded_rows:
        outcome.encode_seconds[f"{judged.encoded_rows:,} examples"] = judged.seconds
    if codes.grid_seconds:
        outcome.encode_seconds[f"all {len(source.dataset):,} combinations of factors"] = codes.grid_seconds
    outcome.encode_seconds |= within
    return outcome


def duration(seconds: float) -> str:
    """Such as "40 s" or "8 min"."""
    return f"{seconds:.0f} s" if seconds < 120 else f"{seconds / 60:.0f} min"


def _metric(run: View, source: DataSource, rows: np.ndarray, spec: ComponentSpec, registry: Registry) -> Metric:
    """The metric, if it can be asked about this run."""
    component: type[Metric] = registry.load("metric", spec.name)
    require_modes(run, component, spec, registry)
    if component.needs == "runs":
        raise UsageError(
            f'metric "{spec.name}" compares several runs; it cannot be computed of one: name several, or see '
            "`aerepr study rank`"
        )
    if component.needs == "codes" and component.supervised and source.dataset.factors is None:
        raise DataError(f'metric "{spec.name}" needs ground-truth factors, and this data set has none')
    metric = component(spec)
    if component.needs == "codes" and component.supervised and not metric.whole_grid and not varying(source, rows)[0]:
        raise DataError(f'metric "{spec.name}" needs ground-truth factors, and in these rows none is known and varies')
    return metric


def require_modes(run: View, component: type[Metric], spec: ComponentSpec, registry: Registry) -> None:
    """Refuse a metric that a posterior has not the modes for.

    Raises:
        UsageError: it has not.
    """
    lacking = lacking_modes(component, run.spec.model.posterior.name, run.model.posterior.modes, registry)
    if lacking:
        raise UsageError(f'metric "{spec.name}" {lacking}')


def _subject(metric: Metric, codes: Codes) -> tuple[Any, ...]:
    if metric.needs == "run":
        return (codes.run,)
    return codes.grid if metric.whole_grid else codes.given


def of_rows(metric: Metric, spec: ComponentSpec, source: DataSource, selection: Selection, rows: np.ndarray) -> str:
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
