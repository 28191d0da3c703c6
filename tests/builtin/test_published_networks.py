"""The networks of the paper by their recipes' names: parameter counts, and where everything sits, read off built modules."""

from functools import cache

import pytest
import torch
from torch import nn

from aerepr.errors import SpecError
from aerepr.kinds.dataset import DataInfo
from aerepr.kinds.shape import DataShape
from aerepr.layers.mlp import NONLINEARITIES
from aerepr.model.build import build_system
from aerepr.model.check import check
from aerepr.model.system import System
from aerepr.spec.read import spec_from_tables

# Published and derived from the published configurations alike; adversaries are counted apart.
COUNTS = {
    "AE": 1_022_671,
    "WAE": 1_022_671,
    "VAE": 1_024_219,
    "beta-VAE": 1_024_219,
    "FactorVAE": 1_024_219,
    "beta-TCVAE": 1_024_219,
    "SAE-2": 973_007,
    "SAE-3": 997_903,
    "SAE-4": 1_022_799,
    "SAE-6": 1_072_591,
    "SAE-12": 1_221_967,
    "AdaAE-12": 1_230_415,
    "VLAE-2": 869_259,
    "VLAE-3": 887_019,
    "VLAE-4": 904_779,
    "VLAE-4-as-published": 941_835,
    "VLAE-6": 940_299,
    "VLAE-12": 1_046_859,
    "AE-16": 5_311_139,
    "VAE-16": 5_315_267,
    "SAE-16": 6_597_411,
    "AdaAE-16": 6_628_131,
    "VLAE-16": 5_881_763,
    "AE-RFD": 21_426_963,
}

# Blocks before which a Str-Tfm layer or a rung of the decoder sits, and after which a rung of the encoder does.
BEFORE = {
    2: (1, 7),
    3: (1, 5, 9),
    4: (1, 4, 7, 10),
    6: (1, 3, 5, 7, 9, 11),
    12: tuple(range(1, 13)),
    16: tuple(range(1, 17)),
}
AFTER = {
    2: (6, 12),
    3: (4, 8, 12),
    4: (3, 6, 9, 12),
    6: (2, 4, 6, 8, 10, 12),
    12: tuple(range(1, 13)),
    16: tuple(range(1, 17)),
}

# By depth: sides of the feature maps after each block of the encoder, and before each block of the decoder.
SHRINKING = {
    12: [32, 32, 32, 16, 16, 16, 8, 8, 8, 4, 4, 2],
    13: [32, 32, 32, 16, 16, 16, 16, 8, 8, 8, 4, 4, 2],
    16: [64, 64, 64, 32, 32, 32, 16, 16, 16, 8, 8, 8, 4, 4, 4, 2],
}
GROWING = {
    12: [2, 2, 4, 4, 8, 8, 8, 16, 16, 16, 32, 32],
    16: [2, 4, 4, 4, 8, 8, 8, 16, 16, 16, 32, 32, 32, 64, 64, 64],
}
HALVINGS = {12: [1, 4, 7, 10, 12], 13: [1, 4, 8, 11, 13], 16: [1, 4, 7, 10, 13, 16]}
UPSAMPLINGS = {12: [2, 4, 7, 10, 12], 16: [1, 4, 7, 10, 13, 16]}

SMALL = (2, 3, 4, 6, 12)
LARGE = ("AE", "VAE", "SAE", "AdaAE", "VLAE")
NETWORKS = [
    *("AE", "VAE"),
    *(f"{family}-{n}" for family in ("SAE", "AdaAE", "VLAE") for n in SMALL),
    "VLAE-4-as-published",
    *(f"{family}-16" for family in LARGE),
    *(f"{family}-RFD" for family in LARGE),
]


def side(recipe):
    return 128 if recipe.endswith(("-16", "-RFD")) else 64


def spec_and_data(recipe):
    tables = {"name": "published", "model": {"recipe": recipe}, "data": {"name": "rooms"}, "train": {"steps": 1}}
    return spec_from_tables(tables), DataInfo(shape=DataShape.image(3, side(recipe), side(recipe)), train_size=100)


@cache
def built(recipe) -> System:
    """On the meta device: nothing is allocated or drawn."""
    with torch.device("meta"):
        return build_system(*spec_and_data(recipe))


def pieces(recipe):
    """How many pieces z enters in, as the recipe's name says."""
    n = recipe.split("-")[1]
    return 16 if n == "RFD" else int(n)


def blocks_of(module) -> nn.Module:
    return module.blocks if hasattr(module, "blocks") else module.cascade.blocks


def sides(blocks, run, before):
    """Sides of the square maps that enter the blocks, or leave them, while `run` runs."""
    seen = []
    hooks = [
        block.register_forward_hook(lambda module, inputs, output: seen.append(inputs[0] if before else output))
        for block in blocks
    ]
    run()
    for hook in hooks:
        hook.remove()
    assert all(features.shape[2] == features.shape[3] for features in seen)
    return [features.shape[2] for features in seen]


@pytest.mark.parametrize(("recipe", "count"), COUNTS.items())
def test_published_count(recipe, count):
    parameters = check(*spec_and_data(recipe)).parameters
    assert parameters["total"] == parameters["trainable"] == count
    assert (parameters["adversaries"] > 0) == (recipe == "FactorVAE")


@pytest.mark.parametrize("recipe", NETWORKS)
def test_halvings_and_sizes_of_the_encoder(recipe):
    encoder = built(recipe).model.encoder
    depth = 13 if recipe == "VLAE-4-as-published" else 16 if side(recipe) == 128 else 12
    how = "stride" if recipe.endswith("RFD") else "pool"
    found = [(number, block.downsample) for number, block in enumerate(encoder.blocks, 1) if block.downsample]
    assert found == [(number, how) for number in HALVINGS[depth]]
    assert not any(block.upsample for block in encoder.blocks)
    x = torch.zeros(2, 3, side(recipe), side(recipe), device="meta")
    assert sides(encoder.blocks, lambda: encoder(x), before=False) == SHRINKING[depth]
    assert [block.conv.kernel_size[0] for block in encoder.blocks] == [5] + [3] * (depth - 1)
    assert {block.norm.num_groups for block in encoder.blocks} == {8}


@pytest.mark.parametrize("recipe", NETWORKS)
def test_upsamplings_and_sizes_of_the_decoder(recipe):
    model = built(recipe).model
    blocks = blocks_of(model.decoder)
    depth = 16 if side(recipe) == 128 else 12
    how = "transposed" if recipe.endswith("RFD") else "bilinear"
    found = [(number, block.upsample) for number, block in enumerate(blocks, 1) if block.upsample]
    assert found == [(number, how) for number in UPSAMPLINGS[depth]]
    z = torch.zeros(2, model.decoder.layout.latent_dim, device="meta")
    assert sides(blocks, lambda: model.decoder(z), before=True) == GROWING[depth]
    assert not hasattr(blocks[-1], "norm")
    assert {block.norm.num_groups for block in blocks[:-1]} == {8}


@pytest.mark.parametrize("recipe", [name for name in NETWORKS if name.startswith(("SAE", "AdaAE"))])
def test_positions_of_str_tfm_layers(recipe):
    n = pieces(recipe)
    decoder = built(recipe).model.decoder
    D = decoder.layout.latent_dim
    assert decoder.cascade.positions == BEFORE[n]
    assert len(decoder.cascade.str_tfm.weights[0]) == n
    assert decoder.layout.sizes == ([1] * D if recipe.startswith("AdaAE") else [D // n] * n)
    assert decoder.cascade.str_tfm.weights[0].shape[1] == (D if recipe.startswith("AdaAE") else D // n)


@pytest.mark.parametrize("recipe", [name for name in NETWORKS if name.startswith("VLAE")])
def test_positions_of_rungs(recipe):
    n = pieces(recipe)
    model = built(recipe).model
    width = {"16": 128, "RFD": 256}.get(recipe.split("-")[1], 64)
    assert model.decoder.positions == BEFORE[n]
    assert model.encoder.positions == ((4, 7, 10, 13) if recipe == "VLAE-4-as-published" else AFTER[n])
    assert model.decoder.layout.sizes == [model.decoder.layout.latent_dim // n] * n
    assert model.decoder.root.shape == (width - width // 4, 2, 2)
    narrowed = [number + 1 in BEFORE[n] for number in range(1, len(model.decoder.blocks))]
    found = [block.conv.out_channels for block in model.decoder.blocks[:-1]]
    assert found == [width - width // 4 if narrow else width for narrow in narrowed]
    assert {block.conv.in_channels for block in model.decoder.blocks} == {width}


@pytest.mark.parametrize("recipe", [name for name in NETWORKS if "RFD" in name])
def test_the_robot_finger_has_elu_and_a_variable_a_dimension(recipe):
    model = built(recipe).model
    assert {module for module in map(type, model.modules()) if module in NONLINEARITIES.values()} == {nn.ELU}
    assert model.decoder.layout.sizes == [1] * 16


@pytest.mark.parametrize(
    ("recipe", "message"),
    [
        ("SAE-5", "12 latent dimensions do not split into 5 equal variables: use 1, 2, 3, 4, 6 or 12"),
        ("VLAE-5", "12 latent dimensions do not split into 5 equal variables: use 1, 2, 3, 4, 6 or 12"),
        ("AdaAE-5", "5 Str-Tfm layers do not spread evenly over 12 blocks: use one of 1, 2, 3, 4, 6, 12 layers"),
    ],
)
def test_a_number_that_does_not_divide_is_one_clear_error(recipe, message):
    with torch.device("meta"), pytest.raises(SpecError) as caught:
        build_system(*spec_and_data(recipe))
    (problem,) = caught.value.problems
    assert problem.path == "model.decoder"
    assert problem.message.startswith(message)
    assert [found.message for found in check(*spec_and_data(recipe)).problems] == [problem.message]
