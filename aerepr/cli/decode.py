"""`aerepr decode`."""

from __future__ import annotations

from typing import Annotated

import typer

from aerepr.cli import output
from aerepr.cli.options import RUNS, Json, Out, Runs

EXAMPLES = (
    "aerepr decode z.npz --out decoded.png       with the newest run",
    'aerepr decode my-run codes.npz --out decoded.npz         the array "z" or "codes" of the file',
)


def decode(
    run_and_codes: Annotated[
        list[str],
        typer.Argument(
            metavar="[RUN] Z", help="A run (the newest if left out), then codes in a .npz, .npy or .h5 file."
        ),
    ],
    out: Out = None,
    runs: Runs = RUNS,
    as_json: Json = False,
) -> None:
    """Decode codes of your own.

    Writes a picture (.png), or numbers (.npz, .h5).
    """
    from aerepr.errors import UsageError

    if len(run_and_codes) > 2:
        raise UsageError(f"decode takes a run and a file of codes, got {len(run_and_codes)} arguments")
    *named, codes = run_and_codes
    run = named[0] if named else None
    with output.working():
        from aerepr.workflows import products

        answer = products.decode(z=codes, run=run, runs=runs, out=out)
    output.show(answer, as_json, lambda: answer["out"])
