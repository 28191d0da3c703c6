"""The parser: every command by name, and what all of them have in common."""

from __future__ import annotations

import sys
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from aerepr.cli import (
    check,
    data,
    decode,
    demo,
    encode,
    evaluate,
    export,
    info,
    metrics,
    models,
    plugins,
    reconstruct,
    runs,
    sample,
    spec,
    study,
    train,
    traverse,
)
from aerepr.cli.main import interrupted
from aerepr.cli.options import examples
from aerepr.errors import AereprError


class Guarded(TyperGroup):
    """A group whose commands end in one message and an exit code where the user can mend what went wrong."""

    def invoke(self, ctx: Any) -> Any:
        """Run the command.

        Raises:
            typer.Exit: with the exit code of the error or signal.
        """
        try:
            return super().invoke(ctx)
        except AereprError as cause:
            print(f"error: {cause}", file=sys.stderr)
            raise typer.Exit(cause.exit_code) from cause
        except KeyboardInterrupt as cause:
            raise typer.Exit(interrupted(cause)) from cause


def _version(asked: bool) -> None:
    if asked:
        from importlib.metadata import version

        print(version("aerepr"))
        raise typer.Exit


# Without markup rich is not imported for help and usage errors, which would double their time.
app = typer.Typer(
    name="aerepr", cls=Guarded, no_args_is_help=True, rich_markup_mode=None, pretty_exceptions_enable=False
)


@app.callback(
    epilog=examples(
        "aerepr demo                          train a small model and look at what it learned",
        "aerepr spec new --out my.toml        a spec to start from",
        "aerepr train my.toml                 train it",
        "aerepr sample --hybrid               pictures from the newest run",
    )
)
def root(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version and exit.")
    ] = False,
) -> None:
    """Structured representation learning with autoencoders: composed in TOML, sampled without a prior, exported.

    Exit codes: 0 done, 1 failed, 2 usage or spec, 130 and 143 interrupted.
    """


def _add(parent: typer.Typer, name: str, command: Any, lines: tuple[str, ...]) -> None:
    parent.command(name, epilog=examples(*lines))(command)


def _group(name: str, help_: str, members: dict[str, tuple[Any, tuple[str, ...]]]) -> None:
    group = typer.Typer(no_args_is_help=True, rich_markup_mode=None)
    for member, (command, lines) in members.items():
        _add(group, member, command, lines)
    first = next(lines for _, lines in members.values())
    app.add_typer(group, name=name, help=help_, epilog=examples(*first))


_add(app, "train", train.train, train.EXAMPLES)
_add(app, "sample", sample.sample, sample.EXAMPLES)
_add(app, "traverse", traverse.traverse, traverse.EXAMPLES)
_add(app, "encode", encode.encode, encode.EXAMPLES)
_add(app, "decode", decode.decode, decode.EXAMPLES)
_add(app, "reconstruct", reconstruct.reconstruct, reconstruct.EXAMPLES)
_add(app, "evaluate", evaluate.evaluate, evaluate.EXAMPLES)
_add(app, "metrics", metrics.metrics, metrics.EXAMPLES)
_add(app, "export", export.export, export.EXAMPLES)
_add(app, "check", check.check, check.EXAMPLES)
_group("spec", "Write, resolve and describe spec files.", spec.COMMANDS)
_add(app, "models", models.models, models.EXAMPLES)
_group("plugins", "List, show, check and write components.", plugins.COMMANDS)
_group("data", "List, fetch and check data sets, and look at one.", data.COMMANDS)
_group("runs", "List, show, compare and delete runs.", runs.COMMANDS)
_group("study", "Train, evaluate and compare many runs as one.", study.COMMANDS)
_add(app, "demo", demo.demo, demo.EXAMPLES)
_add(app, "info", info.info, info.EXAMPLES)
