"""The JSON Schema: well formed, complete, and of one mind with the reader about which tables are a spec."""

import json
import re

import pytest

from aerepr.registry.registry import Registry
from aerepr.spec.schema import json_schema

KINDS = ("encoder", "posterior", "prior", "decoder", "likelihood", "objective")
TYPES = {
    "object": dict,
    "array": (list, tuple),
    "string": str,
    "boolean": bool,
    "null": type(None),
    "integer": int,
    "number": (int, float),
}


@pytest.fixture(scope="module")
def schema():
    return json_schema()


def nodes(node):
    """Every schema in a schema."""
    yield node
    for key in ("properties", "$defs"):
        for inner in node.get(key, {}).values():
            yield from nodes(inner)
    for key in ("anyOf", "allOf", "prefixItems"):
        for inner in node.get(key, []):
            yield from nodes(inner)
    for key in ("items", "additionalProperties"):
        if isinstance(node.get(key), dict):
            yield from nodes(node[key])


def accepts(node, value, root):
    """Whether a schema admits a value: the keywords that ours use, as JSON Schema 2020-12 defines them."""
    if "$ref" in node and not accepts(root["$defs"][node["$ref"].removeprefix("#/$defs/")], value, root):
        return False
    if "anyOf" in node and not any(accepts(option, value, root) for option in node["anyOf"]):
        return False
    if not all(accepts(option, value, root) for option in node.get("allOf", [])):
        return False
    kind = node.get("type")
    if kind and (not isinstance(value, TYPES[kind]) or (isinstance(value, bool) and kind != "boolean")):
        return False
    if ("const" in node and value != node["const"]) or ("enum" in node and value not in node["enum"]):
        return False
    if isinstance(value, str) and not re.search(node.get("pattern", ""), value):
        return False
    if isinstance(value, (int, float)):
        fits = value >= node.get("minimum", value) and value > node.get("exclusiveMinimum", value - 1)
        if not fits or value > node.get("maximum", value) or value >= node.get("exclusiveMaximum", value + 1):
            return False
    if isinstance(value, list) and not all(accepts(node.get("items", {}), item, root) for item in value):
        return False
    if isinstance(value, dict):
        if not set(node.get("required", [])) <= set(value):
            return False
        known, rest = node.get("properties", {}), node.get("additionalProperties", True)
        for key, item in value.items():
            inner = known.get(key, rest)
            if inner is False or (isinstance(inner, dict) and not accepts(inner, item, root)):
                return False
    return True


def test_it_is_a_json_schema_whose_references_lead_somewhere(schema):
    assert json.loads(json.dumps(schema)) == schema
    assert schema["$schema"].endswith("2020-12/schema")
    for node in nodes(schema):
        assert node.get("type", "object") in TYPES
        assert len(node.get("required", [])) == len(set(node.get("required", [])))
        if "$ref" in node:
            assert node["$ref"].removeprefix("#/$defs/") in schema["$defs"]


def test_every_installed_component_is_in_it(schema):
    def names(field):
        found = [
            inner["properties"]["name"]["const"] for option in field["anyOf"] for inner in option.get("allOf", [])[1:]
        ]
        return sorted(found)

    registry = Registry()
    for kind in KINDS:
        assert names(schema["$defs"]["ModelSpec"]["properties"][kind]) == registry.names(kind)
    assert names(schema["$defs"]["ModelSpec"]["properties"]["regularizers"]["items"]) == registry.names("regularizer")
    assert names(schema["properties"]["data"]) == registry.names("dataset")
    assert names(schema["properties"]["sampler"]) == registry.names("sampler")
    assert names(schema["properties"]["loggers"]["items"]) == registry.names("logger")


def test_a_broken_plugin_does_not_stop_it(schema, monkeypatch):
    monkeypatch.setenv("AEREPR_PLUGINS", "decoders:broken=no_such_module:Decoder, decoders:odd=json:loads")
    assert json_schema() == schema


SPEC = {
    "name": "x",
    "model": {
        "recipe": "SAE-6",
        "encoder": {"width": 32},
        "regularizers": [{"name": "kl", "weight": 2.0}],
    },
    "data": {"name": "idx", "images": "a.gz", "subset": {"label": [0, 1]}},
    "train": {
        "steps": 5,
        "schedules": [{"target": "train.optimizer.lr", "from": 1.0, "to": 0.0}],
        "phases": [{"steps": 5, "learn": ["decoder"]}],
    },
    "sampler": {"name": "hybrid", "unit": "dimension"},
}


def test_it_accepts_a_spec(schema):
    assert accepts(schema, SPEC, schema)
    # Its recipe may say how it is trained.
    assert accepts(schema, {key: value for key, value in SPEC.items() if key != "train"}, schema)
    # The recipe's sampler, or the default one, adjusted.
    assert accepts(schema, {**SPEC, "sampler": {"unit": "dimension"}}, schema)


@pytest.mark.parametrize(
    "change",
    [
        {"nme": "x"},
        {"name": "not a name"},
        {"seed": -1},
        {"model": {"encoder": {"widht": 3}}},
        {"model": {"encoder": {"name": "cnov"}}},
        {"model": {"latent_dim": 0}},
        {"model": {"regularizers": [{"weight": 1.0}]}},
        {"data": {"name": "idx"}},
        {"train": {"steps": "many"}},
        {"train": {"steps": 5, "phases": [{"steps": 5, "learn": ["head"]}]}},
        {"sampler": "hybrid"},
        {"sampler": {"name": "hybrid", "unit": "both"}},
    ],
    ids=str,
)
def test_it_refuses_what_the_reader_refuses(schema, change):
    assert not accepts(schema, {**SPEC, **change}, schema)
