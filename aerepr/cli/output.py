"""What commands print: the answer on stdout, as text or as JSON; everything else on stderr."""

from __future__ import annotations

import contextlib
import json
import math
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any


@contextlib.contextmanager
def working() -> Iterator[None]:
    """Libraries that print while they work do so on stderr: stdout is for the answer alone."""
    with contextlib.redirect_stdout(sys.stderr):
        yield


def show(answer: Any, as_json: bool, text: Callable[[], str]) -> None:
    """Print an answer.

    Args:
        answer: what `--json` prints. text: what is printed otherwise, made only then.
    """
    print(json.dumps(_strict(answer), indent=2, default=str, allow_nan=False) if as_json else text().rstrip("\n"))


def _strict(value: Any) -> Any:
    """An answer as JSON has it: numbers that are not finite are texts."""
    if isinstance(value, dict):
        return {key: _strict(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_strict(item) for item in value]
    return str(value) if isinstance(value, float) and not math.isfinite(value) else value


def note(text: str) -> None:
    """Say something that is not the answer."""
    print(text, file=sys.stderr)


def table(rows: Iterable[Sequence[object]], header: Sequence[str] = ()) -> str:
    """Columns of text, left aligned, two spaces apart."""
    lines = [[str(cell) for cell in row] for row in ([header, *rows] if header else rows)]
    if not lines:
        return ""
    widths = [max(len(line[column]) for line in lines) for column in range(len(lines[0]))]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip() for line in lines
    )


def pairs(values: dict[str, object]) -> str:
    """One key and its value a line."""
    return table([(key, value) for key, value in values.items()])


def size(count: float) -> str:
    """Bytes, readable."""
    for unit in ("B", "KiB", "MiB", "GiB"):
        if count < 1024 or unit == "GiB":
            return f"{count:.0f} {unit}" if unit == "B" else f"{count:.1f} {unit}"
        count /= 1024
    raise AssertionError
