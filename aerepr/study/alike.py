"""Which runs of a study may be set beside each other: on equal data, numbers that came about in the same way, equal weights."""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import Any

from aerepr.errors import RunDirectoryError
from aerepr.rundir.layout import RunDirectory
from aerepr.study.record import Record

# Keys of `[data]` that say how a run keeps or holds examples, not which ones they are.
_ASIDE = ("gallery", "memory")


def label_of(key: str, labels: Collection[str]) -> str:
    """The metric that a number is of: "held-out/dci.completeness" is of "held-out/dci".

    Args:
        labels: known ones. What stands after an `@` belongs to a metric's label where that is its protocol
            ("factor_vae.score@generative"), and to the number alone where it is not ("rate.total@mc").
    """
    id_, slash, rest = key.rpartition("/")
    name, at, suffix = rest.partition("@")
    metric = f"{id_}{slash}{name.partition('.')[0]}"
    return f"{metric}@{suffix}" if at and f"{metric}@{suffix}" in labels else metric


def labels(records: Iterable[Record]) -> list[str]:
    """Every metric that was computed on a run, or refused."""
    return list(dict.fromkeys(label for record in records for label in [*record.protocols, *record.refused]))


def data_of(record: Record) -> str:
    """What a run was trained and evaluated on: its `[data]` table as text, equal for equal data.

    Raises:
        RunDirectoryError: the run's spec cannot be read.
    """
    return _as_text(record, "data", lambda spec: {key: item for key, item in spec["data"].items() if key not in _ASIDE})


def weights_of(record: Record) -> str:
    """What the terms of a run's loss weigh: likelihood, regularizers with weights, and their schedules, as text.

    Raises:
        RunDirectoryError: the run's spec cannot be read.
    """
    return _as_text(record, "weights", _weights)


def _weights(spec: dict[str, Any]) -> Any:
    model, train = spec["model"], spec["train"]
    terms = [[item["name"], item.get("id"), item["weight"]] for item in model["regularizers"]]
    schedules = [item for item in train["schedules"] if item["target"].startswith("model.regularizers.")]
    return [model["likelihood"], terms, schedules]


def _as_text(record: Record, what: str, of: Callable[[dict[str, Any]], Any]) -> str:
    """A part of a run's resolved spec; "" of a run that is not there."""
    if record.run is None:
        return ""
    path = RunDirectory(record.run).spec_resolved
    try:
        return json.dumps(of(json.loads(path.read_text(encoding="utf-8"))), sort_keys=True)
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as cause:
        raise RunDirectoryError(
            f"{path}: cannot be read, so it is unknown what {what} the run is of: {cause}"
        ) from cause


def called(levels: Mapping[str, str]) -> str:
    """Such as "model.recipe=AE, seed=0"."""
    return ", ".join(f"{axis}={level}" for axis, level in levels.items())


def what_sets_apart(some: Sequence[Mapping[str, str]], among: Sequence[Mapping[str, str]]) -> str:
    """How to call some of the runs (or rows), by their levels: the axes that tell them from the others, or all of them.

    Returns:
        Such as "data=rooms"; "" where they are all.
    """
    if len(some) == len(among):
        return ""
    own = {axis: level for axis, level in some[0].items() if all(levels[axis] == level for levels in some)}
    own = {axis: level for axis, level in own.items() if any(levels[axis] != level for levels in among)}
    if sum(all(levels[axis] == level for axis, level in own.items()) for levels in among) == len(some):
        return called(own)
    return "; ".join(called(levels) for levels in some)
