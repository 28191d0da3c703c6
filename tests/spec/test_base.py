"""What a table takes for what: the types of TOML, one for another only where nothing is guessed."""

from __future__ import annotations

import tomllib
from enum import Enum
from pathlib import Path
from typing import Literal

import pytest
from pydantic import Field, PositiveInt, ValidationError

from aerepr.errors import SpecError
from aerepr.registry.registry import Registry
from aerepr.sampling.component import component_spec
from aerepr.spec.base import Table
from aerepr.spec.read import spec_from_tables


class Colour(Enum):
    RED = "red"


class Inner(Table):
    count: int = 0


class Outer(Table):
    count: PositiveInt = 1
    rate: float = 0.5
    on: bool = False
    text: str = ""
    maybe: bool | None = None
    kind: Literal["a", "b"] = "a"
    size: Literal[64, 128] = 64
    colour: Colour = Colour.RED
    path: Path = Path()
    pair: tuple[float, float] = (0.0, 1.0)
    either: PositiveInt | tuple[PositiveInt, PositiveInt] = 1
    counts: list[int] = []
    rows: list[list[int]] = []
    subset: dict[str, list[int]] = {}
    numbered: dict[int, float] = {}
    inner: Inner = Inner()
    inners: list[Inner] = []
    aliased: float = Field(1.0, alias="from")


def read(text: str) -> Outer:
    return Outer.model_validate(tomllib.loads(text))


@pytest.mark.parametrize(
    ("text", "where", "expected"),
    [
        ('count = "2000"', "count", "integer"),
        ("count = 2000.0", "count", "integer"),
        ("count = true", "count", "integer"),
        ('rate = "0.5"', "rate", "number"),
        ("rate = true", "rate", "number"),
        ('on = "yes"', "on", "boolean"),
        ("on = 1", "on", "boolean"),
        ("maybe = 0", "maybe", "boolean"),
        ("text = 3", "text", "string"),
        ("kind = 1", "kind", "'a' or 'b'"),
        ('size = "64"', "size", "64 or 128"),
        ("size = true", "size", "64 or 128"),
        ("colour = 1", "colour", "'red'"),
        ('pair = ["0", 1]', "pair.0", "number"),
        ('pair = "01"', "pair", "tuple"),
        ('counts = [1, "2"]', "counts.1", "integer"),
        ('counts = "12"', "counts", "list"),
        ("rows = [[1], [2, 3.0]]", "rows.1.1", "integer"),
        ('subset = { shape = ["1"] }', "subset.shape.0", "integer"),
        ('numbered = { 3 = "1" }', "numbered.3", "number"),
        ("inner = { count = true }", "inner.count", "integer"),
        ('inners = [{}, { count = "1" }]', "inners.1.count", "integer"),
        ('from = "1"', "from", "number"),
    ],
)
def test_a_value_of_another_type_is_refused_where_it_is(text, where, expected):
    with pytest.raises(ValidationError) as caught:
        read(text)
    (error,) = caught.value.errors()
    assert ".".join(str(part) for part in error["loc"]) == where
    assert expected in error["msg"]


def test_none_of_two_types_is_refused():
    with pytest.raises(ValidationError, match="either"):
        read('either = "3"')
    with pytest.raises(ValidationError, match="either"):
        read('either = [3, "3"]')


@pytest.mark.parametrize(
    ("text", "key", "expected"),
    [
        ("rate = 2", "rate", 2.0),
        ("pair = [2, 3]", "pair", (2.0, 3.0)),
        ("either = [2, 3]", "either", (2, 3)),
        ("either = 2", "either", 2),
        ('colour = "red"', "colour", Colour.RED),
        ('path = "a/b"', "path", Path("a/b")),
        ("numbered = { 3 = 1 }", "numbered", {3: 1.0}),
        ("from = 2", "aliased", 2.0),
    ],
)
def test_what_toml_has_no_word_for_is_made_of_what_it_has(text, key, expected):
    found = getattr(read(text), key)
    assert found == expected
    assert type(found) is type(expected)


TABLES = {
    "model": {"recipe": "SAE-12"},
    "data": {"name": "rooms"},
    "train": {"steps": 10},
}


def test_a_spec_says_path_value_and_expectation():
    tables = {**TABLES, "seed": True, "data": {"name": "rooms", "split": [0.5, 0.25, "0.25"]}}
    sets = ['train.steps="2000"', "train.optimizer.amsgrad=1", 'train.optimizer.lr="fast"', "model.encoder.width=1e2"]
    with pytest.raises(SpecError) as caught:
        spec_from_tables(tables, sets)
    assert {problem.path: problem.message for problem in caught.value.problems} == {
        "seed": "must be a valid integer, got True",
        "data.split.2": "must be a valid number, got '0.25'",
        "train.steps": "must be a valid integer, got '2000'",
        "train.optimizer.amsgrad": "must be a valid boolean, got 1",
        "train.optimizer.lr": "must be a valid number, got 'fast'",
        "model.encoder.width": "must be a valid integer, got 100.0",
    }


def test_a_set_is_a_toml_value():
    sets = ["train.steps=2000", "train.optimizer.lr=1", "train.optimizer.amsgrad=true", "data.split=[0.5, 0.25, 0.25]"]
    spec = spec_from_tables(TABLES, sets)
    assert (spec.train.steps, spec.train.optimizer.lr, spec.train.optimizer.amsgrad) == (2000, 1.0, True)
    assert spec.data.split == (0.5, 0.25, 0.25)


def test_a_component_asked_for_by_name_has_the_same_types():
    with pytest.raises(SpecError, match="size .*valid integer, got '3'"):
        component_spec(Registry(), "sampler", "hybrid", {"size": "3"})
