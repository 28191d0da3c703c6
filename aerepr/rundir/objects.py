"""JSON files of a run or a study that hold one object."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from aerepr.errors import RunDirectoryError


def read_object(path: Path) -> dict[str, Any]:
    """What a JSON file holds.

    Raises:
        RunDirectoryError: it cannot be read, or holds something other than an object.
    """
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as cause:
        raise RunDirectoryError(f"{path}: cannot be read: {cause}") from cause
    if not isinstance(found, dict):
        raise RunDirectoryError(f"{path}: cannot be read: expected an object, got {type(found).__name__}")
    return found
