"""Finding what a spec names, a file or a key in it, and saying what is there instead when it is not found."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches
from pathlib import Path

from aerepr.errors import DataError

# Enough names to recognise a file by; a folder may hold thousands.
_SHOWN = 20


def existing_file(path: Path | str) -> Path:
    """Check that a data file is there and holds something.

    Args:
        path: the file to be read.

    Returns:
        The same path.

    Raises:
        DataError: the file is missing, is a folder, is empty, or its folder may not be looked into.
    """
    path = Path(path)
    try:
        if path.is_dir():
            raise DataError(f"{path}: found a folder, expected a file; name a file inside it")
        if not path.exists():
            if not path.parent.is_dir():
                raise DataError(f"{path}: found no folder {path.parent}, expected the file in it; check the path")
            siblings = [entry.name for entry in path.parent.iterdir()]
            raise DataError(
                f"{path}: found no such file{suggestion(path.name, siblings)}, expected one; check the path"
            )
        if path.stat().st_size == 0:
            raise DataError(f"{path}: found an empty file (0 bytes), expected data; copy or download it again")
    except OSError as error:
        raise DataError(f"{path}: found a file that cannot be looked at ({error}); check its permissions") from error
    return path


def missing_key(where: str, key: str, known: Iterable[str]) -> DataError:
    """The error for a key that a file does not hold.

    Args:
        where: the file, as it is to be shown.
        key: the key asked for.
        known: the keys there are.
    """
    names = sorted(known)
    shown = ", ".join(names[:_SHOWN]) + (f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else "")
    return DataError(f'{where}: found no key "{key}"{suggestion(key, names)}, expected one of: {shown or "(no keys)"}')


def suggestion(name: str, known: Iterable[str]) -> str:
    """` (did you mean "..."?)` when a known name is close to `name`, else nothing."""
    # A name that is known is a broken link: it does not help to name it again.
    close = get_close_matches(name, [item for item in known if item != name], n=1)
    return f' (did you mean "{close[0]}"?)' if close else ""
