"""A JSON Schema of the whole spec, installed plugins included, so that editors complete TOML."""

from __future__ import annotations

from typing import Any

from aerepr.spec.run import RunSpec


def json_schema() -> dict[str, Any]:
    """JSON Schema (2020-12) of a spec file.

    A recipe may supply any key of `[model]`, the `name` of a component that the file only adjusts, that of `[sampler]` too, and
    the whole `[train]`, so none of them is required. Items of lists are never adjusted, and name themselves.
    """
    schema = RunSpec.model_json_schema(by_alias=True)
    schema["$schema"] = "https://json-schema.org/draft/2020-12/schema"
    schema["title"] = "aerepr spec"
    schema["required"].remove("train")
    model = schema["$defs"]["ModelSpec"]
    model.pop("required", None)
    for field in (*model["properties"].values(), schema["properties"]["sampler"]):
        for option in field.get("anyOf", []):
            for shape in option.get("allOf", []):
                shape.pop("required", None)
    return schema
