"""The published parameter counts, for every recipe of the paper's table, to the parameter."""

import pytest
import torch

from aerepr.spec.model import ModelSpec

from ..building import REGISTRY, context

COUNTS = {
    "AE": 1_022_671,
    "VAE": 1_024_219,
    "beta-VAE": 1_024_219,
    "SAE-2": 973_007,
    "SAE-3": 997_903,
    "SAE-4": 1_022_799,
    "SAE-6": 1_072_591,
    "SAE-12": 1_221_967,
    "AdaAE-12": 1_230_415,
    "AE-16": 5_311_139,
    "VAE-16": 5_315_267,
    "SAE-16": 6_597_411,
    "AdaAE-16": 6_628_131,
}


@pytest.mark.parametrize(("recipe", "count"), COUNTS.items())
def test_published_count(recipe, count):
    found, parameters = REGISTRY.recipe(recipe)
    spec = ModelSpec.model_validate(found.resolve(parameters)["model"])
    side = 128 if recipe.endswith("-16") else 64
    posterior = REGISTRY.load("posterior", spec.posterior.name)
    # Sizes alone matter here: on the meta device nothing is allocated or drawn.
    with torch.device("meta"):
        ctx = context((3, side, side), latent_dim=spec.latent_dim, K=posterior.K)
        modules = [ctx.build("encoder", spec.encoder), ctx.build("decoder", spec.decoder)]
    assert sum(parameter.numel() for module in modules for parameter in module.parameters()) == count
