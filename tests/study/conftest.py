"""A study whose runs train in a second."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

SHARED = """
name = "small"
[spec.model]
latent_dim = 2
encoder = { name = "mlp", hidden = [8] }
decoder = { name = "mlp", hidden = [8] }
posterior = { name = "gaussian" }
likelihood = { name = "gaussian" }
[[spec.model.regularizers]]
name = "kl"
[spec.data]
name = "array"
path = "points.npy"
[spec.train]
steps = 60
batch_size = 16
device = "cpu"
log_every = 20
validate_every = 30
checkpoint_every = 50
"""

AXES = """
[axes]
"model.latent_dim" = [1, 2]
seed = [0]
[[evaluate]]
metrics = ["reconstruction", "mig"]
"""


@pytest.fixture
def study_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Path]:
    """Write `study.toml` beside its data: what is shared, then the rest; each pair of `changes` replaces a text."""
    monkeypatch.chdir(tmp_path)
    generator = np.random.Generator(np.random.PCG64(0))
    np.save(tmp_path / "points.npy", generator.normal(size=(120, 3)).astype(np.float32))

    def write(rest: str = AXES, *changes: tuple[str, str]) -> Path:
        text = SHARED + rest
        for old, new in changes:
            assert old in text
            text = text.replace(old, new)
        path = tmp_path / "study.toml"
        path.write_text(text)
        return path

    return write
