"""`aerepr sample`."""

from __future__ import annotations

from typing import Annotated

import typer

from aerepr.cli import output
from aerepr.cli.options import RUNS, Json, Out, Run, Runs, Seed, Settings

EXAMPLES = (
    "aerepr sample                               the newest run, with the sampler of its spec",
    "aerepr sample my-run --hybrid -n 16 --out grid.png",
    "aerepr sample my-run --sampler hybrid --set unit=dimension --seed 3 --out samples.npz",
)


def sample(
    run: Run = None,
    hybrid: Annotated[bool, typer.Option("--hybrid", help="Recombine codes of training data, by variable.")] = False,
    prior: Annotated[bool, typer.Option("--prior", help="Draw from the model's prior.")] = False,
    sampler: Annotated[
        str | None, typer.Option("--sampler", metavar="NAME", help="Any installed sampler; the run's own if left out.")
    ] = None,
    n: Annotated[int, typer.Option("-n", min=1, help="How many.")] = 64,
    seed: Seed = 0,
    out: Out = None,
    sets: Settings = None,
    runs: Runs = RUNS,
    as_json: Json = False,
) -> None:
    """Draw new examples from a run.

    Writes a picture (.png), or numbers (.npz, .h5) with the codes and noise they came from.
    """
    from aerepr.errors import UsageError

    asked = [name for name, wanted in (("hybrid", hybrid), ("prior", prior), (sampler, sampler is not None)) if wanted]
    if len(asked) > 1:
        raise UsageError(f"--hybrid, --prior and --sampler name one sampler, got {len(asked)}: keep one")
    with output.working():
        from aerepr.workflows import products

        answer = products.sample(
            run, runs=runs, sampler=asked[0] if asked else None, n=n, seed=seed, out=out, sets=sets or ()
        )
    output.show(answer, as_json, lambda: answer["out"])
