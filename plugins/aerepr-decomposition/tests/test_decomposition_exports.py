"""Every recipe made small, trained, and its decoder and sampler in every format: the pictures of a seed are the model's."""

from __future__ import annotations

import tomllib
from pathlib import Path

import numpy as np
import pytest
import torch

import aerepr
from aerepr.export.load import load_decoder
from aerepr.spec.read import spec_from_tables
from aerepr.spec.run import RunSpec
from aerepr.workflows.train import train

CATALOGUE = tomllib.loads((Path(__file__).parents[1] / "registry.toml").read_text(encoding="utf-8"))
FORMATS = ["onnx", "torchscript", "pt2"]


def small(recipe: str) -> RunSpec:
    """A spec of a recipe that trains in a second, with the recipe's own terms, prior and sampler."""
    if "pinwheel" in recipe:
        part, latent_dim, data = {"hidden": [16]}, 2, {"name": "pinwheel"}
    else:
        part = {"width": 4, **({} if "fashion" in recipe else {"hidden": 16})}
        few = {"floor_hue": [0], "scale": [7], "orientation": [7]}
        latent_dim, data = 4, {"name": "rooms", "size": 16, "gallery": 4, "subset": few}
    return spec_from_tables(
        {
            "name": "dd",
            "model": {"recipe": recipe, "latent_dim": latent_dim, "encoder": part, "decoder": part},
            "data": data,
            "train": {"steps": 6, "batch_size": 8, "device": "cpu"}
            | {"log_every": 2, "validate_every": 6, "checkpoint_every": 3},
        }
    )


@pytest.mark.full
@pytest.mark.filterwarnings("ignore:`torch.jit:DeprecationWarning")
@pytest.mark.parametrize("name", [recipe["name"] for recipe in CATALOGUE["recipes"]])
def test_every_recipe_is_exported_to_every_format(name: str, tmp_path: Path) -> None:
    run = aerepr.load(train(small(name), run=tmp_path / "run"))
    # A decoder that has hardly learned says the same of every code; this one does not.
    with torch.no_grad():
        for parameter in run.view.model.decoder.parameters():
            parameter.mul_(3)
    found = run.export(FORMATS, out=tmp_path / "e", parts=["decoder", "sampler"])
    assert max(found["max_abs_diff"].values()) <= 1e-5
    expected = run.sample(3, 1)
    if expected.ndim == 4:
        expected = np.moveaxis(expected, -1, 1)
    span = max(float(np.ptp(expected)), 1.0)
    assert np.ptp(expected, axis=0).max() > 1e-3 * span
    for form in FORMATS:
        samples = load_decoder(tmp_path / "e", trust=True, format=form).sample(3, 1)
        np.testing.assert_allclose(samples, expected, rtol=0, atol=2e-5 * span, err_msg=form)
