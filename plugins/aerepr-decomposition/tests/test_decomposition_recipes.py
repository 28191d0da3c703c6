"""The published networks, the recipes row by row, and the catalogue of the package."""

from __future__ import annotations

import json
import math
import tomllib
from collections.abc import Iterator
from importlib.metadata import distribution
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from aerepr_decomposition.decoders.dcgan import DCGANDecoder, DCGANDecoderSpec
from aerepr_decomposition.decoders.deconv_fc import DeconvFC, DeconvFCSpec
from aerepr_decomposition.encoders.conv_fc import ConvFC, ConvFCSpec
from aerepr_decomposition.encoders.dcgan import DCGANEncoder, DCGANEncoderSpec
from torch import nn

import aerepr
from aerepr.errors import ShapeError
from aerepr.kinds.dataset import DataInfo
from aerepr.kinds.layout import LatentLayout
from aerepr.kinds.part import BuildContext
from aerepr.kinds.shape import DataShape
from aerepr.model.build import build_system
from aerepr.model.check import check
from aerepr.registry.registry import Registry
from aerepr.spec.read import spec_from_tables
from aerepr.spec.run import RunSpec
from aerepr.workflows.train import train

FOLDER = Path(__file__).parents[1]
DSPRITES = DataInfo(DataShape.image(1, 64, 64), train_size=737_280)
FASHION = DataInfo(DataShape.image(1, 32, 32), train_size=60_000)
PINWHEEL = DataInfo(DataShape.vector(2), train_size=400)
RECIPES = [
    recipe["name"] for recipe in tomllib.loads((FOLDER / "registry.toml").read_text(encoding="utf-8"))["recipes"]
]


@pytest.fixture(autouse=True)
def _own_generator() -> Iterator[None]:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        yield


def context(info: DataInfo, latent_dim: int, P: int = 1) -> BuildContext:
    return BuildContext(info, latent_dim, Registry().load, K=2, P=P, _layout=LatentLayout.unstructured(latent_dim))


def count(module: nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


def info_of(name: str) -> DataInfo:
    return FASHION if "fashion" in name else PINWHEEL if "pinwheel" in name else DSPRITES


def recipe(name: str) -> RunSpec:
    return spec_from_tables({"model": {"recipe": name}, "data": {"name": "sprites"}})


# Networks.


def test_networks_have_the_published_numbers_of_parameters() -> None:
    found = {
        "dsprites": [
            count(ConvFC(ConvFCSpec(name="conv_fc"), context(DSPRITES, 10))),
            count(DeconvFC(DeconvFCSpec(name="deconv_fc"), context(DSPRITES, 10))),
        ],
        "fashion": [
            count(DCGANEncoder(DCGANEncoderSpec(name="dcgan"), context(FASHION, 50))),
            count(DCGANDecoder(DCGANDecoderSpec(name="dcgan"), context(FASHION, 50))),
        ],
    }
    assert found == {"dsprites": [249_172, 298_017], "fashion": [369_636, 267_200]}


def test_the_pinwheel_s_networks_are_the_core_s() -> None:
    model = build_system(recipe("DD-pinwheel-beta"), PINWHEEL).model
    # Linear 2 to 100 and, for mean and deviation together, 100 to 4, both ways.
    assert count(model.encoder) == count(model.decoder) == 2 * 100 + 100 + 100 * 4 + 4


def test_between_the_linear_layers_of_conv_fc_is_nothing() -> None:
    network = ConvFC(ConvFCSpec(name="conv_fc"), context(DSPRITES, 10)).network
    assert [type(layer) for layer in list(network)[-3:]] == [nn.Flatten, nn.Linear, nn.Linear]


def test_first_weights_of_dcgan_are_normals_of_deviation_two_hundredths() -> None:
    ctx = context(FASHION, 50)
    for network in (
        DCGANEncoder(DCGANEncoderSpec(name="dcgan"), ctx).network,
        DCGANDecoder(DCGANDecoderSpec(name="dcgan"), ctx).network,
    ):
        weights = [layer.weight.detach() for layer in network if isinstance(layer, nn.Conv2d | nn.ConvTranspose2d)]
        assert len(weights) == 4
        for weight in weights:
            assert float(weight.std()) == pytest.approx(0.02, rel=0.1)


def test_batch_statistics_are_kept_and_used_once_it_no_longer_trains() -> None:
    encoder = DCGANEncoder(DCGANEncoderSpec(name="dcgan", width=4), context(FASHION, 5))
    x = torch.rand(16, 1, 32, 32)
    alone, among = encoder(x[:2]), encoder(x)[:2]
    assert not torch.allclose(alone, among, atol=1e-4), "in training the batch has a say"
    encoder.eval()
    torch.testing.assert_close(encoder(x[:2]), encoder(x)[:2])
    assert {"network.3.running_mean", "network.6.running_var"} <= set(encoder.state_dict())


@pytest.mark.parametrize(
    ("shape", "latent_dim"),
    [(DataShape.image(3, 16, 48), 4), (DataShape.image(1, 32, 32), 7), (DataShape.image(2, 64, 64), 5)],
)
def test_networks_take_other_sizes(shape: DataShape, latent_dim: int) -> None:
    ctx = context(DataInfo(shape, train_size=60), latent_dim, P=2)
    x, z_BD = torch.rand(2, *shape.sizes), torch.randn(2, latent_dim)
    channels, *sides = shape.sizes
    for encoder in (
        ConvFC(ConvFCSpec(name="conv_fc", width=2), ctx),
        DCGANEncoder(DCGANEncoderSpec(name="dcgan", width=2), ctx),
    ):
        assert encoder(x).shape == (2, latent_dim, 2)
    for decoder in (
        DeconvFC(DeconvFCSpec(name="deconv_fc", width=2), ctx),
        DCGANDecoder(DCGANDecoderSpec(name="dcgan", width=2), ctx),
    ):
        assert decoder(z_BD).shape == (2, 2 * channels, *sides)


@pytest.mark.parametrize(
    ("shape", "text"),
    [(DataShape.vector(5), 'needs images.*"mlp"'), (DataShape.image(1, 28, 28), 'that (8|16) divides.*"conv"')],
)
def test_networks_refuse_what_their_halvings_do_not_fit(shape: DataShape, text: str) -> None:
    ctx = context(DataInfo(shape, train_size=60), 4)
    for make in (
        lambda: ConvFC(ConvFCSpec(name="conv_fc"), ctx),
        lambda: DCGANEncoder(DCGANEncoderSpec(name="dcgan"), ctx),
        lambda: DeconvFC(DeconvFCSpec(name="deconv_fc"), ctx),
        lambda: DCGANDecoder(DCGANDecoderSpec(name="dcgan"), ctx),
    ):
        with pytest.raises(ShapeError, match=text):
            make()


# Recipes.


@pytest.mark.parametrize("name", RECIPES)
def test_recipes_pass_check_on_the_data_they_are_for(name: str) -> None:
    assert check(recipe(name), info_of(name)).problems == []


def test_every_row_of_the_settings_has_its_recipe() -> None:
    rows = {}
    for name in RECIPES:
        spec = recipe(name)
        weights = {item.name: item.weight for item in spec.model.regularizers}
        alpha = weights.get("aggregate_inclusive_kl", 0.0) + weights.get("mmd_dimwise", 0.0)
        prior = spec.model.prior
        detail = next((getattr(prior, key) for key in ("df", "gamma", "learned") if hasattr(prior, key)), None)
        size, lr = spec.train.batch_size, spec.train.optimizer.lr
        rows[name] = (
            spec.model.latent_dim,
            alpha,
            weights.get("kl", 0.0),
            prior.name,
            detail,
            spec.train.steps,
            size,
            lr,
        )
        assert spec.train.schedules == spec.train.phases == []
        assert spec.train.optimizer.amsgrad
        assert spec.train.optimizer.betas == (0.9, 0.999)
    pca, sparse, pinwheel = "anisotropic_gaussian", "sparse_mixture", ("gaussian_mixture", False, 500, 400, 1e-3)
    assert rows == {
        "DD-isotropic": (10, 0, 1, "standard_normal", None, 230_400, 64, 5e-4),
        "DD-pca": (10, 0, 1, pca, False, 230_400, 64, 5e-4),
        "DD-pca-learned": (10, 0, 1, pca, True, 230_400, 64, 5e-4),
        "DD-student-t": (10, 0, 1, "student_t", 9.0, 230_400, 64, 5e-4),
        "DD-pinwheel-beta": (2, 0, 1, *pinwheel),
        "DD-pinwheel-alpha": (2, 1, 0, *pinwheel),
        "DD-fashion-dense": (50, 0, 1, sparse, 0.0, 9_600, 500, 5e-4),
        "DD-fashion-dense-alpha": (50, 100, 1, sparse, 0.0, 9_600, 500, 5e-4),
        "DD-fashion-sparse": (50, 0, 1, sparse, 0.8, 9_600, 500, 5e-4),
        "DD-fashion-sparse-alpha": (50, 100, 1, sparse, 0.8, 9_600, 500, 5e-4),
    }


def test_likelihoods_and_priors_have_the_published_numbers() -> None:
    for name in RECIPES:
        likelihood, prior = recipe(name).model.likelihood, recipe(name).model.prior
        if "fashion" in name:
            assert (likelihood.name, likelihood.scale, likelihood.squash) == ("laplace", 0.1, False)
            assert prior.spike == 0.05
        elif "pinwheel" in name:
            assert (likelihood.name, likelihood.learned) == ("gaussian", "per_value")
            assert prior.variance == 0.03
        else:
            assert likelihood.name == "bernoulli"


@pytest.mark.parametrize(
    "name", [pytest.param("DD-fashion-dense-alpha", marks=pytest.mark.full), "DD-fashion-sparse-alpha"]
)
def test_a_fashion_recipe_trains_on_real_images(name: str, real_data: Path, tmp_path: Path) -> None:
    folder = real_data / "fashion_mnist"
    narrow = {"encoder": {"width": 4}, "decoder": {"width": 4}}
    data = {"name": "idx", "images": str(folder / "sprite600-images-idx3-ubyte.gz"), "size": 32, "gallery": 4}
    run = {"steps": 2, "batch_size": 100, "device": "cpu", "log_every": 1, "validate_every": 2, "checkpoint_every": 2}
    spec = spec_from_tables({"model": {"recipe": name, **narrow}, "data": data, "train": run})
    path = train(spec, run=tmp_path / "run")
    lines = [json.loads(line) for line in (path / "metrics.jsonl").read_text(encoding="utf-8").splitlines()]
    steps = [line for line in lines if "loss/mmd_dimwise" in line]
    assert len(steps) >= 2
    for line in steps:
        assert all(math.isfinite(value) for value in line.values() if isinstance(value, float))
    # gamma = 0 is a normal, with a KL in closed form.
    assert ("loss/kl" in steps[0], "loss/kl_mc" in steps[0]) == ("dense" in name, "dense" not in name)


@pytest.mark.parametrize(
    ("name", "scale", "floor"),
    [
        ("DD-isotropic", "half_exp", 1e-6),
        ("DD-pinwheel-beta", "softplus", 1e-6),
        ("DD-fashion-dense", "softplus", 1e-6),
    ],
)
def test_posteriors_have_the_published_deviation(name: str, scale: str, floor: float) -> None:
    posterior = build_system(recipe(name), info_of(name)).model.posterior
    assert (posterior.scale, posterior.floor) == (scale, floor)


@pytest.mark.parametrize(
    "prior",
    [
        {"name": "student_t"},
        {"name": "sparse_mixture"},
        {"name": "anisotropic_gaussian"},
        {"name": "gaussian_mixture", "means": [[0.0] * 12]},
    ],
    ids=lambda prior: prior["name"],
)
@pytest.mark.parametrize("base", ["VLAE-4", "VAE", "beta-TCVAE", "WAE"])
def test_any_base_model_takes_any_of_the_priors(base: str, prior: dict[str, Any]) -> None:
    tables = {"model": {"recipe": base, "prior": prior}, "data": {"name": "rooms"}, "train": {"steps": 1}}
    spec = spec_from_tables(tables)
    found = {
        problem.path: problem.message
        for problem in check(spec, DataInfo(DataShape.image(3, 32, 32), train_size=60)).problems
    }
    if base == "beta-TCVAE" and prior["name"] == "gaussian_mixture":
        # Its terms speak of single dimensions, which the clusters tie together.
        assert set(found.values()) == {"looks at single dimensions, and posterior or prior is not factorised"}
    else:
        assert found == {}


@pytest.mark.parametrize(
    "prior",
    [
        {"name": "student_t"},
        pytest.param({"name": "sparse_mixture"}, marks=pytest.mark.full),
        pytest.param({"name": "anisotropic_gaussian", "spectrum": "equal", "learned": True}, marks=pytest.mark.full),
        pytest.param(
            {"name": "gaussian_mixture", "means": [[-1.0] * 12, [1.0] * 12], "learned": True}, marks=pytest.mark.full
        ),
    ],
    ids=lambda prior: prior["name"],
)
def test_a_ladder_trains_with_any_of_the_priors(prior: dict[str, Any], tmp_path: Path) -> None:
    narrow = {"encoder": {"width": 8}, "decoder": {"width": 8}}
    few = {"floor_hue": [0], "scale": [7], "orientation": [7]}
    tables = {
        "model": {"recipe": "VLAE-4", "prior": prior, **narrow},
        "data": {"name": "rooms", "size": 16, "gallery": 4, "subset": few},
        "train": {"steps": 2, "batch_size": 8, "device": "cpu"}
        | {"log_every": 1, "validate_every": 2, "checkpoint_every": 2},
    }
    run = aerepr.load(train(spec_from_tables(tables), run=tmp_path / "run"))
    lines = [json.loads(line) for line in (run.path / "metrics.jsonl").read_text(encoding="utf-8").splitlines()]
    key = "loss/kl" if prior["name"] == "anisotropic_gaussian" else "loss/kl_mc"
    assert len([line for line in lines if key in line]) >= 2
    assert all(math.isfinite(value) for line in lines for value in line.values() if isinstance(value, float))
    # What the prior learns starts at nothing.
    learned = list(run.view.model.prior.parameters())
    assert len(learned) == prior.get("learned", False)
    for parameter in learned:
        assert parameter.abs().max() > 0
    assert [variable.stop - variable.start for variable in run.layout] == [3, 3, 3, 3]
    assert np.isfinite(run.sample(3, sampler="prior")).all()


# The package.


def test_catalogues_list_what_the_entry_points_announce() -> None:
    catalogue = tomllib.loads((FOLDER / "registry.toml").read_text(encoding="utf-8"))
    listed = {(item["kind"], item["name"]) for item in catalogue["components"]}
    announced = {
        (point.group.removeprefix("aerepr.").removesuffix("s"), point.name)
        for point in distribution("aerepr-decomposition").entry_points
        if point.group != "aerepr.recipes"
    }
    assert listed == announced
    core = tomllib.loads((FOLDER.parents[1] / "registry.toml").read_text(encoding="utf-8"))
    (block,) = [item for item in core["plugins"] if item["package"] == "aerepr-decomposition"]
    assert {(kind, name) for kind, names in block["components"].items() for name in names} == announced


def test_every_setting_that_is_nowhere_stated_is_marked() -> None:
    text = (FOLDER / "registry.toml").read_text(encoding="utf-8")
    for name in RECIPES:
        own = text.partition(f'[[recipes]]\nname = "{name}"')[2].partition("\n[[recipes]]")[0]
        open_ = {
            "dsprites": ["weight = 1.0", 'name = "prior"'],
            "pinwheel": ["floor = 1e-6"],
            "fashion": ["floor = 1e-6"],
        }
        sort = next((sort for sort in open_ if sort in name), "dsprites")
        for key in open_[sort]:
            # The last of its kind: the pinwheel's posterior has a floor that is stated.
            line = [line for line in own.splitlines() if line.startswith(key)][-1]
            assert "unstated" in line, f"{name}: {line}"
