"""A saved state goes back into the module it fits, and into no other."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import nn

from aerepr.errors import CheckpointError
from aerepr.rundir import tensors


def module(width: int = 3, fitted: int = 0) -> nn.Module:
    """A layer and a buffer that a fit gives its size."""
    made = nn.Linear(2, width)
    made.register_buffer("bank", torch.ones(fitted))
    return made


def test_what_was_saved_comes_back_with_the_size_a_fit_gave_it(tmp_path: Path) -> None:
    saved, fresh = module(fitted=5), module()
    digest = tensors.save(tmp_path / "m.safetensors", saved.state_dict())
    tensors.restore(fresh, tensors.load(tmp_path / "m.safetensors", digest), "here")
    assert fresh.state_dict().keys() == saved.state_dict().keys()
    assert all(torch.equal(fresh.state_dict()[key], value) for key, value in saved.state_dict().items())


def test_a_state_of_another_module_is_refused() -> None:
    state = module().state_dict()
    with pytest.raises(CheckpointError, match=r"here: does not fit this model: lacks \['bias'\]"):
        tensors.restore(module(), {key: value for key, value in state.items() if key != "bias"}, "here")
    with pytest.raises(CheckpointError, match=r"has unknown \['other'\]"):
        tensors.restore(module(), {**state, "other": torch.ones(1)}, "here")
    with pytest.raises(CheckpointError, match=r"bias is \(4,\), this model has \(3,\)|weight is \(4, 2\)"):
        tensors.restore(module(), module(4).state_dict(), "here")
