"""`aerepr models`."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from aerepr.cli import output
from aerepr.cli.options import Json

EXAMPLES = (
    "aerepr models",
    "aerepr models SAE-6                         the tables that recipe stands for",
)


def models(
    name: Annotated[str | None, typer.Argument(metavar="NAME", help="A recipe, such as SAE-6.")] = None,
    as_json: Json = False,
) -> None:
    """List the recipes, or show one.

    A recipe is what `[model] recipe` in a spec names.
    """
    from aerepr.workflows import catalogue

    registry = catalogue.here()
    if name is None:
        found = [_row(recipe) for recipe in catalogue.recipes(registry)]
        output.show(found, as_json, lambda: _listing(found))
        return
    recipe, tables = catalogue.recipe(registry, name)
    answer = {**_row(recipe), "asked": name, "tables": tables}
    output.show(answer, as_json, lambda: _one(answer))


def _row(recipe: Any) -> dict[str, Any]:
    return {
        "name": recipe.name,
        "parameters": {key: list(values) for key, values in recipe.parameters.items()},
        "summary": recipe.summary,
        "source": recipe.source,
        "package": recipe.origin,
    }


def _listing(found: list[dict[str, Any]]) -> str:
    rows = [(row["name"], _values(row["parameters"]), row["summary"], row["source"]) for row in found]
    return output.table(rows, ("name", "parameters", "summary", "source"))


def _one(answer: dict[str, Any]) -> str:
    from aerepr.workflows.catalogue import toml

    lines = [f"# {answer['asked']}: {answer['summary']}"]
    lines += [f"# Source: {answer['source']}"] if answer["source"] else []
    lines += [f"# Parameters: {_values(answer['parameters'])}"] if answer["parameters"] else []
    return "\n".join([*lines, "", toml(answer["tables"])])


def _values(parameters: dict[str, list[int]]) -> str:
    return "; ".join(f"{key} = {', '.join(map(str, values))}" for key, values in parameters.items())
