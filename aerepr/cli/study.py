"""`aerepr study run|table|rank`."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from aerepr.cli import output
from aerepr.cli.options import RUNS, Folder, Json, Out, Runs

Study = Annotated[
    str | None,
    typer.Argument(metavar="STUDY", help="A study's folder, name or TOML file; the newest study when left out."),
]

Format = Annotated[str, typer.Option("--format", metavar="NAME", help="text, json, csv, markdown or latex.")]


def run(
    study: Annotated[Path, typer.Argument(metavar="STUDY.toml", help="A study file.")],
    jobs: Annotated[
        int | None,
        typer.Option(
            "--jobs",
            min=1,
            metavar="N",
            help="Runs at a time. Left out: one, or one on each GPU where there are several.",
        ),
    ] = None,
    retry_failed: Annotated[
        bool, typer.Option("--retry-failed", help="Try failed runs and refused metrics again.")
    ] = False,
    runs: Runs = RUNS,
    as_json: Json = False,
) -> None:
    """Train and evaluate every run of a study.

    Finished runs are skipped and interrupted ones continued, so the same command starts a study, goes on with it after it was
    stopped or killed, and fills in what was added to it. A run that fails stops no other. All of it is kept in runs/NAME,
    with NAME from the study file. Where a run begins as others do, that is trained once and they branch off it.

    Axes, levels and [[evaluate]] tables may be added to the file of a study that has begun; where only those tables changed,
    only evaluation is done again. Ctrl-C saves what is at work. The exit code is 1 as long as a run is not done.
    """
    from aerepr.cli.study_progress import watch

    answer = None
    try:
        with watch() as onlooker, output.working():
            from aerepr.errors import Interrupted
            from aerepr.workflows import study as workflow

            try:
                answer = workflow.run(study, runs=runs, jobs=jobs, retry_failed=retry_failed, onlooker=onlooker)
            except Interrupted:
                answer = workflow.standing(workflow.find(runs, str(study)).path)
                raise
    finally:
        if answer is not None:
            output.show(answer, as_json, lambda: _standing(answer))
    if answer["states"]["done"] < len(answer["runs"]):
        raise typer.Exit(1)


def _standing(answer: dict[str, Any]) -> str:
    """How a study stands, with a line for each run that is not done."""
    states = ", ".join(f"{count} {state}" for state, count in answer["states"].items() if count)
    others = [
        (run["state"], " ".join(f"{axis}={level}" for axis, level in run["levels"].items()), run["error"])
        for run in answer["runs"]
        if run["state"] != "done"
    ]
    again = ["failed runs are tried again with --retry-failed"] if answer["states"]["failed"] else []
    return "\n".join([f"{answer['folder']}: {states} of {len(answer['runs'])} runs", output.table(others), *again])


def table(
    study: Study = None,
    metrics: Annotated[
        list[str] | None,
        typer.Option(
            "--metrics",
            metavar="NAMES",
            help="Numbers (mig.score) or metrics (dci: all its numbers), in order, with commas between; or all. Left out: one "
            "number of each metric.",
        ),
    ] = None,
    rows: Annotated[
        str | None,
        typer.Option(
            "--rows", metavar="AXES", help="Axes that rows are of; the others are pooled. Left out: all but seed."
        ),
    ] = None,
    form: Format = "text",
    out: Out = None,
    folder: Folder = None,
    runs: Runs = RUNS,
    as_json: Json = False,
) -> None:
    """Mean, standard deviation and n over the seeds.

    A row for each combination of levels; only runs that are done are averaged, and those that failed or are missing are told
    beside n. Below stands how every number came about: what came about in different ways is not averaged. A metric that
    compares runs, such as udr, is computed where --metrics names it, over the runs that differ in their seed.
    """
    with output.working():
        from aerepr.cli.progress import Work
        from aerepr.workflows import study_results as workflow

        found = workflow.study_table(
            study,
            runs=runs,
            metrics=_names(metrics),
            rows=rows.split(",") if rows is not None else None,
            folder=folder,
            progress=Work(),
        )
    _show(workflow.rendered(found, "json" if as_json else form, _width(out)), out)


def rank(
    by: Annotated[
        str,
        typer.Option(
            "--by", metavar="SCORE", help="A number (udr.lasso), or a metric: its score, or its first number."
        ),
    ],
    study: Study = None,
    against: Annotated[
        list[str] | None,
        typer.Option(
            "--against",
            metavar="NAMES",
            help="Numbers or metrics to correlate it with, with commas between. Left out: one of each supervised metric.",
        ),
    ] = None,
    ascending: Annotated[
        bool | None,
        typer.Option(
            "--ascending/--descending",
            help="The lowest score first, or the highest. Left out: the best, where its metric says which; else the highest.",
        ),
    ] = None,
    across_weights: Annotated[
        bool,
        typer.Option(
            "--across-weights",
            help="Order runs of different weights and likelihoods together: for a score that does not depend on them.",
        ),
    ] = False,
    resamples: Annotated[int, typer.Option("--resamples", min=2, metavar="N", help="Of the bootstrap.")] = 2000,
    seed: Annotated[int, typer.Option("--seed", min=0, help="Of the bootstrap.")] = 0,
    form: Format = "text",
    out: Out = None,
    folder: Folder = None,
    runs: Runs = RUNS,
    as_json: Json = False,
) -> None:
    """Order runs by a score, and correlate it with others.

    The correlations are Spearman's, each with n and a 95 % interval (bootstrap over runs); below 8 runs there is none. Runs on
    different data, of different weights of regularizers or likelihoods, or whose numbers came about in different ways, are
    ordered and correlated apart. CSV has the order alone.
    """
    with output.working():
        from aerepr.cli.progress import Work
        from aerepr.workflows import study_results as workflow

        found = workflow.study_rank(
            study,
            by=by,
            runs=runs,
            against=_names(against),
            ascending=ascending,
            across_weights=across_weights,
            resamples=resamples,
            seed=seed,
            folder=folder,
            progress=Work(),
        )
    _show(workflow.rendered(found, "json" if as_json else form, _width(out)), out)


def _names(given: list[str] | None) -> list[str] | None:
    return [name for item in given for name in item.split(",")] if given else None


def _width(out: Path | None) -> int | None:
    """Columns of the terminal, where the answer goes to one."""
    return shutil.get_terminal_size().columns if out is None and sys.stdout.isatty() else None


def _show(text: str, out: Path | None) -> None:
    if out is None:
        print(text)
        return
    from aerepr.workflows.study_results import write

    write(text, out)
    output.note(f"written to {out}")


COMMANDS = {
    "run": (
        run,
        (
            "aerepr study run study.toml                  start, or go on",
            "aerepr study run study.toml --jobs 2         two runs at a time",
            "aerepr study run study.toml --retry-failed",
        ),
    ),
    "table": (
        table,
        (
            "aerepr study table                           of the newest study",
            "aerepr study table rooms-small --metrics dci,mig.score --format latex --out table.tex",
            "aerepr study table --rows data,model.recipe",
        ),
    ),
    "rank": (
        rank,
        (
            "aerepr study rank --by udr                   runs of the newest study, and what udr goes with",
            "aerepr study rank rooms-small --by udr.lasso --against mig.score,dci",
        ),
    ),
}
