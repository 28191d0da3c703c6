"""`aerepr runs list|show|compare|rm`."""

from __future__ import annotations

import dataclasses
import json
import sys
from typing import Annotated, Any

import typer

from aerepr.cli import output
from aerepr.cli.options import RUNS, Json, Run, Runs


def listing(runs: Runs = RUNS, as_json: Json = False) -> None:
    """List runs, the newest last."""
    from aerepr.workflows import runs as workflow

    found = workflow.listing(runs)

    def text() -> str:
        if not found:
            return f"no runs in {runs}"
        rows = [
            (
                row.name,
                row.stamp,
                row.state,
                f"{row.step}/{row.steps if row.steps is not None else '?'}",
                _losses(row.losses),
            )
            for row in found
        ]
        return output.table(rows, ("name", "run", "state", "step", "last loss"))

    output.show([dataclasses.asdict(row) for row in found], as_json, text)
    for row in found:
        if row.problem:
            output.note(f"warning: {row.problem}")


def show(run: Run = None, runs: Runs = RUNS, as_json: Json = False) -> None:
    """Show one run: spec, machine, last records, files."""
    from aerepr.workflows import runs as workflow

    details = workflow.details(runs, run)
    answer = dataclasses.asdict(details)

    def text() -> str:
        row = details.row
        parts = [
            output.pairs({"run": row.path, "state": row.state, "step": f"{row.step} of {row.steps}"}),
            workflow.toml(details.spec),
            output.table((f"# {key}", value) for key, value in details.env.items()),
            "\n".join(f"# last {kind}: {json.dumps(values)}" for kind, values in details.last.items()),
            output.table((f"# {name}", output.size(count)) for name, count in details.files.items()),
        ]
        return "\n\n".join(part.strip() for part in parts)

    output.show(answer, as_json, text)


def compare(
    asked: Annotated[list[str], typer.Argument(metavar="RUN RUN...", help="Paths or names of two runs or more.")],
    runs: Runs = RUNS,
    as_json: Json = False,
) -> None:
    """Compare runs: where specs differ, last numbers."""
    from aerepr.workflows import runs as workflow

    answer = workflow.compare(runs, asked)

    def text() -> str:
        names = [f"[{number}]" for number in range(1, len(asked) + 1)]
        rows = [(key, *map(_cell, values)) for key, values in answer["spec"].items()]
        numbers = [(key, *map(_cell, values)) for key, values in answer["numbers"].items()]
        parts = [
            "\n".join(f"{name} {path}" for name, path in zip(names, answer["runs"], strict=True)),
            output.table(rows, ("spec", *names)) if rows else "the specs are the same",
            output.table(numbers, ("last numbers", *names)),
        ]
        return "\n\n".join(parts)

    output.show(answer, as_json, text)


def rm(
    run: Annotated[str, typer.Argument(metavar="RUN", help="A run's path, or a name that only one run has.")],
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    runs: Runs = RUNS,
    as_json: Json = False,
) -> None:
    """Delete a run, after asking.

    Nothing but a run directory is ever deleted.
    """
    from aerepr.errors import UsageError
    from aerepr.workflows import runs as workflow

    found = workflow.one(runs, run)
    if not yes:
        if as_json or not _can_ask():
            raise UsageError(f"{found.path}: deleting is final, and nobody can be asked here: pass --yes")
        if not typer.confirm(f"delete {found.path} ({found.state})?", err=True):
            output.note("nothing was deleted")
            raise typer.Exit(1)
    workflow.remove(found)
    output.show({"removed": str(found.path)}, as_json, lambda: f"deleted {found.path}")


def _can_ask() -> bool:
    return sys.stdin.isatty()


def _losses(losses: dict[str, float]) -> str:
    return "  ".join(f"{kind} {value:.4g}" for kind, value in losses.items())


def _cell(value: Any) -> str:
    if value is None:
        return "-"
    return f"{value:.6g}" if isinstance(value, float) else str(value)


COMMANDS = {
    "list": (listing, ("aerepr runs list", "aerepr runs list --runs elsewhere --json")),
    "show": (show, ("aerepr runs show                           the newest run", "aerepr runs show my-run")),
    "compare": (compare, ("aerepr runs compare my-run other-run",)),
    "rm": (rm, ("aerepr runs rm runs/my-run/20260101T120000Z-0123abcd",)),
}
