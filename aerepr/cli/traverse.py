"""`aerepr traverse`."""

from __future__ import annotations

from typing import Annotated

import typer

from aerepr.cli import output
from aerepr.cli.options import RUNS, Json, Key, Out, RunOrData, Runs, Second, Settings

EXAMPLES = (
    "aerepr traverse                             one row a variable, in decoder order",
    "aerepr traverse my-run --traversal dimensions --set steps=9 --base 3",
    "aerepr traverse --traversal chunks          in each row one quarter of the latent is redrawn, the rest held",
    "aerepr traverse my-run photos/ --base 2 --out walk.gif          from a picture of one's own, and moving",
)


def traverse(
    run: RunOrData = None,
    data: Second = None,
    traversal: Annotated[
        str, typer.Option("--traversal", metavar="NAME", help="See `aerepr plugins list --kind traversal`.")
    ] = "variables",
    base: Annotated[
        int,
        typer.Option("--base", min=0, help="Which example to start from: of those kept with the run, or of the data."),
    ] = 0,
    key: Key = None,
    out: Out = None,
    sets: Settings = None,
    runs: Runs = RUNS,
    as_json: Json = False,
) -> None:
    """Decode along paths through the latent space.

    Writes a picture (.png), one that moves (.gif), or numbers (.npz, .h5).
    """
    with output.working():
        from aerepr.workflows import products
        from aerepr.workflows.runs import run_or_data

        chosen, file = run_or_data(run, data)
        answer = products.traverse(
            chosen, runs=runs, name=traversal, data=file, key=key, base=base, out=out, sets=sets or ()
        )
    for text in answer["notes"]:
        output.note(text)
    output.show(answer, as_json, lambda: answer["out"])
