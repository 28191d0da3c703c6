"""`aerepr evaluate`."""

from __future__ import annotations

import sys
from typing import Annotated, Any

import typer

from aerepr.cli import output
from aerepr.cli.options import RUNS, Device, Folder, Json, Runs
from aerepr.cli.progress import Work

EXAMPLES = (
    "aerepr evaluate                              every quick metric on the test split, and a picture",
    "aerepr evaluate my-run --subset shape=[2]    of examples with one class of a factor alone",
    "aerepr evaluate --metrics mig,sap --split all --seed 1 --ci",
    "aerepr evaluate --metrics factor_vae@generative            as published: asks for the whole data set",
    "aerepr evaluate --metrics reconstruction --split valid --rows full --json",
    "aerepr evaluate one-run other-run --metrics udr            how far runs agree with each other",
)


def evaluate(
    run: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="RUN",
            help="A run's path or name; the newest run when left out; several, for metrics that compare runs.",
        ),
    ] = None,
    metrics: Annotated[
        list[str] | None,
        typer.Option(
            "--metrics",
            metavar="NAMES",
            help="Which, with commas between; see `aerepr plugins list --kind metric`. NAME@PROTOCOL for another "
            "protocol. May be repeated.",
        ),
    ] = None,
    split: Annotated[str, typer.Option("--split", help="train, valid, test, or all of them.")] = "test",
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
    ] = "15000",
    seed: Annotated[
        int | None,
        typer.Option("--seed", min=0, help="Seed of that choice, of what metrics draw, and of intervals."),
    ] = None,
    ci: Annotated[bool, typer.Option("--ci", help="Add bootstrap intervals (95 %) to metrics of codes.")] = False,
    resamples: Annotated[int, typer.Option("--resamples", min=2, metavar="N", help="Of the bootstrap.")] = 100,
    sets: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="METRIC.KEY=VALUE", help="Override one setting of a metric; may be repeated."),
    ] = None,
    device: Device = None,
    folder: Folder = None,
    runs: Runs = RUNS,
    as_json: Json = False,
) -> None:
    """Compute metrics of a run on its data.

    Without --metrics: all that are quick and that the run has what it takes for. The numbers go to evaluation/ in the run
    too, each with its protocol and the number of examples. A metric that is not defined on the run says why, and stops no
    other; the exit code is 1 if it was named.

    Of several runs, metrics that compare them are computed, on the same examples; they are printed and not kept.
    """
    from aerepr.errors import UsageError

    if rows != "full" and not rows.isdecimal():
        raise UsageError(f'--rows: expected a number of examples or "full", got "{rows}"')
    asked: dict[str, Any] = {
        "runs": runs,
        "names": [name for item in metrics for name in item.split(",")] if metrics else None,
        "split": split,
        "subset": subset or (),
        "rows": None if rows == "full" else int(rows),
        "seed": seed,
        "folder": folder,
        "sets": sets or (),
    }
    if run is not None and len(run) > 1:
        if ci:
            raise UsageError("--ci: intervals are of metrics of one run: name one, or leave it out")
        if device is not None:
            raise UsageError("--device: several runs are compared on the CPU: name one run, or leave it out")
        with output.working():
            from aerepr.workflows.together import evaluate_together

            answer = evaluate_together(run, **asked, progress=Work())
        output.show(answer, as_json, lambda: _text_together(answer))
    else:
        with output.working():
            from aerepr.workflows.evaluate import evaluate as work

            only = run[0] if run else None
            asked |= {"device": device or "auto", "resamples": resamples if ci else 0}
            answer = work(only, **asked, told=output.note, progress=Work())
        output.show(answer, as_json, lambda: text(answer, sys.stdout.isatty()))
    if answer["refused"] and answer["named"]:
        for name, reason in answer["refused"].items():
            output.note(f"error: {name}: {reason.removeprefix(f'{name}: ')}")
        raise typer.Exit(1)


def text(answer: dict[str, Any], terminal: bool) -> str:
    """An answer to read: on a terminal a table grouped by metric, elsewhere a line a number."""
    perf, refused = answer["perf"], [] if answer["named"] else list(answer["refused"].items())
    parts = [f"{answer['run']}, step {answer['step']}\n{_title(answer)}", (_ruled if terminal else _plain)(answer)]
    encoded = ", ".join(f"{what} {seconds:.1f} s" for what, seconds in perf["encode_seconds"].items())
    spent = f"metrics {sum(perf['seconds'].values()):.1f} s on {perf['device']}"
    parts.append(f"{spent}{f'; encoding apart: {encoded}' if encoded else ''}")
    remarks = [f"{label}: {remark}" for label, remarks in answer["remarks"].items() for remark in remarks]
    for title, lines in (
        ("", remarks),
        ("not computed:", [f"  {label}: {reason.removeprefix(f'{label}: ')}" for label, reason in refused]),
        ("only where --metrics names them:", [f"  {name}: {why}" for name, why in answer["on_request"].items()]),
        ("", [f"{label}: {how} ({perf['seconds'][label]:.2g} s)" for label, how in answer["protocol"].items()]),
        ("", [answer["out"], *answer["pictures"].values()]),
    ):
        if lines:
            parts.append("\n".join([title, *lines] if title else lines))
    return "\n\n".join(parts)


def _text_together(answer: dict[str, Any]) -> str:
    """Numbers of several runs: of them all, and of each by its place."""
    names = [f"[{place}]" for place in range(1, len(answer["runs"]) + 1)]
    rows = [
        (key, _number(value), *(_number(numbers[key]) if key in numbers else "" for numbers in answer["each"]))
        for key, value in answer["metrics"].items()
    ]
    where = [f"{name} {path}" for name, path in zip(names, answer["runs"], strict=True)]
    parts = ["\n".join([*where, _rows(answer)]), output.table(rows, ("", "all", *names))]
    return "\n\n".join([*parts, "\n".join(f"{label}: {how}" for label, how in answer["protocol"].items())])


def _rows(answer: dict[str, Any]) -> str:
    part = "whole data set" if answer["split"] == "all" else f"{answer['split']} split"
    chosen = ", ".join(f"{name} = {classes}" for name, classes in answer["subset"].items())
    return f"{part}{f', {chosen}' if chosen else ''}: {answer['rows']:,} of {answer['of']:,} examples"


def _title(answer: dict[str, Any]) -> str:
    left_out = "; ".join(f"without {name}: {reason}" for name, reason in answer["left_out"].items())
    return f"{_rows(answer)}\nfactors: {', '.join(answer['factors']) or 'none'}{f'; {left_out}' if left_out else ''}"


def _number(value: float | str, digits: int = 6) -> str:
    return value if isinstance(value, str) else f"{value:.{digits}g}"


def _interval(answer: dict[str, Any], key: str) -> list[str]:
    """The cell of one number; no cell where there are no intervals at all."""
    if not answer["intervals"]:
        return []
    ends = answer["intervals"].get(key)
    return [f"[{_number(ends[0], 4)}, {_number(ends[1], 4)}]" if ends else ""]


def _plain(answer: dict[str, Any]) -> str:
    return output.table([(key, _number(value), *_interval(answer, key)) for key, value in answer["metrics"].items()])


def _ruled(answer: dict[str, Any]) -> str:
    """The table on a terminal: metrics in groups, each with its seconds."""
    from rich.box import SIMPLE_HEAD
    from rich.console import Console
    from rich.table import Table

    table = Table("metric", "", box=SIMPLE_HEAD)
    for title in ("value", *(["95 % interval"] if answer["intervals"] else []), "seconds"):
        # Where it is narrow, names are folded and numbers stay whole.
        table.add_column(title, justify="right", no_wrap=True)
    for label, keys in answer["groups"].items():
        for place, key in enumerate(keys):
            first = [label, f"{answer['perf']['seconds'][label]:.1f}"] if place == 0 else ["", ""]
            number = key.partition(".")[2]
            table.add_row(first[0], number, _number(answer["metrics"][key]), *_interval(answer, key), first[1])
        table.add_section()
    console = Console(markup=False, highlight=False)
    with console.capture() as captured:
        console.print(table)
    return captured.get().rstrip("\n")
