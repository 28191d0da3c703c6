"""docs/spec.md says what the specs say."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]


def test_the_spec_page_is_up_to_date() -> None:
    command = [sys.executable, str(ROOT / "docs" / "generate.py"), "--check"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_the_spec_page_says_types_and_defaults_as_a_user_would() -> None:
    page = (ROOT / "docs" / "spec.md").read_text(encoding="utf-8")
    rows = [re.split(r"(?<!\\) \| ", line.strip("| ")) for line in page.splitlines() if line.startswith("| `")]
    assert {len(row) for row in rows} == {4}
    types = {row[1] for row in rows}
    assert not [name for name in types if re.search(r"Spec|Literal|None|Annotated|Optional|[|']", name)], types
    assert {"table", "list[table]", "int (optional)", '"auto", "fp32", "tf32" or "bf16"'} <= types
    said = {(key, default) for key, _, default, _ in rows}
    for key, name in {
        "posterior": "deterministic",
        "prior": "standard_normal",
        "likelihood": "bernoulli",
        "objective": "elbo",
        "sampler": "hybrid",
    }.items():
        assert (f"`{key}`", f'`{{"name": "{name}"}}`') in said
    given = {key for key, default in said if default == "**required**, unless a recipe gives it"}
    assert given == {"`train`", "`latent_dim`", "`encoder`", "`decoder`"}
