"""`metrics.jsonl`: one JSON object a line, whole lines only, the same lines whether or not a run was interrupted.

JSON has no infinity and no NaN: such a number is written as the text "inf", "-inf" or "nan".
"""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

from aerepr import atomic

_NOT_FINITE = {"inf": math.inf, "-inf": -math.inf, "nan": math.nan}


def strict(value: Any) -> Any:
    """A number as JSON has it: one that is not finite as its text. Anything else as it is."""
    return str(value) if isinstance(value, float) and not math.isfinite(value) else value


def read(path: Path) -> list[dict[str, Any]]:
    """Every whole record, numbers as they were; a last line that a killed process left incomplete is not one."""
    if not path.is_file():
        return []
    records = []
    for line in path.read_text(encoding="utf-8").splitlines():
        try:
            found = json.loads(line)
        except json.JSONDecodeError:
            break
        # No text but these is a number, and `kind`, the one that is none, is never one of them.
        records.append({key: _NOT_FINITE.get(str(value), value) for key, value in found.items()})
    return records


def truncate(path: Path, step: int, to: Path | None = None) -> None:
    """Drop records of steps after `step`, which a resumed run will write again.

    Args:
        to: write what is left to another file instead.
    """
    kept = [record for record in read(path) if record["step"] <= step]
    atomic.write_text(to or path, "".join(map(_line, kept)))


def append(path: Path, record: dict[str, Any]) -> None:
    """Add one record."""
    with path.open("a", encoding="utf-8") as file:
        file.write(_line(record))


def _line(record: dict[str, Any]) -> str:
    return json.dumps({key: strict(value) for key, value in record.items()}, allow_nan=False) + "\n"
