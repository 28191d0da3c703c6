"""`aerepr info`."""

from __future__ import annotations

from aerepr.cli import output
from aerepr.cli.options import Json

EXAMPLES = ("aerepr info", "aerepr info --json")


def info(as_json: Json = False) -> None:
    """Say what is installed here.

    Versions, the device that training would use, folders: the first thing to put in a bug report.
    """
    with output.working():
        from aerepr.workflows import machine

        answer = machine.info()

    def text() -> str:
        packages = "  ".join(f"{name} {number}" for name, number in answer["packages"].items())
        return output.pairs({**answer, "packages": packages})

    output.show(answer, as_json, text)
