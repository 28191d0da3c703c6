"""Studies as scripts find them: there, not there, or damaged."""

from __future__ import annotations

from pathlib import Path

from aerepr.errors import AereprError, UsageError
from aerepr.study.folder import find
from aerepr.study.record import Study, records


def standing(runs: Path, name: str) -> Study | None:
    """A study as it stands; None: it is not there.

    Raises:
        SystemExit: it is there and cannot be read.
    """
    try:
        folder = find(runs, name)
    except UsageError:
        return None
    try:
        return records(folder.path)
    except AereprError as cause:
        raise SystemExit(str(cause)) from cause
