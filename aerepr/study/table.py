"""The table of a study: a row for each combination of levels, its runs over the seeds as mean and standard deviation.

Only runs that are done count, and n says how many they are; the others are told beside it. Numbers of other data, or that
came about in another way, are never pooled, and one that is not finite is shown, not averaged.
"""

from __future__ import annotations

import difflib
import math
import statistics
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, get_args

from aerepr.errors import UsageError
from aerepr.study.alike import called, data_of, label_of, labels, what_sets_apart
from aerepr.study.formats import Sheet, number, spread
from aerepr.study.record import Record, State, Study

SEED = "seed"


@dataclass(frozen=True)
class Cell:
    """One number over the runs of a row.

    Attributes:
        values: by the levels that are pooled ("seed=0"), of the done runs that have the number.
        mean, deviation: None where there is none; deviation: of a sample (n - 1), None also for one value.
        notes: what a reader must be told, such as why a run has no such number.
        mixed: there are values that must not be averaged with each other.
    """

    values: dict[str, float]
    mean: float | None
    deviation: float | None
    notes: tuple[str, ...]
    mixed: bool = False

    @property
    def n(self) -> int:
        return len(self.values)


@dataclass(frozen=True)
class Row:
    """Attributes: levels: of the axes that rows are of. states: how many of its runs are in each. cells: by key."""

    levels: dict[str, str]
    states: dict[State, int]
    cells: dict[str, Cell]

    @property
    def planned(self) -> int:
        return sum(self.states.values())


@dataclass(frozen=True)
class Table:
    """A study's numbers.

    Attributes:
        pooled: the axes that are averaged over. keys: the columns. rows: in the order of the study.
        protocols: by metric, how its numbers came about, to the levels of the rows for which it is so.
        without: metrics that no run has a number of, to the reason. hidden: keys of the study that are not shown.
        failures: the levels of each run that failed, to the reason.
    """

    study: str
    pooled: list[str]
    keys: list[str]
    rows: list[Row]
    protocols: dict[str, dict[str, list[dict[str, str]]]]
    without: dict[str, str]
    hidden: list[str]
    failures: list[tuple[dict[str, str], str]]


def table(study: Study, asked: Sequence[str] | None = None, axes: Sequence[str] | None = None) -> Table:
    """The numbers of a study.

    Args:
        asked: keys ("mig.score") or metrics ("dci": all its numbers) in order; "all"; None: one number of each metric.
        axes: those that rows are of; the others are pooled. None: all but the seed.

    Raises:
        UsageError: no such axis, key or metric. RunDirectoryError: the spec of a run cannot be read.
    """
    axes = _axes(study, axes)
    known = labels(study.records)
    keys = chosen(study, asked)
    columns = {label_of(key, known) for key in keys}
    groups: dict[tuple[str, ...], list[Record]] = {}
    for record in study.records:
        groups.setdefault(tuple(record.levels[axis] for axis in axes), []).append(record)
    rows = []
    protocols: dict[str, dict[str, list[dict[str, str]]]] = {}
    for levels, records in groups.items():
        done = [record for record in records if record.state == "done"]
        counts = Counter(record.state for record in records)
        row_levels = dict(zip(axes, levels, strict=True))
        one_data = len({data_of(record) for record in done}) < 2
        cells = {key: _cell(key, label_of(key, known), done, axes, one_data) for key in keys}
        rows.append(Row(row_levels, {state: counts[state] for state in get_args(State)}, cells))
        for label in known:
            for protocol in dict.fromkeys(item.protocols[label] for item in done if label in item.protocols):
                if label in columns:
                    protocols.setdefault(label, {}).setdefault(protocol, []).append(row_levels)
    present = _keys(study)
    having = {label_of(key, known) for key in present}
    return Table(
        study=study.name,
        pooled=[axis for axis in study.axes if axis not in axes],
        keys=keys,
        rows=rows,
        protocols=protocols,
        without={label: _reasons(label, study.records) for label in known if label not in having},
        hidden=[key for key in present if key not in keys],
        failures=[(record.levels, record.error) for record in study.records if record.state == "failed"],
    )


def chosen(study: Study, asked: Sequence[str] | None) -> list[str]:
    """Keys that are meant, as for `table`.

    Raises:
        UsageError: no such key or metric.
    """
    known, keys = labels(study.records), _keys(study)
    by_label: dict[str, list[str]] = {label: [] for label in known}
    for key in keys:
        by_label.setdefault(label_of(key, known), []).append(key)
    if asked is None:
        return [_headline(members) for members in by_label.values() if members]
    found: list[str] = []
    for item in asked:
        if item == "all":
            found += keys
        elif item in keys:
            found.append(item)
        elif item in by_label:
            # A metric that was refused on every run keeps its column, to say so.
            found += by_label[item] or [item]
        else:
            raise UsageError(_unknown(item, [*keys, *by_label], keys))
    return list(dict.fromkeys(found))


def _headline(keys: Sequence[str]) -> str:
    """The number that stands for its metric: `.score` where there is one, else the first."""
    return next((key for key in keys if key.partition("@")[0].endswith(".score")), keys[0])


def _unknown(item: str, names: Sequence[str], keys: Sequence[str]) -> str:
    if not keys:
        return f'no number "{item}": no run of this study is evaluated yet'
    close = difflib.get_close_matches(item, names, n=1)
    hint = f' (did you mean "{close[0]}"?)' if close else ""
    return f'no number "{item}" in this study{hint}; there are: {", ".join(keys)}'


def _keys(study: Study) -> list[str]:
    """Every key of a done run."""
    done = [record for record in study.records if record.state == "done"]
    return list(dict.fromkeys(key for record in done for key in record.metrics))


def _axes(study: Study, asked: Sequence[str] | None) -> list[str]:
    if asked is None:
        return [axis for axis in study.axes if axis != SEED]
    unknown = [axis for axis in asked if axis not in study.axes]
    if unknown:
        raise UsageError(f'rows: no axis "{unknown[0]}" in this study; there are: {", ".join(study.axes)}')
    return [axis for axis in dict.fromkeys(asked)]


def _cell(key: str, label: str, done: Sequence[Record], axes: Sequence[str], one_data: bool) -> Cell:
    def own(record: Record) -> str:
        return called({axis: level for axis, level in record.levels.items() if axis not in axes})

    values = {own(record): record.metrics[key] for record in done if key in record.metrics}
    notes = []
    reasons: dict[str, list[str]] = {}
    for record in done:
        if key not in record.metrics:
            why = record.refused.get(label) or record.absent.get(key) or "it was not computed"
            reasons.setdefault(why, []).append(own(record))
    for reason, runs in reasons.items():
        which = f", of {'; '.join(runs)}" if values and any(runs) else ""
        notes.append(f"no {key}{which}: {reason.removeprefix(f'{label}: ')}")
    having = [record for record in done if key in record.metrics]
    protocols = {record.protocols.get(label, "") for record in having}
    if not values or len(protocols) > 1 or not one_data:
        if len(protocols) > 1:
            notes.append(f"{key} is not averaged: these runs came by it in {len(protocols)} ways, told below")
        elif values and not one_data:
            notes.append(
                f"{key} is not averaged: these runs are of different data; name the axis of the data with --rows"
            )
        return Cell(values, None, None, tuple(notes), mixed=bool(values))
    wild = {run: value for run, value in values.items() if not math.isfinite(value)}
    if wild:
        if len(values) > 1:
            finite = [value for value in values.values() if math.isfinite(value)]
            rest = f"; the other {len(finite)}: {spread(*_moments(finite))}" if finite else ""
            told = ", ".join(f"{value} ({run})" for run, value in wild.items())
            notes.append(f"{key} is not averaged: {told}{rest}")
        return Cell(values, None, None, tuple(notes))
    return Cell(values, *_moments(list(values.values())), tuple(notes))


def _moments(values: Sequence[float]) -> tuple[float, float | None]:
    return statistics.fmean(values), statistics.stdev(values) if len(values) > 1 else None


def _reasons(label: str, records: Sequence[Record]) -> str:
    found = dict.fromkeys(record.refused[label] for record in records if label in record.refused)
    return "; ".join(reason.removeprefix(f"{label}: ") for reason in found)


def standing(states: Mapping[State, int]) -> str:
    """Such as "5", or "3 of 5, 1 failed, 1 missing"."""
    done, planned = states["done"], sum(states.values())
    others = [f"{count} {state}" for state, count in states.items() if state != "done" and count]
    return f"{done} of {planned}, {', '.join(others)}" if others else str(done)


def as_sheet(found: Table) -> tuple[Sheet, list[str]]:
    """The table to read, and what must be said below it."""
    marks: dict[str, int] = {}
    axes = list(found.rows[0].levels) if found.rows else []
    rows = []
    for row in found.rows:
        cells = [_shown(row.cells[key], row, marks) for key in found.keys]
        rows.append([*row.levels.values(), standing(row.states), *cells])
    totals = {state: sum(row.states[state] for row in found.rows) for state in get_args(State)}
    others = "".join(f", {count} {state}" for state, count in totals.items() if state != "done" and count)
    title = f"{found.study}: {totals['done']} of {sum(totals.values())} runs done{others}"
    over = f" over {', '.join(found.pooled)}" if found.pooled else ""
    notes = [f"mean ± standard deviation{over} (of a sample, n - 1); n: runs that are done" if found.pooled else ""]
    notes += [f"[{mark}] {text}" for text, mark in marks.items()]
    notes += [
        f"failed: {called(levels) or found.study}: {error or 'no reason is known'}" for levels, error in found.failures
    ]
    notes += [
        f"{label}: computed on no run: {reason}" for label, reason in found.without.items() if label not in found.keys
    ]
    for label, protocols in found.protocols.items():
        for protocol, levels in protocols.items():
            which = what_sets_apart(levels, [row.levels for row in found.rows]) if len(protocols) > 1 else ""
            notes.append(f"{label}{f' ({which})' if which else ''}: {protocol}")
    if found.hidden:
        notes.append(f"not shown: {', '.join(found.hidden)}; see --metrics")
    return Sheet(title, [*axes, "n", *found.keys], rows, words=len(axes) + 1), [note for note in notes if note]


def _shown(cell: Cell, row: Row, marks: dict[str, int]) -> str:
    end = "".join(f" [{marks.setdefault(note, len(marks) + 1)}]" for note in cell.notes)
    if not cell.values:
        return f"-{end}"
    if cell.mixed:
        return f"not pooled{end}"
    if cell.mean is None:
        wild = [value for value in cell.values.values() if not math.isfinite(value)]
        text = f"{wild[0]}" if cell.n == 1 else f"{len(wild)} of {cell.n} not finite"
        return f"{text}{end}"
    count = "" if cell.n == row.states["done"] else f" (n = {cell.n})"
    return f"{spread(cell.mean, cell.deviation)}{count}{end}"


def as_json(found: Table) -> dict[str, Any]:
    """Every number in full; one that is not finite is a text, as JSON has none."""
    return {
        "study": found.study,
        "pooled": found.pooled,
        "rows": [
            {
                "levels": row.levels,
                "runs": {"planned": row.planned, **row.states},
                "metrics": {
                    key: {
                        "mean": cell.mean,
                        "sd": cell.deviation,
                        "n": cell.n,
                        "values": {run: number(value) for run, value in cell.values.items()},
                        "notes": list(cell.notes),
                    }
                    for key, cell in row.cells.items()
                },
            }
            for row in found.rows
        ],
        "protocols": {
            label: [{"protocol": protocol, "rows": levels} for protocol, levels in protocols.items()]
            for label, protocols in found.protocols.items()
        },
        "refused": found.without,
        "failed": [{"levels": levels, "error": error} for levels, error in found.failures],
    }


def as_lines(found: Table) -> tuple[list[str], list[list[object]]]:
    """Header and lines of a CSV file: a line for each row and number, with n, how it came about, and why runs failed.

    A row without a number has a line all the same, with its counts alone.
    """
    axes = list(found.rows[0].levels) if found.rows else []
    known = [*found.protocols, *found.without]
    header = [*axes, "metric", "mean", "sd", "n", "planned", *get_args(State), "notes", "protocol", "errors"]
    lines: list[list[object]] = []
    for row in found.rows:
        counts = [row.planned, *(row.states[state] for state in get_args(State))]
        errors = "; ".join(_errors(row, found))
        for key, cell in row.cells.items():
            protocols = found.protocols.get(label_of(key, known), {})
            own = [protocol for protocol, levels in protocols.items() if row.levels in levels]
            # A single number that is not finite is shown as it is.
            mean = next(iter(cell.values.values())) if cell.n == 1 else cell.mean
            how = " | ".join(own) if cell.values else ""
            notes = "; ".join(cell.notes)
            lines.append([*row.levels.values(), key, mean, cell.deviation, cell.n, *counts, notes, how, errors])
        if not row.cells:
            lines.append([*row.levels.values(), None, None, None, None, *counts, None, None, errors])
    return header, lines


def _errors(row: Row, found: Table) -> Iterator[str]:
    """Why runs of a row failed, such as "seed=1: loss is not finite"."""
    for levels, error in found.failures:
        if row.levels.items() <= levels.items():
            which = called({axis: level for axis, level in levels.items() if axis not in row.levels})
            yield f"{which}: {error or 'no reason is known'}" if which else error or "no reason is known"
