"""`aerepr metrics`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from aerepr.cli import output
from aerepr.cli.options import Json

EXAMPLES = (
    "aerepr metrics --codes z.npy --factors y.npy                 every metric; DCI takes minutes",
    "aerepr metrics --codes z.npy --factors y.npy --only mig,sap,dci_lgbm --train-rows 10000 --json",
    "aerepr metrics --codes codes.npz --shuffle --only sap --ci   as `aerepr encode` writes it, with its factors",
)


def metrics(
    codes: Annotated[Path, typer.Option("--codes", metavar="FILE", help="Codes (rows, dimensions), .npy or .npz.")],
    factors: Annotated[
        Path | None,
        typer.Option("--factors", metavar="FILE", help="Classes (rows, factors); left out: those beside the codes."),
    ] = None,
    only: Annotated[
        str | None,
        typer.Option(
            "--only", metavar="NAMES", help="Which, with commas between; see `aerepr plugins list --kind metric`."
        ),
    ] = None,
    train_rows: Annotated[
        int | None,
        typer.Option("--train-rows", min=1, metavar="N", help="Fit on the first N rows, score the rest; two thirds."),
    ] = None,
    shuffle: Annotated[
        bool,
        typer.Option("--shuffle", help="Put rows into an order drawn by --seed first; those of a grid are sorted."),
    ] = False,
    seed: Annotated[int, typer.Option("--seed", min=0, help="Seed of what metrics draw.")] = 0,
    ci: Annotated[bool, typer.Option("--ci", help="Add bootstrap intervals (95 %).")] = False,
    resamples: Annotated[int, typer.Option("--resamples", min=2, metavar="N", help="Of the bootstrap.")] = 100,
    sets: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="METRIC.KEY=VALUE", help="Override one setting of a metric; may be repeated."),
    ] = None,
    codes_key: Annotated[
        str | None, typer.Option("--codes-key", metavar="NAME", help="Which array of the npz.")
    ] = None,
    factors_key: Annotated[
        str | None, typer.Option("--factors-key", metavar="NAME", help="Which array of the npz.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Compute disentanglement metrics of arrays, from any framework.

    Train rows come first. A metric that is not defined on the arrays says why on stderr, and the exit code is 1.
    """
    with output.working():
        from aerepr.workflows.metrics import metrics as work

        answer = work(
            codes,
            factors,
            only=[name.strip() for name in only.split(",") if name.strip()] if only is not None else None,
            train_rows=train_rows,
            shuffle=shuffle,
            seed=seed,
            resamples=resamples if ci else 0,
            sets=sets or (),
            codes_key=codes_key,
            factors_key=factors_key,
            told=output.note,
        )
    for name, reason in answer["refused"].items():
        output.note(f"not computed: {name}: {reason}")
    output.show(_flat(answer), as_json, lambda: _text(answer))
    if answer["refused"]:
        raise typer.Exit(1)


def _flat(answer: dict[str, Any]) -> dict[str, float]:
    """One key a number, as `mig.score`, and `mig.score.ci_low`, `.ci_high` of its interval."""
    flat: dict[str, float] = {}
    for key, value in answer["numbers"].items():
        flat[key] = value
        if key in answer["intervals"]:
            flat[f"{key}.ci_low"], flat[f"{key}.ci_high"] = answer["intervals"][key]
    return flat


def _text(answer: dict[str, Any]) -> str:
    size = f"{answer['rows']:,} rows, {answer['dimensions']} dimensions, {answer['factors']} factors"
    rows = []
    for key, value in answer["numbers"].items():
        low, high = answer["intervals"].get(key, (None, None))
        rows.append([key, f"{value:.6g}", *([f"[{low:.4g}, {high:.4g}]"] if low is not None else [])])
    header = ["metric", "value", *(["95 % interval"] if answer["intervals"] else [])]
    protocols = output.table(
        [(f"{name}:", f"{text} ({answer['seconds'][name]:.2g} s)") for name, text in answer["protocol"].items()]
    )
    return f"{size}\n\n{output.table(rows, header)}\n\n{protocols}"
