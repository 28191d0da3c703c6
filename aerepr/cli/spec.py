"""`aerepr spec schema|show|new`."""

from __future__ import annotations

import json
from typing import Annotated

import typer

from aerepr.cli import output
from aerepr.cli.options import Json, Out, Sets, Spec


def schema(out: Out = None, as_json: Json = False) -> None:
    """Print the JSON Schema of spec files.

    It includes installed plugins. Beside it, a spec that begins with the line #:schema aerepr.schema.json is completed and
    checked by editors that use taplo, such as VS Code with Even Better TOML.
    """
    with output.working():
        from aerepr.workflows import specs

        text = json.dumps(specs.schema(), indent=2)
        if out is not None:
            specs.write(out, text + "\n")
    if out is None:
        print(text)
    else:
        output.show({"out": str(out)}, as_json, lambda: str(out))


def show(spec: Spec, sets: Sets = None, as_json: Json = False) -> None:
    """Print a spec with every default written out."""
    with output.working():
        from aerepr.workflows import specs

        text, tables = specs.resolved(spec, sets or ())
    output.show(tables, as_json, lambda: text)


def new(
    recipe: Annotated[str, typer.Option("--recipe", metavar="NAME", help="See `aerepr models`.")] = "SAE-6",
    data: Annotated[str, typer.Option("--data", metavar="NAME", help="See `aerepr data list`.")] = "rooms",
    out: Out = None,
    as_json: Json = False,
) -> None:
    """Write a commented spec to start from."""
    with output.working():
        from aerepr.workflows import catalogue, specs

        text = specs.starting_spec(catalogue.here(), recipe, data)
        if out is not None:
            specs.write_new(out, text)
    if out is None:
        output.show({"spec": text}, as_json, lambda: text)
    else:
        output.show({"out": str(out)}, as_json, lambda: str(out))


COMMANDS = {
    "new": (new, ("aerepr spec new --out my.toml", "aerepr spec new --recipe VAE --data idx --out mnist.toml")),
    "show": (show, ("aerepr spec show my.toml", "aerepr spec show my.toml --set model.recipe=SAE-12")),
    "schema": (schema, ("aerepr spec schema --out aerepr.schema.json",)),
}
