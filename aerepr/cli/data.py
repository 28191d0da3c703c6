"""`aerepr data list|inspect|render`."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Annotated, Any

import typer

from aerepr.cli import output
from aerepr.cli.options import Json, Out, Seed, Sets, Spec


def listing(as_json: Json = False) -> None:
    """List data sets and file formats for `[data]`."""
    from aerepr.workflows import catalogue

    found = catalogue.components(catalogue.here(), "dataset")
    rows = [(row.name, row.package, row.summary, row.source) for row in found]
    output.show(
        [dataclasses.asdict(row) for row in found],
        as_json,
        lambda: output.table(rows, ("name", "package", "summary", "source")),
    )


def inspect(
    spec: Spec,
    out: Out = None,
    n: Annotated[int, typer.Option("-n", min=1, help="Examples in the picture.")] = 64,
    seed: Seed = 0,
    sets: Sets = None,
    as_json: Json = False,
) -> None:
    """Look at the data of a spec.

    Shape, rows, splits and factors, and with --out FILE.png a picture of examples.
    """
    with output.working():
        from aerepr.workflows import data as workflow

        answer = workflow.inspect(spec, sets or (), out, n, seed)
    output.show(answer, as_json, lambda: _text(answer))


def render(
    name: Annotated[str, typer.Argument(metavar="NAME", help="A data set, such as rooms or sprites.")],
    out: Annotated[Path, typer.Option("--out", metavar="FILE", help="Where to write: .npz, .h5 or .png.")],
    n: Annotated[int, typer.Option("-n", min=1, help="How many examples.")] = 1000,
    seed: Seed = 0,
    sets: Sets = None,
    as_json: Json = False,
) -> None:
    """Write examples of a data set to a file.

    Images or vectors with their factors (.npz, .h5), or a picture of them (.png).
    """
    with output.working():
        from aerepr.workflows import data as workflow

        answer = workflow.render(name, out, n, seed, sets or ())
    output.show(answer, as_json, lambda: output.pairs(answer))


def _text(answer: dict[str, Any]) -> str:
    sizes = " x ".join(map(str, answer["shape"]["sizes"]))
    rows = [
        ("data set", answer["name"]),
        ("one example", f"{answer['shape']['kind']} {sizes}"),
        ("rows", f"{answer['rows']:,}"),
        *((f"  {split}", f"{count:,}") for split, count in answer["splits"].items()),
        *(("note", text) for text in answer["notes"]),
    ]
    if answer["picture"]:
        rows.append(("picture", answer["picture"]))
    if not answer["factors"]:
        return output.table([*rows, ("factors", "none")])
    factors = [(row["name"], row["classes"], f"{row['known']:,}") for row in answer["factors"]]
    return output.table(rows) + "\n\n" + output.table(factors, ("factor", "classes", "known rows"))


COMMANDS = {
    "list": (listing, ("aerepr data list",)),
    "render": (
        render,
        (
            "aerepr data render rooms --out rooms.npz -n 5000 --set size=32",
            "aerepr data render sprites --out sprites.png -n 64",
        ),
    ),
    "inspect": (inspect, ("aerepr data inspect spec.toml", "aerepr data inspect spec.toml --out data.png -n 100")),
}
