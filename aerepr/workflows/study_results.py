"""`aerepr study table` and `aerepr study rank`: what the runs of a study say together, read from its folder.

Metrics that compare runs, such as `udr`, are computed here: of the done runs that differ in their seed alone. They are kept
in `comparisons.json` in the study's folder until one of those runs is another.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from aerepr import atomic
from aerepr.errors import AereprError, RunDirectoryError, UsageError
from aerepr.evaluation.asked import metric_specs, placed
from aerepr.evaluation.evaluate import Selection
from aerepr.kinds.dataset import Progress, silent
from aerepr.kinds.metric import Metric
from aerepr.registry.registry import Registry
from aerepr.rundir.layout import RunDirectory
from aerepr.spec.base import ComponentSpec
from aerepr.study import formats, rank, table
from aerepr.study.alike import called, label_of, labels
from aerepr.study.folder import StudyFolder, find
from aerepr.study.record import Record, Study, records
from aerepr.study.spec import EvaluateSpec
from aerepr.workflows.together import compared

_COMPARISONS = "comparisons.json"


def study_table(
    study: str | Path | None = None,
    *,
    runs: str | Path = "runs",
    metrics: Sequence[str] | None = None,
    rows: Sequence[str] | None = None,
    folder: str | Path | None = None,
    progress: Progress = silent,
) -> table.Table:
    """Mean, deviation and n of every number of a study.

    Args:
        study: its folder, its name or its TOML file; None: the newest. metrics: keys or metrics, in order; "all"; None: one
            number of each. rows: the axes that rows are of; None: all but the seed.
        folder: where the runs' data paths start, if the data moved. progress: of metrics that compare runs.

    Raises:
        UsageError: no such study, number or axis. RunDirectoryError: a file of the study or a run cannot be read.
    """
    place = find(Path(runs), str(study) if study is not None else None)
    found = with_comparisons(place, records(place.path), metrics or (), folder, progress)
    return table.table(_with_absent(found), metrics, rows)


def study_rank(
    study: str | Path | None = None,
    *,
    by: str,
    runs: str | Path = "runs",
    against: Sequence[str] | None = None,
    ascending: bool | None = None,
    across_weights: bool = False,
    resamples: int = rank.RESAMPLES,
    seed: int = 0,
    folder: str | Path | None = None,
    progress: Progress = silent,
) -> rank.Ranking:
    """The runs of a study in the order of a score, and how it goes with other numbers.

    Args:
        by: a key, or a metric, whose `.score` or first number is meant. against: keys or metrics; None: one number of each
            supervised metric there is. ascending: the lowest score first; None: where its metric says that less is better.
        across_weights: order runs of different weights and likelihoods together. resamples, seed: of the bootstrap. The
            others as for `study_table`.

    Raises:
        As `study_table`.
    """
    place = find(Path(runs), str(study) if study is not None else None)
    found = with_comparisons(place, records(place.path), [by, *(against or ())], folder, progress)
    chosen = _supervised(found) if against is None else against
    by = rank.score_key(found, by)
    ascending = _lower_is_better(by, found) if ascending is None else ascending
    return rank.rank(
        found, by, chosen, ascending=ascending, across_weights=across_weights, resamples=resamples, seed=seed
    )


def rendered(found: table.Table | rank.Ranking, form: str = "text", width: int | None = None) -> str:
    """A result in one of the formats.

    Args:
        width: of a terminal, for text; None: tables as wide as they are.

    Raises:
        UsageError: no such format.
    """
    form = formats.checked(form)
    if isinstance(found, table.Table):
        sheet, notes = table.as_sheet(found)
        sheets, numbers, lines = [sheet], table.as_json(found), table.as_lines(found)
    else:
        sheets, notes = rank.as_sheets(found)
        numbers, lines = rank.as_json(found), rank.as_lines(found)
    if form == "json":
        return json.dumps(numbers, indent=2)
    if form == "csv":
        return formats.as_csv(*lines)
    if form == "markdown":
        return formats.as_markdown(sheets, notes)
    if form == "latex":
        return formats.as_latex(sheets, notes)
    return formats.as_text(sheets, notes, width)


def write(text: str, out: Path) -> None:
    """Keep a result in a file, whole or not at all."""
    atomic.write_text(out, text + "\n")


def _supervised(study: Study) -> list[str]:
    """One number of each metric that reads factors."""
    registry, known = Registry(), labels(study.records)
    found = []
    for key in table.chosen(study, None):
        try:
            component: type[Metric] = registry.load("metric", _name(label_of(key, known)))
        except AereprError:
            continue  # of a plugin that is not installed here: whether it reads factors is unknown
        if component.needs == "codes" and component.supervised:
            found.append(key)
    return found


def _lower_is_better(key: str, study: Study) -> bool:
    """Whether the metric of a number says so."""
    try:
        component: type[Metric] = Registry().load("metric", _name(label_of(key, labels(study.records))))
    except AereprError:
        return False  # of a plugin that is not installed here
    return not component.lower_is_better.isdisjoint({_field(key), "*"})


def _with_absent(study: Study) -> Study:
    """The study, its records with the reasons for which a metric that was computed may lack a number that others have."""
    registry, known = Registry(), labels(study.records)
    keys = {key: label_of(key, known) for record in study.records for key in record.metrics}
    reasons: dict[str, str] = {}
    for key, label in keys.items():
        with contextlib.suppress(AereprError):  # of a plugin that is not installed here
            component: type[Metric] = registry.load("metric", _name(label))
            reasons |= {key: component.absent[_field(key)]} if _field(key) in component.absent else {}

    def lacking(record: Record) -> dict[str, str]:
        computed = {key for key in reasons if keys[key] in record.protocols}
        return {key: reasons[key] for key in computed - record.metrics.keys()}

    return replace(study, records=[replace(record, absent=lacking(record)) for record in study.records])


def _name(label: str) -> str:
    return label.rpartition("/")[2].partition("@")[0]


def _field(key: str) -> str:
    return _name(key).partition(".")[2]


@dataclass(frozen=True)
class _Asked:
    """A metric that compares runs, as one `[[evaluate]]` table has it. Attributes: label: "udr", or "held-out/udr"."""

    label: str
    spec: ComponentSpec
    evaluate: EvaluateSpec

    @property
    def selection(self) -> Selection:
        item = self.evaluate
        return Selection(item.split, item.subset or None, None if item.rows == "full" else item.rows, item.seed)

    @property
    def settings(self) -> dict[str, Any]:
        """What decides the numbers, beside the runs."""
        item = self.evaluate.model_dump(mode="json", include={"split", "subset", "rows", "seed"})
        return {**item, "metric": self.spec.model_dump(mode="json", by_alias=True)}


def with_comparisons(
    place: StudyFolder,
    study: Study,
    names: Sequence[str],
    folder: str | Path | None = None,
    progress: Progress = silent,
) -> Study:
    """The study, its records with the numbers of those of these metrics that compare runs.

    Each run is compared with the other done runs of the same levels but for the seed, as published for `udr`.

    Args:
        names: keys or metrics; others than those that compare runs are left to whoever asks.

    Raises:
        UsageError: the study has no seeds, or no evaluation of the id in front of a name. RunDirectoryError: the plan
            cannot be read.
    """
    asked = _asked(place, names)
    if not asked:
        return study
    if table.SEED not in study.axes:
        raise UsageError(
            f'metric "{_name(asked[0].label)}" compares runs that differ in their seed alone, and this study has no axis '
            f'"{table.SEED}"'
        )
    groups: dict[str, list[int]] = {}
    for number, record in enumerate(study.records):
        shared = {axis: level for axis, level in record.levels.items() if axis != table.SEED}
        groups.setdefault(called(shared), []).append(number)
    found = list(study.records)
    path = place.path / _COMPARISONS
    kept = _read(path)
    work = [(item, levels, numbers) for item in asked for levels, numbers in groups.items()]
    for done, (item, levels, numbers) in enumerate(work):
        members = [number for number in numbers if found[number].state == "done"]
        entry = f"{item.label} of {levels}"
        try:
            paths, of = _of(item, [found[number] for number in members])
            if not _is_of(kept.get(entry), of):
                progress("compare", done, len(work))
                kept[entry] = {"of": of, **_compared(item, paths, folder)}
                atomic.write_text(path, json.dumps(kept, indent=2) + "\n")
                progress("compare", done + 1, len(work))
        except AereprError as cause:
            for number in members:
                found[number] = replace(found[number], refused={**found[number].refused, item.label: str(cause)})
            continue
        for number, own in zip(members, kept[entry]["each"], strict=True):
            found[number] = _with(found[number], item.label, own, kept[entry]["protocol"])
    return replace(study, records=found)


def _asked(place: StudyFolder, names: Sequence[str]) -> list[_Asked]:
    registry = Registry()
    plan = place.read_plan()
    try:
        tables = {str(item["id"]): EvaluateSpec.model_validate(item["asked"]) for item in plan["evaluate"]}
        home = Path(plan["folder"])
    except (KeyError, TypeError, ValueError) as cause:
        raise RunDirectoryError(
            f"{place.plan}: damaged: run the study again to have it replaced ({cause!r})"
        ) from cause
    found: dict[str, _Asked] = {}
    for name in names:
        label = label_of(name, ())
        metric = _name(label)
        if metric not in registry.names("metric") or registry.load("metric", metric).needs != "runs":
            continue
        id_ = label.rpartition("/")[0]
        if id_ and id_ not in tables:
            ids = ", ".join(filter(None, tables)) or "none"
            raise UsageError(f'{name}: this study has no evaluation "{id_}"; there are: {ids}')
        # A study whose evaluations all have an id still has the rows that `aerepr evaluate` is about.
        item = tables.get(id_) or EvaluateSpec.model_validate({})
        settings = {metric: item.settings[metric]} if metric in item.settings else {}
        settings = placed(settings, home, registry)
        (spec,) = metric_specs(registry, [], [metric], settings, item.seed).values()
        found[label] = _Asked(label, spec, item)
    return list(found.values())


def _of(item: _Asked, members: Sequence[Record]) -> tuple[list[Path], dict[str, Any]]:
    """Runs that differ in their seed, and all that decides what comparing them gives."""
    paths = [record.run for record in members if record.run is not None]
    if len(paths) < 2:
        raise UsageError(f"compares runs that differ in their seed alone; of these levels {len(paths)} is done")
    return paths, {"settings": item.settings, "runs": {path.name: _weights(path) for path in paths}}


def _is_of(kept: dict[str, Any] | None, of: dict[str, Any]) -> bool:
    """Whether an entry of `comparisons.json` is whole and still of these runs."""
    return kept is not None and kept.get("of") == of and {"each", "protocol"} <= kept.keys()


def _compared(item: _Asked, paths: Sequence[Path], folder: str | Path | None) -> dict[str, Any]:
    answer = compared(paths, item.selection, item.spec, folder)
    return {
        "protocol": f"{answer.protocol}; with the other done runs of the same levels but for the seed",
        "each": [{key: formats.number(value) for key, value in numbers.items()} for numbers in answer.each],
    }


def _weights(path: Path) -> str:
    """The hash of a run's model."""
    card = RunDirectory(path).bundle / "card.json"
    try:
        return str(json.loads(card.read_text(encoding="utf-8"))["sha256"]["model"])
    except (OSError, ValueError, KeyError, TypeError) as cause:
        raise RunDirectoryError(f"{card}: cannot be read: {cause}") from cause


def _with(record: Record, label: str, numbers: dict[str, Any], protocol: str) -> Record:
    id_, slash, _ = label.rpartition("/")
    own = {f"{id_}{slash}{key}": float(value) for key, value in numbers.items()}
    return replace(record, metrics={**record.metrics, **own}, protocols={**record.protocols, label: protocol})


def _read(path: Path) -> dict[str, Any]:
    """What is kept; nothing where the file is not there or damaged: it is made anew."""
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return {key: value for key, value in found.items() if isinstance(value, dict)} if isinstance(found, dict) else {}
