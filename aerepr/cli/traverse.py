"""`aerepr traverse`."""

from __future__ import annotations

from typing import Annotated

import typer

from aerepr.cli import output
from aerepr.cli.options import RUNS, Json, Out, Run, Runs, Sets

EXAMPLES = (
    "aerepr traverse                             one row a variable, in decoder order",
    "aerepr traverse my-run --traversal dimensions --set steps=9 --base 3",
    "aerepr traverse --traversal chunks          in each row one quarter of the latent is redrawn, the rest held",
)


def traverse(
    run: Run = None,
    traversal: Annotated[
        str, typer.Option("--traversal", metavar="NAME", help="See `aerepr plugins list --kind traversal`.")
    ] = "variables",
    base: Annotated[int, typer.Option("--base", min=0, help="Which test example kept with the run to start from.")] = 0,
    out: Out = None,
    sets: Sets = None,
    runs: Runs = RUNS,
    as_json: Json = False,
) -> None:
    """Decode along paths through the latent space.

    Writes a picture (.png), or numbers (.npz, .h5).
    """
    with output.working():
        from aerepr.workflows import products

        answer = products.traverse(run, runs=runs, name=traversal, base=base, out=out, sets=sets or ())
    output.show(answer, as_json, lambda: answer["out"])
