"""`aerepr encode`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from aerepr.cli import output
from aerepr.cli.options import RUNS, Folder, Json, Key, RunOrData, Runs, Second

EXAMPLES = (
    "aerepr encode --out codes.npz               the test split of the newest run's own data",
    "aerepr encode my-run --split train --folder ../data --out codes.h5",
    "aerepr encode my-run photos/ --out codes.npz",
)


def encode(
    run: RunOrData = None,
    data: Second = None,
    split: Annotated[str, typer.Option("--split", help="train, valid or test of the run's own data.")] = "test",
    folder: Folder = None,
    key: Key = None,
    out: Annotated[Path, typer.Option("--out", metavar="FILE", help="A .npz or .h5 file.")] = Path("codes.npz"),
    runs: Runs = RUNS,
    as_json: Json = False,
) -> None:
    """Write the codes of data.

    Of the run's own data set, rows and factors are written too.
    """
    with output.working():
        from aerepr.workflows import products
        from aerepr.workflows.runs import run_or_data

        chosen, file = run_or_data(run, data)
        answer = products.encode(
            chosen,
            runs=runs,
            data=file,
            split=split,  # type: ignore[arg-type]  # which it checks
            out=out,
            key=key,
            folder=folder,
        )
    for text in answer["notes"]:
        output.note(text)
    output.show(answer, as_json, lambda: answer["out"])
