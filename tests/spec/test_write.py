"""TOML written is TOML read back: the identity, over tables and over whole specs."""

import tomllib
from datetime import date

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aerepr.registry.registry import Registry
from aerepr.spec.read import spec_from_json, spec_from_tables
from aerepr.spec.write import to_toml

# TOML has no surrogates, and tomllib reads a bare carriage return within a string as an error only where it is unescaped.
TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
SCALARS = st.one_of(
    st.booleans(),
    st.integers(-(2**63), 2**63 - 1),
    st.floats(allow_nan=False),
    TEXT,
)
VALUES = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXT, inner, max_size=4), max_leaves=12
)
EXAMPLES = [
    {},
    {"a": {}},
    {"a": []},
    {"a": [{}, {}]},
    {"a": [{"b": [{"c": 1}]}, {"d": {"e": 2}}], "f": 3},
    {"a": [1, {"b": 2}]},
    {"a": [[{"b": 1}]]},
    {"": {"": 1}, "a.b": 2, 'quo"te': "\\ \n\t\r\x00\x7f é"},
    {"x": {"y": 1e16, "z": -0.0, "w": 1e-300, "v": float("inf")}},
]


@given(st.dictionaries(TEXT, VALUES, max_size=5))
@settings(max_examples=150, deadline=None)
def test_reading_what_was_written_is_the_identity(tables):
    assert tomllib.loads(to_toml(tables)) == tables


@pytest.mark.parametrize("tables", EXAMPLES, ids=str)
def test_identity_on_awkward_tables(tables):
    assert tomllib.loads(to_toml(tables)) == tables


def test_integers_and_floats_stay_apart():
    read = tomllib.loads(to_toml({"a": 1, "b": 1.0, "c": True}))
    assert [type(value) for value in read.values()] == [int, float, bool]


@pytest.mark.parametrize("value", [None, date(2026, 1, 1), [None]])
def test_a_value_without_a_word_in_toml_is_refused(value):
    with pytest.raises(TypeError, match="TOML has no word for"):
        to_toml({"a": value})


def spec_of(recipe):
    tables = {
        "name": "identity",
        "model": {"recipe": recipe, "latent_dim": 24},
        "data": {"name": "rooms", "subset": {"shape": [0, 2]}},
        "train": {
            "phases": [{"steps": 5}, {"steps": 3, "learn": ["decoder"], "subset": {}}],
            "schedules": [{"target": "train.optimizer.lr", "kind": "cosine", "from": 0.1, "to": 0.0}],
        },
        "evaluation": {"every": 0},
    }
    return spec_from_tables(tables)


@pytest.mark.parametrize(
    "recipe", [example for recipe in Registry().recipes() if recipe.origin == "aerepr" for example in recipe.examples()]
)
def test_a_spec_written_as_toml_or_json_and_read_again_is_itself(recipe):
    spec = spec_of(recipe)
    text = to_toml(spec.tables())
    again = spec_from_tables(tomllib.loads(text))
    assert again == spec
    assert again.hash() == spec.hash()
    assert to_toml(again.tables()) == text
    assert spec_from_json(spec.model_dump_json(by_alias=True, exclude_none=True), "spec") == spec


def test_folders_of_files_do_not_count_in_the_hash_but_their_names_do():
    def digest(images, labels):
        data = {"name": "idx", "images": images, "labels": labels}
        return spec_from_tables({"name": "a", "model": {"recipe": "AE"}, "data": data, "train": {"steps": 1}}).hash()

    here = digest("here/images.gz", "here/labels.gz")
    assert digest("/there/images.gz", "../labels.gz") == here
    assert digest("here/images.gz", "here/others.gz") != here
