"""The folder for what is downloaded or drawn once and kept."""

from __future__ import annotations

import os
from pathlib import Path


def cache_directory() -> Path:
    """The folder for data kept between runs; it need not exist yet.

    Returns:
        `$AEREPR_CACHE`, else `$XDG_CACHE_HOME/aerepr`, else `~/.cache/aerepr`.
    """
    own = os.environ.get("AEREPR_CACHE")
    if own:
        return Path(own).expanduser()
    shared = os.environ.get("XDG_CACHE_HOME", "")
    # The XDG specification says that a relative path is to be ignored.
    base = Path(shared) if Path(shared).is_absolute() else Path.home() / ".cache"
    return base / "aerepr"


def data_directory() -> Path:
    """The folder of published data files, one folder a data set; it need not exist yet.

    Returns:
        `$AEREPR_DATA`, else `data` in the cache directory.
    """
    own = os.environ.get("AEREPR_DATA")
    return Path(own).expanduser() if own else cache_directory() / "data"
