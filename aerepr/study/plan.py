"""From a study file to its runs: every combination of levels, resolved, with its spec hash; or every problem at once."""

from __future__ import annotations

import itertools
import json
import math
import tomllib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from aerepr.errors import AereprError, Problem, SpecError
from aerepr.evaluation.asked import metric_specs
from aerepr.registry.registry import Registry, meant
from aerepr.spec.read import problems_of, read_toml, spec_from_tables
from aerepr.spec.run import RunSpec
from aerepr.study.spec import EvaluateSpec, StudySpec

NAMED = "the study's own name is that of its runs: remove it"


@dataclass(frozen=True)
class PlannedRun:
    """One combination. Attributes: levels: axis to level, as text. hash: of the spec."""

    levels: dict[str, str]
    spec: RunSpec
    hash: str

    @property
    def label(self) -> str:
        """Such as "model.recipe=SAE-12 seed=0"."""
        return label(self.levels)


@dataclass(frozen=True)
class Plan:
    """A study file that holds. Attributes: folder: where its data paths start. text: the file's own."""

    name: str
    folder: Path
    text: str
    axes: dict[str, list[str]]
    runs: list[PlannedRun]
    evaluate: list[EvaluateSpec]


@dataclass(frozen=True)
class _Level:
    """One level of an axis: what it changes, and where in the study file it stands."""

    text: str
    changes: list[tuple[str, Any]]
    place: str
    is_table: bool

    def locate(self, path: str) -> str | None:
        """The path in the study file of a spec's path, if this level has set it."""
        for dotted, value in self.changes:
            if path == dotted or dotted.startswith(f"{path}.") or _reaches(value, dotted, path):
                return f"{self.place}.{path}" if self.is_table else self.place
        return None


def label(levels: Mapping[str, str]) -> str:
    """Levels in a line."""
    return " ".join(f"{axis}={level}" for axis, level in levels.items())


def read_plan(path: Path) -> Plan:
    """Read a study file and resolve its runs.

    Raises:
        SpecError: the file cannot be read, or anything in it is wrong; lists every problem by its path in the file.
    """
    text = read_toml(path)
    tables = tomllib.loads(text)
    try:
        study = StudySpec.model_validate(tables)
    except ValidationError as cause:
        worded = dict.fromkeys(_worded(problem, tables) for problem in problems_of(cause))
        raise SpecError(str(path), list(worded)) from cause
    problems: list[Problem] = []
    axes = {axis: _levels(axis, value, problems) for axis, value in study.axes.items()}
    if "name" in study.spec:
        problems.append(Problem("spec.name", NAMED))
    registry = Registry.beside(path.parent)
    problems += _evaluation_problems(study.evaluate, registry)
    # An axis that has nothing to give is told by now, and the others are looked at without it, but for what it may give.
    usable = {axis: levels for axis, levels in axes.items() if levels}
    found: list[Problem] = []
    runs = _resolve(study, usable, registry, found)
    problems += [item for item in found if usable.keys() == axes.keys() or not item.message.startswith("missing")]
    problems += _same(runs)
    if problems:
        raise SpecError(str(path), problems)
    texts = {axis: [level.text for level in levels] for axis, levels in axes.items()}
    return Plan(study.name, path.parent.resolve(), text, texts, runs, study.evaluate)


def _worded(problem: Problem, tables: Mapping[str, Any]) -> Problem:
    """What is wrong with the study's own keys, in words that fit a study."""
    top, _, rest = problem.path.partition(".")
    if problem.message.startswith("unknown key"):
        known = list(EvaluateSpec.model_fields if top == "evaluate" else StudySpec.model_fields)
        key = rest.rpartition(".")[2] if rest else top
        hint = f"{meant(key, known)}; this table has: {', '.join(known)}"
        if key in RunSpec.model_fields and not rest:
            hint = (
                f": a key of the runs goes into [spec], here {key}" if key != "seed" else ": a list of seeds is an axis"
            )
        return Problem(problem.path, f"unknown key{hint}")
    axis = top == "axes" and rest.split(".list[")[0].split(".dict[")[0]
    if axis and axis in tables["axes"]:
        found = tables["axes"][axis]
        return Problem(_place(axis), f"expected a list of values, or tables of keys that are levels, got {found!r}")
    return problem


def _place(axis: str, level: str | None = None) -> str:
    keys = [f'"{key}"' if "." in key else key for key in (axis, *([level] if level is not None else []))]
    return ".".join(["axes", *keys])


def _levels(axis: str, value: Sequence[Any] | Mapping[str, Any], problems: list[Problem]) -> list[_Level]:
    place = _place(axis)
    if axis == "name":
        problems.append(Problem(place, NAMED))
        return []
    if not value:
        problems.append(Problem(place, "is empty: give it a level, or remove it"))
    if isinstance(value, Mapping):
        return _tables(axis, value, problems)
    levels = {_text(item): _Level(_text(item), [(axis, item)], place, is_table=False) for item in value}
    if len(levels) < len(value):
        texts = [_text(item) for item in value]
        twice = sorted({text for text in texts if texts.count(text) > 1})
        problems.append(Problem(place, f"has {', '.join(twice)} twice: remove one"))
    return list(levels.values())


def _tables(axis: str, value: Mapping[str, Any], problems: list[Problem]) -> list[_Level]:
    levels = []
    for name, table in value.items():
        place = _place(axis, name)
        if not isinstance(table, Mapping):
            hint = f'; to vary the key {axis}.{name}, put it in quotes: "{axis}.{name}" = [...]'
            problems.append(Problem(place, f"expected a table of keys, got {table!r}{hint}"))
            continue
        if "name" in table:
            problems.append(Problem(f"{place}.name", NAMED))
        levels.append(_Level(name, list(_changes(table)), place, is_table=True))
    return levels


def _changes(table: Mapping[str, Any]) -> Iterable[tuple[str, Any]]:
    """A partial spec as overrides. A recipe is one of its own: it decides what everything else is laid over."""
    for key, value in table.items():
        if key == "model" and isinstance(value, Mapping) and "recipe" in value:
            yield "model.recipe", value["recipe"]
            value = {inner: item for inner, item in value.items() if inner != "recipe"}
        yield key, value


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, default=str)


def _reaches(value: Any, dotted: str, path: str) -> bool:
    """Whether a value set at a dotted path says something about a path below it."""
    if not path.startswith(f"{dotted}."):
        return False
    for key in path.removeprefix(f"{dotted}.").split("."):
        if not isinstance(value, Mapping):
            return True
        if key not in value:
            return False
        value = value[key]
    return True


def _resolve(
    study: StudySpec, axes: Mapping[str, Sequence[_Level]], registry: Registry, problems: list[Problem]
) -> list[PlannedRun]:
    """Every combination that is a spec; what is wrong with the others goes to `problems`, each fault once."""
    runs: list[PlannedRun] = []
    faults: dict[tuple[str, str], list[dict[str, str]]] = {}
    shared = {key: value for key, value in study.spec.items() if key != "name"} | {"name": study.name}
    for chosen in itertools.product(*axes.values()):
        levels = {axis: level.text for axis, level in zip(axes, chosen, strict=True)}
        changes = [change for level in chosen for change in level.changes if change[0] != "name"]
        try:
            spec = spec_from_tables(shared, registry=registry, changes=changes)
        except SpecError as cause:
            for problem in cause.problems:
                path = problem.path.removeprefix("--set ")
                found = (level.locate(path) for level in reversed(chosen))
                place = next((item for item in found if item is not None), f"spec.{path}")
                message = problem.message + _near(path, problem.message)
                faults.setdefault((place, message), []).append(levels)
        else:
            runs.append(PlannedRun(levels, spec, spec.hash()))
    total = math.prod(map(len, axes.values()))
    for (place, message), where in faults.items():
        problems.append(Problem(place, message + _where(place, where, total)))
    return runs


def _near(path: str, message: str) -> str:
    """Which top-level key of a spec an unknown one may mean."""
    return meant(path, list(RunSpec.model_fields)) if message.startswith("unknown key") and "." not in path else ""


def _where(place: str, where: Sequence[Mapping[str, str]], total: int) -> str:
    """The levels that all runs with a fault share, where other runs do not have it."""
    if len(where) == total:
        return ""
    shared = {
        axis: level
        for axis, level in where[0].items()
        if all(other[axis] == level for other in where) and not place.startswith(_place(axis))
    }
    return f" (where {label(shared)})" if shared else ""


def _same(runs: Sequence[PlannedRun]) -> list[Problem]:
    """Runs that are one, by the axes in which their levels differ."""
    first: dict[str, PlannedRun] = {}
    pairs: dict[tuple[str, ...], tuple[PlannedRun, PlannedRun]] = {}
    for run in runs:
        twin = first.setdefault(run.hash, run)
        if twin is not run:
            differing = tuple(axis for axis in run.levels if run.levels[axis] != twin.levels[axis])
            pairs.setdefault(differing, (twin, run))
    return [
        Problem(
            " and ".join(_place(axis) for axis in axes),
            f"two runs are the same: {one.label}, and {other.label}: remove a level (names, device, intervals, loggers and "
            "[evaluation] do not make another run)",
        )
        for axes, (one, other) in pairs.items()
    ]


def _evaluation_problems(evaluate: Sequence[EvaluateSpec], registry: Registry) -> list[Problem]:
    problems = []
    for index, item in enumerate(evaluate):
        path = f"evaluate.{index}"
        try:
            specs = metric_specs(registry, [], item.metrics, item.settings, item.seed)
        except SpecError as cause:
            problems += [Problem(f"{path}: {problem.path}", problem.message) for problem in cause.problems]
            continue
        except AereprError as cause:
            problems.append(Problem(path, str(cause)))
            continue
        for name, spec in specs.items():
            if registry.load("metric", spec.name).needs == "runs":
                problems.append(Problem(f"{path}.metrics", f'"{name}" compares several runs; it is none of one run'))
    return problems
