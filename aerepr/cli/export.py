"""`aerepr export`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from aerepr.cli import output
from aerepr.cli.options import RUNS, Json, Run, Runs, Sets

EXAMPLES = (
    "aerepr export                               TorchScript and ONNX of the newest run",
    "aerepr export my-run --to onnx --sampler gaussian --out exported/",
)


def export(
    run: Run = None,
    to: Annotated[
        list[str] | None,
        typer.Option(
            "--to", metavar="NAME", help="torchscript, onnx, any installed exporter, or all; may be repeated."
        ),
    ] = None,
    sampler: Annotated[
        str | None, typer.Option("--sampler", metavar="NAME", help="Export another sampler than the run's own.")
    ] = None,
    out: Annotated[
        Path | None, typer.Option("--out", metavar="DIR", help="Folder; exports/ in the run if left out.")
    ] = None,
    sets: Sets = None,
    runs: Runs = RUNS,
    as_json: Json = False,
) -> None:
    """Write decoder and sampler for other programs.

    Every file is compared with the model before it counts as written.
    """
    with output.working():
        from aerepr.workflows import products

        names = [name for item in to or ["torchscript,onnx"] for name in item.split(",")]
        answer = products.export(run, runs=runs, to=names, sampler=sampler, out=out, sets=sets or ())

    def text() -> str:
        differences = answer["max_abs_diff"]
        rows = [
            (name, f"{differences[name]:.1e}" if name in differences else "", purpose)
            for name, purpose in answer["files"].items()
        ]
        return f"{answer['out']}\n" + output.table(rows, ("file", "max diff", "purpose"))

    output.show(answer, as_json, text)
