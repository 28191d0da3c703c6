"""Runs in the order of a score, and how that order goes with other numbers of theirs.

The score is meant to be one that needs no factors, such as `udr.lasso`; that it picks the runs which supervised metrics
would pick is what the correlations are to show. Spearman's rho is that of ranks, equal values sharing the mean of theirs;
its interval is the percentile bootstrap over runs. Runs on other data, of other weights or likelihoods, or whose numbers came
about in another way, are ordered and correlated apart.
Shape letters: N runs, R resamples.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from aerepr.errors import UsageError
from aerepr.study.alike import called, data_of, label_of, labels, weights_of, what_sets_apart
from aerepr.study.formats import Sheet, number
from aerepr.study.record import Record, Study
from aerepr.study.table import chosen

Array = npt.NDArray[np.float64]

# Fewer runs than these say nothing about a correlation.
LEAST = 8
RESAMPLES = 2000
_LEVEL = 0.95


@dataclass(frozen=True)
class Rho:
    """Attributes: value, low, high: None where not defined. n: runs. degenerate: resamples without a correlation."""

    n: int
    value: float | None = None
    low: float | None = None
    high: float | None = None
    degenerate: int = 0
    note: str = ""


def average_ranks(values_N: npt.ArrayLike) -> Array:
    """Ranks from 1, equal values sharing the mean of theirs."""
    _, place_N, counts = np.unique(np.asarray(values_N, np.float64), return_inverse=True, return_counts=True)
    ranks_N: Array = (np.cumsum(counts) - (counts - 1) / 2)[place_N]
    return ranks_N


def spearman(first_N: npt.ArrayLike, second_N: npt.ArrayLike) -> float | None:
    """The correlation of the ranks; None where the values of a side are all equal. Infinite values have ranks too."""
    a_N, b_N = (ranks_N - ranks_N.mean() for ranks_N in (average_ranks(first_N), average_ranks(second_N)))
    scale = math.sqrt(float(a_N @ a_N) * float(b_N @ b_N))
    return float(a_N @ b_N) / scale if scale else None


def correlate(first_N: npt.ArrayLike, second_N: npt.ArrayLike, resamples: int = RESAMPLES, seed: int = 0) -> Rho:
    """Spearman's rho of runs with its bootstrap interval (95 %, percentiles over resampled runs)."""
    a_N, b_N = np.asarray(first_N, np.float64), np.asarray(second_N, np.float64)
    n = len(a_N)
    if n < LEAST:
        return Rho(n, note=f"too few runs (n = {n}, {LEAST} needed)")
    value = spearman(a_N, b_N)
    if value is None:
        return Rho(n, note="not defined: the values of one side are all equal")
    generator = np.random.Generator(np.random.PCG64(seed))
    drawn = [spearman(a_N[rows], b_N[rows]) for rows in generator.integers(0, n, size=(resamples, n))]
    found_R = [rho for rho in drawn if rho is not None]
    degenerate = resamples - len(found_R)
    if degenerate > resamples / 2:
        text = f"no interval: in {degenerate} of {resamples} resamples the values of one side are all equal"
        return Rho(n, value, degenerate=degenerate, note=text)
    outside = (1 - _LEVEL) / 2
    low, high = np.quantile(found_R, [outside, 1 - outside])
    note = f"{degenerate} of {resamples} resamples, with equal values alone, left out" if degenerate else ""
    return Rho(n, value, float(low), float(high), degenerate, note)


@dataclass(frozen=True)
class Correlation:
    """Attributes: key: against which. of: the runs it is among ("" where they are all of the group). without: how many
    runs of them have no such number. protocol: of the number."""

    key: str
    of: str
    rho: Rho
    without: int
    protocol: str


@dataclass(frozen=True)
class Group:
    """Runs that may be ordered together.

    Attributes:
        of: what tells them from those of other groups, such as "data=rooms"; "" where there is one group.
        records: in order. protocol: of the score.
    """

    of: str
    records: list[Record]
    protocol: str
    correlations: list[Correlation]


@dataclass(frozen=True)
class Ranking:
    """Attributes: by: the key. unranked: the levels of every other run, to why it has no place."""

    study: str
    by: str
    ascending: bool
    against: list[str]
    resamples: int
    seed: int
    groups: list[Group]
    unranked: list[tuple[dict[str, str], str]]


def rank(
    study: Study,
    by: str,
    against: Sequence[str],
    *,
    ascending: bool = False,
    across_weights: bool = False,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> Ranking:
    """Order the runs of a study.

    Args:
        by: a key, or a metric, whose `.score` or first number is then meant. against: keys or metrics; may be empty.
        across_weights: order runs of different weights and likelihoods together.
        seed: of the bootstrap.

    Raises:
        UsageError: no such number. RunDirectoryError: the spec of a run cannot be read.
    """
    if resamples < 2:
        raise UsageError(f"resamples: expected 2 or more, got {resamples}")
    by = score_key(study, by)
    keys = [key for key in chosen(study, against) if key != by]
    known = labels(study.records)
    label = label_of(by, known)
    placed, unranked = [], []
    for record in study.records:
        reason = _unplaced(record, by, label)
        if reason:
            unranked.append((record.levels, reason))
        else:
            placed.append(record)
    groups = []

    def comparable(record: Record) -> tuple[str, ...]:
        return (
            data_of(record),
            record.protocols.get(label, ""),
            "" if across_weights else weights_of(record),
        )

    for members in _parted(placed, comparable):
        found = []
        for key in keys:
            found += _correlations(members, by, key, label_of(key, known), resamples, seed)
        groups.append(
            Group(
                of=_apart(members, placed),
                # Sorting is stable: runs of equal scores stay in the order of the study.
                records=sorted(members, key=lambda record: record.metrics[by] * (1 if ascending else -1)),
                protocol=members[0].protocols.get(label, ""),
                correlations=found,
            )
        )
    return Ranking(study.name, by, ascending, keys, resamples, seed, groups, unranked)


def score_key(study: Study, asked: str) -> str:
    """The key a score is meant by.

    Raises:
        UsageError: there is none, or every run refused it.
    """
    keys = chosen(study, [asked])
    present = [key for key in keys if any(key in record.metrics for record in study.records if record.state == "done")]
    if not present:
        reasons = dict.fromkeys(item.refused[asked] for item in study.records if asked in item.refused)
        raise UsageError(f"no run of this study has {asked}: {'; '.join(reasons) or 'it was not computed'}")
    return next((key for key in present if key.partition("@")[0].endswith(".score")), present[0])


def _unplaced(record: Record, by: str, label: str) -> str:
    if record.state != "done":
        return f"{record.state}{f': {record.error}' if record.error else ''}"
    if by not in record.metrics:
        return f"no {by}: {record.refused.get(label, 'it was not computed').removeprefix(f'{label}: ')}"
    return f"{by} is nan" if math.isnan(record.metrics[by]) else ""


def _parted(records: Sequence[Record], by: Callable[[Record], object]) -> list[list[Record]]:
    found: dict[object, list[Record]] = {}
    for record in records:
        found.setdefault(by(record), []).append(record)
    return list(found.values())


def _apart(some: Sequence[Record], among: Sequence[Record]) -> str:
    return what_sets_apart([record.levels for record in some], [record.levels for record in among])


def _correlations(
    members: Sequence[Record], by: str, key: str, label: str, resamples: int, seed: int
) -> list[Correlation]:
    """Of the score with one number: one for each way in which that number came about."""
    having = [record for record in members if not math.isnan(record.metrics.get(key, math.nan))]
    without = len(members) - len(having)
    if not having:
        return [Correlation(key, "", Rho(0, note="no run has it"), without, "")]
    return [
        Correlation(
            key,
            _apart(runs, having),
            correlate([run.metrics[by] for run in runs], [run.metrics[key] for run in runs], resamples, seed),
            without,
            runs[0].protocols.get(label, ""),
        )
        for runs in _parted(having, lambda record: record.protocols.get(label, ""))
    ]


def as_sheets(found: Ranking) -> tuple[list[Sheet], list[str]]:
    """The order and the correlations to read, and what must be said below them."""
    sheets = []
    for group in found.groups:
        title = f"{found.study}{f', {group.of}' if group.of else ''}: {len(group.records)} runs by {found.by}, "
        title += "lowest first" if found.ascending else "highest first"
        axes = list(group.records[0].levels)
        rows = [
            [
                str(place),
                *record.levels.values(),
                *(f"{record.metrics[key]:.4g}" if key in record.metrics else "-" for key in [found.by, *found.against]),
            ]
            for place, record in enumerate(group.records, 1)
        ]
        sheets.append(Sheet(title, ["place", *axes, found.by, *found.against], rows, words=len(axes) + 1))
        if group.correlations:
            title = f"Spearman's rank correlation of {found.by} with{f', {group.of}' if group.of else ''}:"
            header = ["", "n", "rho", "95 % interval"]
            parted = any(item.of for item in group.correlations)
            lines = [_line(item, parted) for item in group.correlations]
            sheets.append(Sheet(title, [*header[:1], *(["of"] if parted else []), *header[1:]], lines, 1 + parted))
    return sheets, _notes(found)


def _line(item: Correlation, parted: bool) -> list[str]:
    rho = item.rho
    interval = "-" if rho.low is None or rho.high is None else f"[{rho.low:.2f}, {rho.high:.2f}]"
    value = f"{rho.value:.2f}" if rho.value is not None else "too few runs" if 0 < rho.n < LEAST else "-"
    return [item.key, *([item.of] if parted else []), str(rho.n), value, interval]


def _notes(found: Ranking) -> list[str]:
    notes = []
    if len(found.groups) > 1:
        notes.append(
            "runs on other data, of other weights or likelihoods, or whose numbers came about in another way, are ordered and "
            "correlated apart"
        )
    if any(item.rho.low is not None for group in found.groups for item in group.correlations):
        notes.append(
            f"intervals: percentiles of {found.resamples} resamples of the runs (bootstrap, seed {found.seed})"
        )
    for group in found.groups:
        for item in group.correlations:
            said = [item.rho.note] if item.rho.note else []
            said += [f"{item.without} of the runs have no such number"] if item.without and item.rho.n else []
            if said:
                notes.append(f"{item.key}{_in_brackets(_which(group, item))}: {'; '.join(said)}")
    notes += [f"without a place: {called(levels) or found.study}: {reason}" for levels, reason in found.unranked]
    ways: dict[str, dict[str, list[str]]] = {}
    for group in found.groups:
        ways.setdefault(group.protocol, {}).setdefault(found.by, []).append(group.of)
        for item in group.correlations:
            ways.setdefault(item.protocol, {}).setdefault(item.key, []).append(_which(group, item))
    for protocol, keys in ways.items():
        # Where a number came about in one way, nobody asks of which runs.
        names = [
            f"{key}{_in_brackets('; '.join(of)) if sum(key in other for other in ways.values()) > 1 else ''}"
            for key, of in keys.items()
        ]
        if protocol:
            notes.append(f"{', '.join(names)}: {protocol}")
    return notes


def _which(group: Group, item: Correlation) -> str:
    return ", ".join(text for text in (group.of, item.of) if text)


def _in_brackets(text: str) -> str:
    return f" ({text})" if text else ""


def as_json(found: Ranking) -> dict[str, Any]:
    """Every number in full; one that is not finite is a text, as JSON has none."""
    return {
        "study": found.study,
        "by": found.by,
        "ascending": found.ascending,
        "resamples": found.resamples,
        "seed": found.seed,
        "groups": [
            {
                "of": group.of,
                "protocol": group.protocol,
                "runs": [
                    {
                        "place": place,
                        "levels": record.levels,
                        "run": str(record.run) if record.run is not None else None,
                        **_numbers(record.metrics, [found.by, *found.against]),
                    }
                    for place, record in enumerate(group.records, 1)
                ],
                "correlations": [
                    {
                        "against": item.key,
                        "of": item.of,
                        "n": item.rho.n,
                        "without": item.without,
                        "rho": item.rho.value,
                        "interval": None if item.rho.low is None else [item.rho.low, item.rho.high],
                        "degenerate": item.rho.degenerate,
                        "note": item.rho.note,
                        "protocol": item.protocol,
                    }
                    for item in group.correlations
                ],
            }
            for group in found.groups
        ],
        "unranked": [{"levels": levels, "reason": reason} for levels, reason in found.unranked],
    }


def _numbers(metrics: Mapping[str, float], keys: Sequence[str]) -> dict[str, Any]:
    return {"metrics": {key: number(metrics[key]) for key in keys if key in metrics}}


def as_lines(found: Ranking) -> tuple[list[str], list[list[object]]]:
    """Header and lines of a CSV file: the runs in order. The correlations are in the other formats."""
    axes = list(found.groups[0].records[0].levels) if found.groups else []
    keys = [found.by, *found.against]
    lines: list[list[object]] = [
        [group.of, place, *record.levels.values(), *(record.metrics.get(key) for key in keys), record.run]
        for group in found.groups
        for place, record in enumerate(group.records, 1)
    ]
    return ["of", "place", *axes, *keys, "run"], lines
