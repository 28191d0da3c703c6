"""A JSON Schema of the whole spec, installed plugins included, so that editors complete TOML."""

from __future__ import annotations

from typing import Any

from aerepr.spec.run import RunSpec


def json_schema() -> dict[str, Any]:
    """JSON Schema (2020-12) of a spec file. A recipe may supply any required key, so none is required under `model`."""
    schema = RunSpec.model_json_schema(by_alias=True)
    schema["$schema"] = "https://json-schema.org/draft/2020-12/schema"
    schema["title"] = "aerepr spec"
    schema["$defs"]["ModelSpec"].pop("required", None)
    return schema
