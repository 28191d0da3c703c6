"""`aerepr evaluate`."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from aerepr.cli import output
from aerepr.cli.options import RUNS, Folder, Json, Run, Runs

EXAMPLES = (
    "aerepr evaluate                              reconstruction error on the test split",
    "aerepr evaluate my-run --subset shape=[2]    of examples with one class of a factor alone",
    "aerepr evaluate --metrics reconstruction --split valid --rows full --json",
)


def evaluate(
    run: Run = None,
    metrics: Annotated[
        list[str] | None,
        typer.Option(
            "--metrics",
            metavar="NAMES",
            help="Which, with commas between; see `aerepr plugins list --kind metric`. May be repeated.",
        ),
    ] = None,
    split: Annotated[str, typer.Option("--split", help="train, valid or test.")] = "test",
    subset: Annotated[
        list[str] | None,
        typer.Option(
            "--subset",
            metavar="FACTOR=[CLASSES]",
            help="Only examples with these classes, instead of the spec's data.subset; may be repeated.",
        ),
    ] = None,
    rows: Annotated[
        str, typer.Option("--rows", metavar="N|full", help="At most so many examples, a seeded choice.")
    ] = "10000",
    sets: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="METRIC.KEY=VALUE", help="Override one setting of a metric; may be repeated."),
    ] = None,
    folder: Folder = None,
    runs: Runs = RUNS,
    as_json: Json = False,
) -> None:
    """Compute metrics of a run on its data.

    The numbers go to evaluation/ in the run too, each with its protocol and the number of examples.
    """
    from aerepr.errors import UsageError

    if rows != "full" and not rows.isdecimal():
        raise UsageError(f'--rows: expected a number of examples or "full", got "{rows}"')
    with output.working():
        from aerepr.workflows.evaluate import evaluate as work

        answer = work(
            run,
            runs=runs,
            names=[name for item in metrics for name in item.split(",")] if metrics else None,
            split=split,  # type: ignore[arg-type]  # which it checks
            subset=subset or (),
            rows=None if rows == "full" else int(rows),
            folder=folder,
            sets=sets or (),
        )
    output.show(answer, as_json, lambda: _text(answer))


def _text(answer: dict[str, Any]) -> str:
    chosen = ", ".join(f"{name} = {classes}" for name, classes in answer["subset"].items())
    title = f"{answer['split']} split{f', {chosen}' if chosen else ''}: {answer['rows']:,} of {answer['of']:,} examples"
    numbers = output.table([(key, f"{value:.6g}") for key, value in answer["metrics"].items()])
    protocols = "\n".join(f"{name}: {text}" for name, text in answer["protocol"].items())
    return f"{answer['run']}, step {answer['step']}\n{title}\n\n{numbers}\n\n{protocols}"
