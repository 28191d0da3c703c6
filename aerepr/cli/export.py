"""`aerepr export`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from aerepr.cli import output
from aerepr.cli.options import RUNS, Json, Run, Runs, Settings

EXAMPLES = (
    "aerepr export                               TorchScript and ONNX of the newest run, as far as they can be made",
    "aerepr export --to all                      every format that can be made on this machine",
    "aerepr export my-run --to onnx --sampler gaussian --out exported/",
    "aerepr export --to onnx --part encoder      encoder.onnx, beside what is there",
    "aerepr export --to onnx --precision fp16    half the size",
)


def export(
    run: Run = None,
    to: Annotated[
        list[str] | None,
        typer.Option(
            "--to",
            metavar="NAME",
            help="torchscript, onnx, any installed exporter, or all; may be repeated. The first two if left out.",
        ),
    ] = None,
    sampler: Annotated[
        str | None, typer.Option("--sampler", metavar="NAME", help="Export another sampler than the run's own.")
    ] = None,
    part: Annotated[
        list[str] | None,
        typer.Option(
            "--part",
            metavar="NAME",
            help="decoder, sampler, encoder or an entry of the objective; may be repeated. All but the encoder if left out.",
        ),
    ] = None,
    precision: Annotated[
        str,
        typer.Option("--precision", metavar="fp32|fp16", help="How ONNX files store weights; fp16 is half the size."),
    ] = "fp32",
    out: Annotated[
        Path | None, typer.Option("--out", metavar="DIR", help="Folder; exports/ in the run if left out.")
    ] = None,
    sets: Settings = None,
    runs: Runs = RUNS,
    as_json: Json = False,
) -> None:
    """Write decoder and sampler for other programs.

    Every file is compared with the model before it counts as written. What the folder holds of the same model and sampler
    stays, so that formats can be added one by one.
    """
    with output.working():
        from aerepr.workflows import products

        names = [name for item in to for name in item.split(",")] if to else None
        parts = [name for item in part or [] for name in item.split(",")]
        changed = sets or ()
        answer = products.export(
            run, runs=runs, to=names, sampler=sampler, parts=parts, out=out, sets=changed, precision=precision
        )

    def text() -> str:
        rows, rest = [], []
        for name, purpose in answer["files"].items():
            size, use = answer["bytes"].get(name), answer["use"].get(name)
            difference = answer["max_abs_diff"].get(name)
            if size is not None and difference is None and not use:
                rest.append(size)
                continue
            shown = "" if size is None else output.size(size), "" if difference is None else f"{difference:.1e}"
            rows.append((name, *shown, use or purpose))
        lines = [str(answer["out"]), output.table(rows, ("file", "size", "max diff", "use"))]
        if rest:
            lines.append(f"and {len(rest)} files that belong to these, {output.size(sum(rest))}")
        lines += [
            f"fp16 weights: {name}, {answer['bytes'][name] / of['full_bytes']:.2f} x the bytes and {of['time_ratio']:.2f} x the "
            f"time of fp32, PSNR {of['psnr']:.1f} dB against the model"
            for name, of in answer["rounding"].items()
        ]
        if answer["kept"]:
            lines.append(f"kept from an earlier export: {', '.join(answer['kept'])}")
        for reason in dict.fromkeys(answer["dropped"].values()):
            names = [name for name, why in answer["dropped"].items() if why == reason]
            lines.append(f"gone, for it {reason}: {', '.join(names)}")
        lines += [f"not made: {name}: {reason}" for name, reason in answer["skipped"].items()]
        return "\n".join(lines + answer["notices"])

    output.show(answer, as_json, text)
