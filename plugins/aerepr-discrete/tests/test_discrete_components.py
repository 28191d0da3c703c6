"""The arithmetic of the discrete components against values known without it, the published networks, and bad input.

Shape letters: B batch, D latent dimensions, K positions.
"""

from __future__ import annotations

import math
import tomllib
from collections.abc import Iterator
from importlib.metadata import distribution
from pathlib import Path
from typing import Any

import pytest
import torch
from aerepr_discrete.decoders.deconv4 import Deconv4, Deconv4Spec
from aerepr_discrete.encoders.conv4 import Conv4, Conv4Spec
from aerepr_discrete.ordered import OrderedCategorical, grid
from aerepr_discrete.posteriors.ordered_categorical import OrderedCategoricalPosterior, OrderedCategoricalSpec
from aerepr_discrete.priors.uniform_categorical import UniformCategorical, UniformCategoricalSpec
from aerepr_discrete.regularizers.tc_discriminator import TCDiscriminator, TCDiscriminatorSpec
from pydantic import ValidationError
from torch import Tensor, nn
from torch.distributions.kl import kl_divergence
from torch.testing import assert_close

from aerepr.errors import ShapeError, SpecError
from aerepr.kinds.batch import Batch
from aerepr.kinds.dataset import DataInfo
from aerepr.kinds.distributions import has_closed_form, is_comparable, is_factorised
from aerepr.kinds.layout import LatentLayout
from aerepr.kinds.part import BuildContext
from aerepr.kinds.shape import DataShape
from aerepr.kinds.step import Step
from aerepr.layers.noise import StepNoise
from aerepr.model.build import build_system
from aerepr.registry.registry import Registry
from aerepr.spec.base import is_schedulable
from aerepr.spec.read import spec_from_tables
from aerepr.spec.run import RunSpec
from aerepr.training.schedules import value_at

FOLDER = Path(__file__).parents[1]
SHAPE = DataShape.image(3, 64, 64)


@pytest.fixture(autouse=True)
def _own_generator() -> Iterator[None]:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        yield


def context(latent_dim: int = 4, K: int = 8, shape: DataShape = SHAPE) -> BuildContext:
    layout = LatentLayout.unstructured(latent_dim)
    return BuildContext(DataInfo(shape, train_size=60), latent_dim, Registry().load, K=K, P=1, _layout=layout)


def posterior(categories: int = 8, scale: float = 1.0) -> OrderedCategoricalPosterior:
    spec = OrderedCategoricalSpec(name="ordered_categorical", categories=categories, noise_scale=scale)
    return OrderedCategoricalPosterior(spec, context())


def prior(categories: int = 8) -> UniformCategorical:
    return UniformCategorical(UniformCategoricalSpec(name="uniform_categorical"), context(K=categories))


def discriminator(latent_dim: int = 4, **settings: Any) -> TCDiscriminator:
    return TCDiscriminator(TCDiscriminatorSpec(name="tc_discriminator", **settings), context(latent_dim))


def count(module: nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


def recipe(name: str, **train: Any) -> RunSpec:
    return spec_from_tables({"name": "r", "model": {"recipe": name}, "data": {"name": "sprites"}, "train": train})


# Positions, mass and rate.


@pytest.mark.parametrize("categories", [2, 3, 8, 64])
def test_the_grid_ends_at_exactly_one(categories: int) -> None:
    positions_K = grid(categories)
    assert (float(positions_K[0]), float(positions_K[-1])) == (-1.0, 1.0)
    assert_close(positions_K.diff(), torch.full((categories - 1,), 2 / (categories - 1)))


@pytest.mark.parametrize(("scale", "nats"), [(0.0, 0.0), (1e4, math.log(8))])
def test_the_rate_of_equal_logits_is_nothing_and_of_one_position_log_k(scale: float, nats: float) -> None:
    logits_BDK = scale * nn.functional.one_hot(torch.randint(8, (5, 4)), 8)
    assert_close(kl_divergence(posterior()(logits_BDK), prior()()), torch.full((5,), 4 * nats))


def test_the_rate_is_the_published_sum_without_noise_at_any_scale() -> None:
    logits_BDK = torch.randn(5, 4, 8)
    mass_BDK = logits_BDK.softmax(dim=-1)
    expected_B = (mass_BDK * (mass_BDK.log() + math.log(8))).sum(dim=(1, 2))
    for scale in (0.0, 2.0):
        assert_close(kl_divergence(posterior(scale=scale)(logits_BDK), prior()()), expected_B)


def test_the_pair_is_factorised_with_a_closed_form() -> None:
    q, p = posterior()(torch.randn(5, 4, 8)), prior()()
    assert is_factorised(q)
    assert is_factorised(p)
    assert has_closed_form(q, p)
    assert (q.batch_shape, q.event_shape, p.event_shape) == ((5,), (4,), (4,))
    normal = torch.distributions.Independent(torch.distributions.Normal(torch.zeros(4), torch.ones(4)), 1)
    assert not is_comparable(q, normal)


def test_half_precision_logits_keep_the_rate() -> None:
    logits_BDK = (4 * torch.randn(5, 4, 64)).to(torch.bfloat16)
    exact_B = kl_divergence(posterior(64)(logits_BDK.double()), prior(64)())
    assert_close(
        kl_divergence(posterior(64)(logits_BDK), prior(64)()), exact_B, rtol=1e-5, atol=1e-5, check_dtype=False
    )


def test_moments_and_mass_are_those_of_the_positions() -> None:
    even = OrderedCategorical(torch.zeros(8), grid(8))
    assert_close(even.mean, torch.tensor(0.0))
    assert_close(even.variance, grid(8).var(correction=0))
    any_one = OrderedCategorical(torch.randn(5, 4, 8), grid(8))
    assert_close(torch.stack([any_one.log_prob(e).exp() for e in grid(8)]).sum(dim=0), torch.ones(5, 4))


def test_permuted_categories_change_the_code_and_not_the_rate() -> None:
    logits_BDK, order = torch.randn(5, 4, 8), torch.tensor([3, 0, 7, 1, 6, 2, 5, 4])
    permuted_BDK = logits_BDK.clone()
    permuted_BDK[:, 2] = permuted_BDK[:, 2, order]
    before, after = (kl_divergence(posterior()(logits), prior()()) for logits in (logits_BDK, permuted_BDK))
    assert_close(before, after)
    noise = torch.rand(5, 4, 8)
    z_BD, moved_BD = (posterior().draw(logits, noise, "represent") for logits in (logits_BDK, permuted_BDK))
    assert (z_BD != moved_BD).any(dim=0).tolist() == [False, False, True, False]


# Codes.


def test_a_sample_is_the_gumbel_softmax_of_the_published_formula() -> None:
    logits_BDK, noise = torch.randn(5, 4, 8), torch.rand(5, 4, 8)
    gumbel = -torch.log(-torch.log(noise))
    expected_BD = torch.softmax(logits_BDK + 0.7 * gumbel, dim=-1) @ grid(8)
    assert_close(posterior(scale=0.7).draw(logits_BDK, noise, "sample"), expected_BD)


def test_sure_logits_are_soft_and_hard_alike() -> None:
    noise, sure_BDK = torch.rand(5, 4, 8), 1000 * torch.randn(5, 4, 8)
    found = [posterior(scale=0.0).draw(sure_BDK, noise, mode) for mode in ("sample", "soft", "hard", "represent")]
    for other in found[1:]:
        assert_close(found[0], other)


def test_the_representation_is_the_mean_position_not_the_likeliest() -> None:
    logits_BDK, noise = torch.randn(5, 4, 8), torch.rand(5, 4, 8)
    assert_close(posterior().draw(logits_BDK, noise, "represent"), logits_BDK.softmax(dim=-1) @ grid(8))


def test_hard_codes_are_exact_grid_points_with_the_gradient_of_the_mean() -> None:
    logits_BDK, noise = torch.randn(5, 4, 64, requires_grad=True), torch.rand(5, 4, 64)
    hard_BD = posterior(64).draw(logits_BDK, noise, "hard")
    assert torch.equal(hard_BD, grid(64)[logits_BDK.argmax(dim=-1)])
    (of_hard,) = torch.autograd.grad(hard_BD.sum(), logits_BDK)
    (of_soft,) = torch.autograd.grad(posterior(64).draw(logits_BDK, noise, "soft").sum(), logits_BDK)
    assert_close(of_hard, of_soft)


def test_prior_samples_are_exact_grid_points_each_as_often() -> None:
    z_BD = prior(4).from_noise(torch.tensor([[2.0**-24, 0.3, 0.6, 1 - 2.0**-24]]))
    assert torch.equal(z_BD, grid(4).unsqueeze(0))


def test_positions_and_noise_scale_do_not_learn_and_the_scale_is_scheduled() -> None:
    assert count(posterior()) == count(prior()) == 0
    assert is_schedulable(OrderedCategoricalSpec, "noise_scale")
    assert not is_schedulable(OrderedCategoricalSpec, "categories")
    part, noise, logits_BDK = posterior(scale=0.5), torch.rand(5, 4, 8), torch.randn(5, 4, 8)
    before = part.draw(logits_BDK, noise, "sample")
    part.noise_scale.fill_(2.0)
    assert not torch.equal(before, part.draw(logits_BDK, noise, "sample"))


# Networks and the adversary.


def test_networks_have_the_published_numbers_of_parameters() -> None:
    found = {
        "grid": count(Conv4(Conv4Spec(name="conv4"), context(10, K=64))),
        "normal": count(Conv4(Conv4Spec(name="conv4"), context(10, K=2))),
        "decoder": count(Deconv4(Deconv4Spec(name="deconv4"), context(10))),
        "discriminator": count(discriminator(10)),
    }
    assert found == {"grid": 469_568, "normal": 310_228, "decoder": 382_339, "discriminator": 5_018_002}


def test_first_weights_are_cut_normals_of_the_inputs_and_no_bias() -> None:
    network = Conv4(Conv4Spec(name="conv4"), context(10, K=64)).network
    hidden, first = network[9], network[2]
    assert isinstance(hidden, nn.Linear)
    assert isinstance(first, nn.Conv2d)
    for layer, inputs in ((hidden, 1024), (first, 32 * 16)):
        deviation = 1 / math.sqrt(inputs)
        assert float(layer.weight.detach().abs().max()) <= 2 * deviation
        # A normal cut at two deviations has 0.880 of its deviation.
        assert float(layer.weight.detach().std()) == pytest.approx(0.880 * deviation, rel=0.02)
        assert not layer.bias.detach().any()


def test_the_adversary_permutes_its_own_batch_and_leaves_the_codes_alone() -> None:
    part, rows = discriminator(width=16, depth=2), torch.arange(64)
    z_BD = torch.randn(64, 1).repeat(1, 4).requires_grad_()
    number = torch.tensor(0)
    batch = Batch(torch.zeros(64, 1), rows)
    step = Step(batch, StepNoise(0, number, rows), number, dataset_size=64, z_BD=z_BD)
    seen: list[Tensor] = []
    part.discriminator.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    part.adversary_loss(step).backward()
    assert z_BD.grad is None
    joint_BD, product_BD = seen
    assert torch.equal(joint_BD, z_BD)
    assert torch.equal(product_BD.sort(dim=0).values, z_BD.sort(dim=0).values)
    assert all(not torch.equal(product_BD[:, 0], product_BD[:, d]) for d in (1, 2, 3))
    part(step).backward()
    assert z_BD.grad is not None


def bare_step(z_BD: Tensor, number: int = 0) -> Step:
    """A step of these codes."""
    rows, at = torch.arange(len(z_BD)), torch.tensor(number)
    return Step(Batch(torch.zeros(len(z_BD), 1), rows), StepNoise(0, at, rows), at, dataset_size=len(z_BD), z_BD=z_BD)


def test_the_term_is_the_difference_of_the_two_logits_and_its_loss_half_the_cross_entropy_of_each_class() -> None:
    part = discriminator(width=4, depth=1)
    last = part.discriminator[-1]
    assert isinstance(last, nn.Linear)
    with torch.no_grad():
        last.weight.zero_()
        last.bias.copy_(torch.tensor([1.5, 0.25]))
    step = bare_step(torch.randn(6, 4))
    assert_close(part(step), torch.tensor(1.25))
    # -log softmax of (1.5, 0.25): log(1 + e^-1.25) for the codes, class 0; log(1 + e^1.25) for the permuted, class 1.
    expected = 0.5 * (math.log1p(math.exp(-1.25)) + math.log1p(math.exp(1.25)))
    assert_close(part.adversary_loss(step), torch.tensor(expected))


def test_the_loss_gives_class_0_to_the_codes_and_class_1_to_the_permuted() -> None:
    part, seen = discriminator(width=8, depth=1), list[Tensor]()
    part.discriminator.register_forward_hook(lambda _, inputs, logits: seen.append(logits.detach()))
    loss = part.adversary_loss(bare_step(torch.randn(64, 1).repeat(1, 4)))
    joint_B2, product_B2 = seen
    expected = -0.5 * (joint_B2.log_softmax(-1)[:, 0].mean() + product_B2.log_softmax(-1)[:, 1].mean())
    other = -0.5 * (joint_B2.log_softmax(-1)[:, 1].mean() + product_B2.log_softmax(-1)[:, 0].mean())
    assert float((expected - other).abs()) > 1e-3
    assert_close(loss.detach(), expected)


def test_the_slope_of_the_discriminator_is_a_hundredth() -> None:
    leaky = [layer for layer in discriminator(10).discriminator if isinstance(layer, nn.LeakyReLU)]
    assert [float(layer(torch.tensor(-1.0))) for layer in leaky] == [pytest.approx(-0.01)] * 6


def test_networks_refuse_what_four_halvings_do_not_fit() -> None:
    for shape, text in ((DataShape.vector(5), "needs images"), (DataShape.image(1, 24, 64), "that 16 divides")):
        with pytest.raises(ShapeError, match=text):
            Conv4(Conv4Spec(name="conv4"), context(shape=shape))
        with pytest.raises(ShapeError, match=text):
            Deconv4(Deconv4Spec(name="deconv4"), context(shape=shape))


# Bad input.


@pytest.mark.parametrize("categories", [1, 0])
def test_fewer_than_two_positions_are_refused(categories: int) -> None:
    with pytest.raises(ValidationError, match="greater than or equal to 2"):
        OrderedCategoricalSpec(name="ordered_categorical", categories=categories)
    tables = {
        "name": "r",
        "model": {"recipe": "D-VAE", "posterior": {"categories": categories}},
        "data": {"name": "sprites"},
    }
    with pytest.raises(SpecError, match=r"model\.posterior\.categories.*greater than or equal to 2"):
        spec_from_tables(tables)


def test_a_uniform_prior_needs_a_posterior_with_positions() -> None:
    with pytest.raises(ShapeError, match='found a posterior with 1 number a dimension.*"ordered_categorical"'):
        prior(1)


# Recipes.


@pytest.mark.parametrize("name", ["D-VAE", "FactorDVAE"])
def test_a_twin_differs_in_the_latent_alone(name: str) -> None:
    ours, twin = recipe(name), recipe(f"{name}-gaussian")
    assert (ours.model.posterior.name, ours.model.prior.name) == ("ordered_categorical", "uniform_categorical")
    assert (twin.model.posterior.name, twin.model.prior.name) == ("gaussian", "standard_normal")
    for part in ("latent_dim", "encoder", "decoder", "likelihood", "regularizers"):
        assert getattr(ours.model, part) == getattr(twin.model, part)
    assert ours.train.optimizer == twin.train.optimizer
    assert [item.name for item in ours.model.regularizers] == ["kl", "tc_discriminator"][: len(ours.model.regularizers)]
    info = DataInfo(SHAPE, train_size=60)
    with torch.device("meta"):
        sizes = [count(build_system(spec, info).model.encoder) for spec in (ours, twin)]
    assert sizes == [469_568, 310_228]


def test_the_noise_scale_rises_on_a_half_cosine_over_the_whole_run() -> None:
    (schedule,) = recipe("D-VAE").train.schedules
    assert recipe("D-VAE").train.total_steps == 300_000
    assert recipe("D-VAE", steps=100).train.total_steps == 100
    for step in (0, 25, 39, 100):
        assert value_at(schedule, step, 100) == pytest.approx(1.25 - 0.75 * math.cos(math.pi * step / 100))
    assert (value_at(schedule, 0, 100), value_at(schedule, 100, 100)) == (0.5, 2.0)


def test_the_discriminator_is_trained_as_published() -> None:
    (_, item) = recipe("FactorDVAE").model.regularizers
    assert item.optimizer is not None
    assert (item.optimizer.name, item.optimizer.lr, item.optimizer.betas) == ("adam", 1e-4, (0.5, 0.9))


# The package.


def test_catalogues_list_what_the_entry_points_announce() -> None:
    catalogue = tomllib.loads((FOLDER / "registry.toml").read_text(encoding="utf-8"))
    listed = {(item["kind"], item["name"]) for item in catalogue["components"]}
    announced = {
        (point.group.removeprefix("aerepr.").removesuffix("s"), point.name)
        for point in distribution("aerepr-discrete").entry_points
        if point.group != "aerepr.recipes"
    }
    assert listed == announced
    core = tomllib.loads((FOLDER.parents[1] / "registry.toml").read_text(encoding="utf-8"))
    (block,) = [item for item in core["plugins"] if item["package"] == "aerepr-discrete"]
    assert {(kind, name) for kind, names in block["components"].items() for name in names} == announced


def test_every_statement_of_the_code_that_is_missing_is_marked() -> None:
    lines = (FOLDER / "registry.toml").read_text(encoding="utf-8").splitlines()
    for key in ("weight = 30.0", "lr = 1e-4", 'name = "prior"'):
        places = [line for line in lines if line.startswith(key)]
        assert places
        assert all("# unstated" in line for line in places)
    trained = [line for line, after in zip(lines, lines[1:], strict=False) if after == "[recipes.train]"]
    assert len(trained) == 4
    assert all(line.startswith("# differs") for line in trained)
