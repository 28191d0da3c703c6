"""Where the tests of real files find them."""

from __future__ import annotations

import os
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def real_data() -> Path:
    """The folder of small real data sets: `$AEREPR_REAL_DATA`, else `shared/data` beside the repository."""
    given = os.environ.get("AEREPR_REAL_DATA")
    folder = Path(given) if given else Path(__file__).resolve().parents[3] / "shared" / "data"
    if not folder.is_dir():
        pytest.skip(f"no real data at {folder}; set AEREPR_REAL_DATA")
    return folder
