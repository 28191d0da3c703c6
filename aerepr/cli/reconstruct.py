"""`aerepr reconstruct`."""

from __future__ import annotations

from aerepr.cli import output
from aerepr.cli.options import RUNS, Json, Key, Out, RunOrData, Runs, Second

EXAMPLES = (
    "aerepr reconstruct                          the test examples kept with the newest run",
    "aerepr reconstruct my-run photos/ --out compare.png",
)


def reconstruct(
    run: RunOrData = None,
    data: Second = None,
    key: Key = None,
    out: Out = None,
    runs: Runs = RUNS,
    as_json: Json = False,
) -> None:
    """Show examples above their reconstructions.

    Writes a picture (.png), or numbers (.npz, .h5).
    """
    with output.working():
        from aerepr.workflows import products
        from aerepr.workflows.runs import run_or_data

        chosen, file = run_or_data(run, data)
        answer = products.reconstruct(chosen, runs=runs, data=file, out=out, key=key)
    for text in answer["notes"]:
        output.note(text)
    output.show(answer, as_json, lambda: answer["out"])
