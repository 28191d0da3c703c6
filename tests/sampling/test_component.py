from __future__ import annotations

import pytest

from aerepr.errors import SpecError, UnknownComponent, UsageError
from aerepr.registry.registry import Registry
from aerepr.sampling.component import component_spec, parse_sets


def test_settings_are_toml_values_and_bare_words():
    sets = ["steps=9", "unit = dimension", "rate=1e-3", "on=true", "deep.er=[1, 2]", "deep.est='x=y'", "steps=11"]
    assert parse_sets(sets) == {
        "steps": 11,
        "unit": "dimension",
        "rate": 1e-3,
        "on": True,
        "deep": {"er": [1, 2], "est": "x=y"},
    }


@pytest.mark.parametrize("text", ["steps", "=3", "a..b=3", ".a=3"])
def test_a_setting_without_a_key_is_refused(text):
    with pytest.raises(UsageError, match="expected key=value"):
        parse_sets([text])


def test_a_key_is_not_both_value_and_table():
    with pytest.raises(UsageError, match="another --set"):
        parse_sets(["a=1", "a.b=2"])


def test_settings_start_from_the_defaults_or_from_a_base_of_the_same_name():
    registry = Registry()
    base = component_spec(registry, "sampler", "hybrid", {"size": 7, "seed": 3})
    assert component_spec(registry, "sampler", "hybrid", {"seed": 5}).size == 128
    assert component_spec(registry, "sampler", "hybrid", {"seed": 5}, base).size == 7
    assert not hasattr(component_spec(registry, "sampler", "gaussian", {}, base), "size")


def test_every_wrong_setting_is_named():
    with pytest.raises(SpecError) as caught:
        component_spec(Registry(), "sampler", "hybrid", {"size": -1, "sice": 3})
    problems = {problem.path: problem.message for problem in caught.value.problems}
    assert problems == {
        "size": "must be greater than 0, got -1",
        "sice": "unknown setting; there are: seed, size, unit",
    }
    assert 'sampler "hybrid"' in str(caught.value)


def test_a_component_is_named_once_and_known():
    with pytest.raises(UsageError, match="hybrid already"):
        component_spec(Registry(), "sampler", "hybrid", {"name": "gaussian"})
    with pytest.raises(UnknownComponent, match='did you mean "hybrid"'):
        component_spec(Registry(), "sampler", "hybird", {})
