"""`metrics.jsonl`: one JSON object a line, whole lines only, the same lines whether or not a run was interrupted."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from aerepr import atomic


def read(path: Path) -> list[dict[str, Any]]:
    """Every whole record; a last line that a killed process left incomplete is not one."""
    if not path.is_file():
        return []
    records = []
    for line in path.read_text(encoding="utf-8").splitlines():
        try:
            records.append(json.loads(line))
        except json.JSONDecodeError:
            break
    return records


def truncate(path: Path, step: int) -> None:
    """Drop records of steps after `step`, which a resumed run will write again."""
    kept = [record for record in read(path) if record["step"] <= step]
    atomic.write_text(path, "".join(json.dumps(record) + "\n" for record in kept))


def append(path: Path, record: dict[str, Any]) -> None:
    """Add one record."""
    with path.open("a", encoding="utf-8") as file:
        file.write(json.dumps(record) + "\n")
