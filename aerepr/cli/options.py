"""Options that several commands share, each written once."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

Runs = Annotated[Path, typer.Option("--runs", metavar="DIR", help="Folder of all runs.")]

Sets = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="KEY=VALUE", help="Override one key, such as train.steps=500; may be repeated."),
]

# Of commands that take a component's own settings.
Settings = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        metavar="KEY=VALUE",
        help="One key of the component, as `aerepr plugins show KIND NAME` lists them; may be repeated.",
    ),
]

Json = Annotated[bool, typer.Option("--json", help="Print JSON on stdout, and everything else on stderr.")]

Spec = Annotated[Path, typer.Argument(metavar="SPEC", help="A TOML spec file.")]

Run = Annotated[str | None, typer.Argument(metavar="RUN", help="A run's path or name; the newest run when left out.")]

Out = Annotated[Path | None, typer.Option("--out", metavar="FILE", help="Where to write instead.")]

Seed = Annotated[int, typer.Option("--seed", min=0, help="Seed of what is drawn.")]

RUNS = Path("runs")

# `[RUN] [DATA]`: one argument alone is the data if it is a file or a folder that is no run, and else the run.
RunOrData = Annotated[
    str | None,
    typer.Argument(metavar="RUN", help="A run's path or name (the newest run when left out)."),
]

Second = Annotated[
    str | None,
    typer.Argument(metavar="DATA", help="A picture, a folder of pictures, or an array in .npz, .npy or .h5."),
]

Folder = Annotated[
    Path | None, typer.Option("--folder", metavar="DIR", help="Where the spec's data paths start, if they moved.")
]

Device = Annotated[
    str | None,
    typer.Option("--device", metavar="NAME", help="auto (cuda where there is one, else cpu), or such as cuda:1."),
]

Key = Annotated[str | None, typer.Option("--key", metavar="NAME", help="Which array of the file.")]


def examples(*lines: str) -> str:
    """The end of a command's help. The mark in front keeps the lines from being filled into a paragraph."""
    return "\n".join(["\b", "Examples:", *(f"  {line}" for line in lines)])
