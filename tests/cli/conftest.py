"""The command line in this process, and a spec that trains in a second."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner, Result

SPEC = """
name = "points"
[model]
latent_dim = 2
encoder = { name = "mlp", hidden = [8] }
decoder = { name = "mlp", hidden = [8] }
likelihood = { name = "gaussian" }
[data]
name = "array"
path = "points.npy"
[train]
steps = 4
batch_size = 16
device = "cpu"
log_every = 2
validate_every = 4
checkpoint_every = 2
"""


@pytest.fixture
def aerepr() -> Callable[..., Result]:
    """Run one command; the result has its exit code, and stdout and stderr apart."""
    from aerepr.cli.app import app

    def run(*arguments: object, stdin: str | None = None) -> Result:
        return CliRunner().invoke(app, [str(argument) for argument in arguments], input=stdin)

    return run


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder, with `spec.toml` and its data."""
    (tmp_path / "spec.toml").write_text(SPEC)
    np.save(tmp_path / "points.npy", np.random.Generator(np.random.PCG64(0)).normal(size=(60, 2)).astype(np.float32))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("AEREPR_CACHE", str(tmp_path / "cache"))
    return tmp_path
