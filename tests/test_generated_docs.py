"""docs/spec.md says what the specs say."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]


def test_the_spec_page_is_up_to_date() -> None:
    command = [sys.executable, str(ROOT / "docs" / "generate.py"), "--check"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    page = (ROOT / "docs" / "spec.md").read_text(encoding="utf-8")
    # Types are said as a user would, not as Python prints them.
    assert not [word for word in ("FieldInfo", "Annotated", "Optional", "ComponentOf") if word in page]
