"""`aerepr spec`: a spec resolved, described, and begun."""

from __future__ import annotations

from collections.abc import Sequence
from math import ceil
from pathlib import Path
from typing import Any

from aerepr import atomic
from aerepr.errors import UsageError
from aerepr.registry.registry import Registry
from aerepr.spec.read import read_spec
from aerepr.spec.schema import json_schema
from aerepr.spec.write import to_toml
from aerepr.workflows import catalogue

# Latent dimensions of a new spec, as near as its recipe's number of variables allows.
LATENT_DIM = 12

_TEMPLATE = """\
# A spec for `aerepr train`. Lines that begin with # are optional keys with their defaults, or explanations.
# Look at it before training: aerepr check FILE. Every key with its meaning: aerepr spec schema.
# To have an editor (with taplo, as Even Better TOML) complete keys: aerepr spec schema --out aerepr.schema.json,
# and let this file begin with the line #:schema aerepr.schema.json

{name}
seed = 0                        # initial weights, data order and noise

[model]
{recipe}
{latent_dim}

# Any part of the recipe can be changed here, or replaced by naming another component:
# [model.encoder]
# width = 32

[data]
{data}

[train]
steps = 2000                    # optimizer updates
batch_size = 64
device = "auto"                 # cuda, mps or cpu, the first there is
# log_every = 50
# validate_every = 1000
# checkpoint_every = 500

[train.optimizer]
name = "adam"
lr = 5e-4

# A value that follows the step number:
# [[train.schedules]]
# target = "train.optimizer.lr"
# kind = "cosine"
# from = 5e-4
# to = 0.0

[sampler]
name = "hybrid"                 # how `aerepr sample` draws if not told; see `aerepr plugins list --kind sampler`
"""


def resolved(path: Path, sets: Sequence[str] = ()) -> tuple[str, dict[str, Any]]:
    """A spec with its recipe, overrides and every default written out, as TOML and as tables.

    Raises:
        SpecError: anything in it is wrong.
    """
    tables = read_spec(path, sets).tables()
    return to_toml(tables), tables


def schema() -> dict[str, Any]:
    """JSON Schema of a spec file, installed plugins included."""
    return json_schema()


def starting_spec(registry: Registry, recipe: str = "SAE-6", data: str = "rooms") -> str:
    """A commented spec to begin from.

    Raises:
        UnknownComponent: no such recipe or data set.
    """
    found, parameters = registry.recipe(recipe)
    model = found.resolve(parameters).get("model", {})
    if "latent_dim" in model:
        latent_dim = f"# latent_dim = {model['latent_dim']}"
    else:
        variables = next(iter(parameters.values()), 1)
        latent_dim = f"latent_dim = {variables * ceil(LATENT_DIM / variables)}"
    name = f"{recipe}-{data}".lower().replace("_", "-")
    fields = catalogue.fields(registry.load("dataset", data).Spec)
    lines = [_line(f'name = "{data}"', "see `aerepr data list`")]
    lines += [_field(row) for row in sorted(fields, key=lambda row: not row.required)]
    return _TEMPLATE.format(
        name=_line(f'name = "{name}"', f"runs go to runs/{name}/"),
        recipe=_line(f'recipe = "{recipe}"', f"{found.summary}; see `aerepr models {recipe}`"),
        latent_dim=_line(latent_dim, "D, number of latent dimensions"),
        data="\n".join(lines),
    )


def write(path: Path, text: str) -> None:
    """Write a text file, replacing an older one as a whole."""
    atomic.write_text(path, text)


def write_new(path: Path, text: str) -> None:
    """Write a new text file.

    Raises:
        UsageError: something is there already.
    """
    if path.exists():
        raise UsageError(f"{path}: there already: choose another name, or delete it first")
    atomic.write_text(path, text)


def _field(row: catalogue.FieldRow) -> str:
    if row.required:
        return _line(f'{row.key} = ""', f"required: {row.description}")
    if row.default is None:
        return _line(f"# {row.key} = ...", row.description)
    # In a list, a table is written in one line.
    value = to_toml({"value": [[row.default]]}).removeprefix("value = [[").removesuffix("]]\n")
    return _line(f"# {row.key} = {value}", row.description)


def _line(setting: str, comment: str) -> str:
    return f"{setting:<31} # {comment}" if comment else setting
