"""`aerepr train`."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Annotated

import typer

from aerepr.cli import output
from aerepr.cli.options import RUNS, Folder, Json, Runs, Sets

EXAMPLES = (
    "aerepr train spec.toml",
    "aerepr train spec.toml --set train.steps=500 --set model.encoder.width=64",
    "aerepr train --resume                      the newest unfinished run",
    "aerepr train --resume spec.toml            the newest unfinished run of that spec",
    "aerepr train --resume my-run --set train.steps=4000",
    "aerepr train spec.toml --branch my-run     from a checkpoint that both share",
)


def train(
    spec: Annotated[
        str | None, typer.Argument(metavar="SPEC", help="A TOML spec; with --resume also a run's path or name.")
    ] = None,
    sets: Sets = None,
    runs: Runs = RUNS,
    run: Annotated[Path | None, typer.Option("--run", metavar="DIR", help="Folder of this one run.")] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Continue an unfinished run from its checkpoint.")] = False,
    branch: Annotated[
        str | None,
        typer.Option(
            "--branch",
            metavar="RUN",
            help="Start from the newest checkpoint of a run that the spec's own would have had.",
        ),
    ] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace the run that --run holds.")] = False,
    folder: Folder = None,
    as_json: Json = False,
) -> None:
    """Train a spec.

    The run goes to runs/NAME/STAMP-HASH, whose path is printed at the end. Ctrl-C saves a checkpoint and stops; --resume
    continues bit for bit. A resumed run may have more train.steps, other intervals and another [evaluation].
    """
    from aerepr.cli.progress import watch

    # Under torchrun every process runs this command, and one of them speaks.
    speaks = os.environ.get("RANK", "0") == "0"
    place: list[Path] = []
    state = "failed"
    try:
        with watch(speaks) as watcher, output.working():
            target, chosen = _meant(spec, runs, run, resume)

            from aerepr.workflows.train import train as work

            path = work(
                target,
                sets=sets or (),
                runs=runs,
                run=chosen,
                resume=resume,
                branch=branch,
                overwrite=overwrite,
                folder=folder,
                watcher=watcher,
                began=place.append,
            )
        state = "done"
        if speaks and not as_json:
            print(path)
    except KeyboardInterrupt:
        state = "interrupted"
        raise
    finally:
        if speaks and as_json:
            print(json.dumps(_summary(place, state)), flush=True)


def _meant(spec: str | None, runs: Path, run: Path | None, resume: bool) -> tuple[str | None, Path | None]:
    """The spec to train and the run to continue, of which --resume lets the argument name either."""
    if not resume or (spec is not None and (spec.endswith(".toml") or Path(spec).is_file())):
        return spec, run
    if spec is not None:
        return None, Path(spec)
    if run is not None:
        return None, run
    from aerepr.workflows.runs import newest_unfinished

    return None, newest_unfinished(runs)


def _summary(place: list[Path], state: str) -> dict[str, object]:
    """The last line of `--json`, also where no run directory was made."""
    if not place:
        return {"run": None, "step": 0, "state": state}
    from aerepr.workflows.train import summary

    found = summary(place[0])
    # A run that could not even leave its marker (a full disk) still ended.
    return found if found["state"] != "running" else {**found, "state": state}
