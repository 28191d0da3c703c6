"""`aerepr plugins list|show|check|new`."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Annotated, Any

import typer

from aerepr.cli import output
from aerepr.cli.options import Json


def listing(
    kind: Annotated[str | None, typer.Option("--kind", help="Only one kind, such as decoder.")] = None,
    as_json: Json = False,
) -> None:
    """List every component.

    And the plugin packages that are or could be installed. None is imported.
    """
    from aerepr.workflows import catalogue

    registry = catalogue.here()
    components = catalogue.components(registry, kind)
    packages = catalogue.packages(registry)
    answer = {
        "components": [dataclasses.asdict(row) for row in components],
        "packages": [dataclasses.asdict(row) for row in packages],
    }

    def text() -> str:
        rows = [(row.kind, row.name, row.package, row.version, row.summary) for row in components]
        parts = [output.table(rows, ("kind", "name", "package", "version", "summary"))]
        if packages:
            rows_ = [(row.package, row.version, row.status, row.summary) for row in packages]
            parts.append(output.table(rows_, ("package", "version", "status", "summary")))
        parts += [f"{row.package}: {row.install}" for row in packages if row.status == "not installed"]
        return "\n\n".join(parts)

    output.show(answer, as_json, text)
    for row in components:
        if row.problem:
            output.note(f'warning: {row.kind} "{row.name}" of {row.package}: {row.problem}')
    for package in packages:
        if package.problem:
            output.note(f"warning: {package.package}: {package.problem}")


def show(
    kind: Annotated[str, typer.Argument(metavar="KIND", help="encoder, decoder, sampler, dataset, ...")],
    name: Annotated[str, typer.Argument(metavar="NAME", help="As `aerepr plugins list` shows it.")],
    as_json: Json = False,
) -> None:
    """Show one component and the keys of its table."""
    from aerepr.workflows import catalogue

    with output.working():
        row, about, fields = catalogue.component(catalogue.here(), kind, name)
    answer = {
        **dataclasses.asdict(row),
        "about": about,
        "fields": [dataclasses.asdict(field) for field in fields],
    }

    def text() -> str:
        lines = [f'{row.kind} "{row.name}", {row.package} {row.version}', row.summary or about]
        lines += [f"Source: {row.source}"] if row.source else []
        rows = [
            (
                field.key,
                field.type,
                _default(field),
                field.description + (" (schedulable)" if field.schedulable else ""),
            )
            for field in fields
        ]
        keys = output.table(rows, ("key", "type", "default", "description")) if rows else "It has no keys but name."
        return "\n".join(lines) + f"\n\n{keys}"

    output.show(answer, as_json, text)


def check(
    package: Annotated[
        str | None, typer.Argument(metavar="PACKAGE", help="A package; every plugin package when left out.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Check that plugins keep their contracts.

    Exit code 1 if a component fails a check of its kind.
    """
    from aerepr.workflows import catalogue

    with output.working():
        results = catalogue.check_plugins(package)
    failed = [result for result in results if result.failed]
    skipped = [result for result in results if result.skipped]

    def text() -> str:
        rows = [(_verdict(row), row.kind, row.name, row.check, row.message) for row in results]
        passed = len(results) - len(failed) - len(skipped)
        return output.table(rows) + f"\n{passed} passed, {len(failed)} failed, {len(skipped)} skipped"

    output.show([dataclasses.asdict(result) for result in results], as_json, text)
    if failed:
        raise typer.Exit(1)


def new(
    name: Annotated[
        str,
        typer.Argument(metavar="NAME", help="Of the package, such as aerepr-rings: its components are called rings."),
    ],
    kind: Annotated[
        list[str] | None, typer.Option("--kind", metavar="KIND", help="A component it is to hold; may be repeated.")
    ] = None,
    out: Annotated[
        Path | None, typer.Option("--out", metavar="DIR", help="The folder to make; ./NAME when left out.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Write a plugin package to start from.

    It installs, passes its own tests and `plugins check`, and trains as it stands.
    """
    with output.working():
        from aerepr.workflows import catalogue, plugin_new

        folder, files = plugin_new.new(name, kind or (), out, catalogue.here())

    def text() -> str:
        steps = [f"cd {folder}", 'pip install -e ".[dev]"', "python -m pytest", "aerepr train spec.toml"]
        return "\n".join([*(str(folder / file) for file in files), "", "Next:", *(f"  {step}" for step in steps)])

    output.show({"out": str(folder), "files": files}, as_json, text)


def _verdict(result: Any) -> str:
    return "FAILED" if result.failed else "skipped" if result.skipped else "ok"


def _default(field: Any) -> str:
    if field.required:
        return "required"
    return "" if field.default is None else json.dumps(field.default)


COMMANDS = {
    "list": (listing, ("aerepr plugins list", "aerepr plugins list --kind sampler")),
    "show": (show, ("aerepr plugins show decoder structural",)),
    "check": (check, ("aerepr plugins check", "aerepr plugins check aerepr-discrete")),
    "new": (
        new,
        (
            "aerepr plugins new aerepr-rings --kind decoder",
            "aerepr plugins new my-ideas --kind prior --kind sampler --out ideas",
        ),
    ),
}
