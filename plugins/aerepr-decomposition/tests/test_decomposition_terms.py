"""The terms against sums written out, what the paper's theory says of them, and bad input.

Shape letters: B batch, D latent dimensions.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import torch
from aerepr_decomposition.priors.anisotropic_gaussian import AnisotropicGaussian, AnisotropicGaussianSpec
from aerepr_decomposition.priors.gaussian_mixture import GaussianMixture, GaussianMixtureSpec
from aerepr_decomposition.priors.sparse_mixture import SparseMixture, SparseMixtureSpec
from aerepr_decomposition.priors.student_t import StudentT, StudentTSpec
from aerepr_decomposition.regularizers.aggregate_inclusive_kl import AggregateInclusiveKL, AggregateInclusiveKLSpec
from aerepr_decomposition.regularizers.legacy_pinwheel_kl import LegacyPinwheelKL, LegacyPinwheelKLSpec
from aerepr_decomposition.regularizers.mmd_dimwise import DimensionWiseMMD, DimensionWiseMMDSpec
from torch import Tensor
from torch.distributions import Distribution, MultivariateNormal
from torch.testing import assert_close

from aerepr.kinds.batch import Batch
from aerepr.kinds.dataset import DataInfo
from aerepr.kinds.distributions import Dirac, independent_normal
from aerepr.kinds.layout import LatentLayout
from aerepr.kinds.part import BuildContext
from aerepr.kinds.prior import Prior
from aerepr.kinds.regularizer import Regularizer
from aerepr.kinds.shape import DataShape
from aerepr.kinds.step import Step
from aerepr.layers.noise import StepNoise
from aerepr.model.build import build_system
from aerepr.model.check import check
from aerepr.registry.registry import Registry
from aerepr.spec.read import spec_from_tables

REGISTRY = Registry()


@pytest.fixture(autouse=True)
def _own_generator() -> Iterator[None]:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        yield


def context(latent_dim: int = 3) -> BuildContext:
    info = DataInfo(DataShape.vector(5), train_size=60)
    return BuildContext(info, latent_dim, REGISTRY.load, K=2, P=1, _layout=LatentLayout.unstructured(latent_dim))


def anisotropic(scales: Any, **table: Any) -> AnisotropicGaussian:
    spec = AnisotropicGaussianSpec(name="anisotropic_gaussian", scales=scales, **table)
    return AnisotropicGaussian(spec, context(len(scales)))


def isotropic(latent_dim: int, variance: float = 1.0) -> AnisotropicGaussian:
    return anisotropic([math.sqrt(variance)] * latent_dim)


def mixture(**table: Any) -> GaussianMixture:
    spec = GaussianMixtureSpec(name="gaussian_mixture", **table)
    return GaussianMixture(spec, context(len(spec.means[0])))


def inclusive() -> AggregateInclusiveKL:
    return AggregateInclusiveKL(AggregateInclusiveKLSpec(name="aggregate_inclusive_kl"), context())


def mmd(**table: Any) -> DimensionWiseMMD:
    return DimensionWiseMMD(DimensionWiseMMDSpec(name="mmd_dimwise", **table), context())


def legacy() -> LegacyPinwheelKL:
    return LegacyPinwheelKL(LegacyPinwheelKLSpec(name="legacy_pinwheel_kl"), context())


def kl(**table: Any) -> Regularizer:
    component = REGISTRY.load("regularizer", "kl")
    found: Regularizer = component(component.Spec(name="kl", **table), context())
    return found


def step_of(posterior: Distribution, prior: Prior, z_BD: Tensor | None = None) -> Step:
    """A step with what the terms need; rows count from 0."""
    z_BD = posterior.rsample() if z_BD is None else z_BD
    rows, number = torch.arange(len(z_BD)), torch.tensor(3)
    batch = Batch(torch.zeros(len(z_BD), 1), rows)
    noise = StepNoise(0, number, rows)
    filled: dict[str, Any] = {"posterior": posterior, "prior": prior(), "prior_map": prior, "z_BD": z_BD}
    return Step(batch, noise, number, dataset_size=100, **filled)


def normals(B: int = 6, D: int = 2) -> Distribution:
    return independent_normal(torch.randn(B, D), 0.3 + torch.rand(B, D))


# The inclusive KL.


def test_the_inclusive_kl_is_the_loop_over_drawn_codes_and_encodings() -> None:
    posterior, prior = normals(), mixture(means=[[0.0, 1.0], [1.0, -1.0]], weights=[0.3, 0.7], variance=0.5)
    step = step_of(posterior, prior)
    z_BD = step.draw_prior("aggregate_inclusive_kl").double()
    mean_BD, std_BD = posterior.mean.double(), posterior.stddev.double()

    def normal(x: Tensor, mean: Tensor, std: Tensor | float) -> float:
        std = torch.as_tensor(std).double().expand(2)
        return float(torch.exp(-0.5 * ((x - mean) / std) ** 2).div(std * math.sqrt(2 * math.pi)).prod())

    total = 0.0
    for z in z_BD:
        p = 0.3 * normal(z, torch.tensor([0.0, 1.0]), 0.5**0.5) + 0.7 * normal(z, torch.tensor([1.0, -1.0]), 0.5**0.5)
        q = sum(normal(z, mean, std) for mean, std in zip(mean_BD, std_BD, strict=True)) / 6
        total += math.log(p) - math.log(q)
    assert inclusive()(step).item() == pytest.approx(total / 6, rel=1e-4)


def test_encodings_that_are_the_clusters_of_the_prior_have_none() -> None:
    prior = mixture()
    aligned = independent_normal(prior.means_CD, torch.full((4, 2), math.sqrt(0.03)))
    assert abs(inclusive()(step_of(aligned, prior))) < 1e-5
    moved = independent_normal(prior.means_CD.roll(1, 0).abs(), torch.full((4, 2), math.sqrt(0.03)))
    assert inclusive()(step_of(moved, prior)) > 1


def test_every_cluster_of_the_prior_wants_codes() -> None:
    # 24 encodings in one cluster of four: the term grows their spread over all, which an exclusive KL would not.
    prior = mixture(variance=0.03)
    mean_BD = torch.tensor([[0.0, 1.0]]).repeat(24, 1) + 0.1 * torch.randn(24, 2)
    mean_BD, log_std_BD = mean_BD.requires_grad_(), torch.full((24, 2), -1.5).requires_grad_()
    optimizer = torch.optim.Adam([mean_BD, log_std_BD], lr=0.05)
    for _ in range(300):
        optimizer.zero_grad()
        inclusive()(step_of(independent_normal(mean_BD, log_std_BD.exp()), prior)).backward()
        optimizer.step()
    nearest_B = torch.cdist(mean_BD.detach(), prior.means_CD).argmin(dim=1)
    assert len(nearest_B.unique()) == 4


# The dimension-wise MMD.


def test_the_mmd_is_the_loop_over_pairs_of_each_dimension() -> None:
    posterior, prior = normals(5, 3), isotropic(3)
    step = step_of(posterior, prior)
    x, y, total = step.draw_prior("mmd_dimwise").double(), step.z_BD.double(), 0.0
    for d in range(3):
        for c in (0.2, 0.4, 1.0, 2.0, 4.0, 10.0):

            def k(a: Tensor, b: Tensor, c: float = c) -> float:
                return c / (c + float((a - b) ** 2))

            pairs = [(i, j) for i in range(5) for j in range(5)]
            within = sum(k(x[i, d], x[j, d]) + k(y[i, d], y[j, d]) for i, j in pairs if i != j)
            total += within / 20 - 2 * sum(k(x[i, d], y[j, d]) for i, j in pairs) / 25
    assert mmd()(step).item() == pytest.approx(total, abs=1e-4)


def test_the_mmd_sees_marginals_alone() -> None:
    # A batch's codes with each dimension in an order of its own have the same marginals and another dependence.
    codes_BD = torch.randn(64, 1).repeat(1, 3)
    posterior, prior = Dirac(codes_BD), isotropic(3)
    shuffled_BD = codes_BD.gather(0, torch.rand(64, 3).argsort(dim=0))
    assert_close(
        mmd()(step_of(posterior, prior, codes_BD)), mmd()(step_of(posterior, prior, shuffled_BD)), rtol=0, atol=1e-4
    )
    joint = REGISTRY.load("regularizer", "mmd")
    both = joint(joint.Spec(name="mmd"), context(3))
    assert both(step_of(posterior, prior, codes_BD)) > both(step_of(posterior, prior, shuffled_BD)) + 1e-3


def test_the_mmd_draws_codes_towards_a_sparse_prior() -> None:
    prior = SparseMixture(SparseMixtureSpec(name="sparse_mixture"), context(2))
    z_BD = torch.randn(200, 2).requires_grad_()
    optimizer = torch.optim.Adam([z_BD], lr=0.05)
    before = mmd()(step_of(Dirac(z_BD), prior, z_BD)).item()
    for _ in range(150):
        optimizer.zero_grad()
        mmd()(step_of(Dirac(z_BD), prior, z_BD)).backward()
        optimizer.step()
    assert mmd()(step_of(Dirac(z_BD), prior, z_BD)) < 0.05 * before
    assert (z_BD.abs() < 0.15).float().mean() > 0.6, "four of five numbers are near zero"


@pytest.mark.parametrize("term", [inclusive, mmd])
def test_what_the_prior_learns_gets_a_gradient_through_its_draws(term: Callable[[], Regularizer]) -> None:
    prior = mixture(learned=True)
    (w,) = prior.parameters()
    step = step_of(normals(16), prior)
    (gradient,) = torch.autograd.grad(term()(step), w)
    assert gradient.isfinite().all()
    assert gradient.abs().max() > 1e-4


@pytest.mark.parametrize("name", ["aggregate_inclusive_kl", "mmd_dimwise"])
def test_a_term_of_a_batch_has_the_same_weight_for_every_example(name: str) -> None:
    """The paper sums over a batch and gives each example alpha D; the mean over the batch has alpha D once, whatever B."""
    system = build_system(spec_from_tables(tables(name, weight=3.0)), DataInfo(DataShape.vector(5), train_size=60))
    rows, number = torch.arange(8), torch.tensor(3)
    step = Step(Batch(torch.randn(8, 5), rows), StepNoise(0, number, rows), number, dataset_size=60)
    terms, seen = system.losses(step)
    published = (len(rows) * 3.0 * terms[name].raw - seen.likelihood.log_prob(seen.batch.x).sum()) / len(rows)
    assert_close(torch.stack([term.weighted for term in terms.values()]).sum(), published)


# The KL and its defect.


def test_the_kl_to_a_prior_without_closed_form_is_an_estimate_and_says_so() -> None:
    posterior, prior = normals(), mixture()
    step = step_of(posterior, prior)
    assert kl().logged_name("kl", step) == "kl_mc"
    expected = (posterior.log_prob(step.z_BD) - prior().log_prob(step.z_BD)).mean()
    assert_close(kl()(step), expected)
    assert kl().logged_name("kl", step_of(posterior, isotropic(2))) == "kl"


def test_the_legacy_kl_is_the_broadcast_of_the_released_code() -> None:
    posterior, prior = normals(), mixture()
    step = step_of(posterior, prior)
    # Theirs: one number a dimension minus one number a code, kept as a column, summed over both.
    log_q_BD = torch.distributions.Normal(posterior.mean, posterior.stddev).log_prob(step.z_BD)
    released = (log_q_BD - prior().log_prob(step.z_BD)[:, None]).sum(-1).mean()
    assert_close(legacy()(step), released)
    assert (legacy()(step) - kl()(step)).abs() > 0.1


# Theory. An objective is beta KL plus the distortion of a linear decoder under N(W z, 1), at the same noise.


def objective(posterior: Distribution, prior: Prior, z_BD: Tensor, W_DF: Tensor, x_BF: Tensor, beta: float) -> Tensor:
    distortion = 0.5 * (x_BF - z_BD @ W_DF).square().sum(dim=1).mean()
    return distortion + beta * kl()(step_of(posterior, prior, z_BD))


PRIORS: dict[str, Callable[[], Prior]] = {
    "isotropic": lambda: isotropic(4, variance=0.7),
    "anisotropic": lambda: anisotropic([2.0, 1.0, 0.5, 0.2]),
    "student_t": lambda: StudentT(StudentTSpec(name="student_t", df=3.0), context(4)),
    "sparse": lambda: SparseMixture(SparseMixtureSpec(name="sparse_mixture"), context(4)),
}


@pytest.mark.parametrize("beta", [0.5, 1.0, 6.0])
@pytest.mark.parametrize("name", PRIORS)
def test_only_the_isotropic_prior_leaves_the_latent_free_to_rotate(name: str, beta: float) -> None:
    prior = PRIORS[name]().double()
    mean_BD, W_DF, x_BF = torch.randn(8, 4).double(), torch.randn(4, 6).double(), torch.randn(8, 6).double()
    tril_BDD = (torch.randn(8, 4, 4).double().tril(-1) * 0.3) + 0.5 * torch.eye(4).double()
    eps_BD = torch.randn(8, 4).double()
    z_BD = mean_BD + (tril_BDD @ eps_BD[:, :, None])[:, :, 0]
    R = torch.linalg.qr(torch.randn(4, 4).double())[0]
    plain = MultivariateNormal(mean_BD, tril_BDD @ tril_BDD.mT)
    turned = MultivariateNormal(mean_BD @ R.T, R @ tril_BDD @ tril_BDD.mT @ R.T)
    before = objective(plain, prior, z_BD, W_DF, x_BF, beta)
    # The decoder takes R^T z: as rows, z R.
    after = objective(turned, prior, z_BD @ R.T, R @ W_DF, x_BF, beta)
    if name == "isotropic":
        assert_close(before, after)
    else:
        assert (before - after).abs() > 0.05 * beta


def entropy(posterior: Distribution) -> Tensor:
    return posterior.entropy().mean()


@pytest.mark.parametrize("beta", [0.3, 1.0, 4.0])
def test_a_beta_vae_is_an_annealed_prior_and_an_entropy_bonus(beta: float) -> None:
    # - beta KL(q || p) = - KL(q || f) + (beta - 1) H[q] + log F,  f = p^beta / F.  For N(0, s^2), f is N(0, s^2 / beta).
    posterior = independent_normal(torch.randn(5, 3).double(), 0.3 + torch.rand(5, 3).double())
    scales = [1.5, 0.8, 0.4]
    prior, annealed = anisotropic(scales).double(), anisotropic([s / math.sqrt(beta) for s in scales]).double()
    log_F = sum(0.5 * ((1 - beta) * math.log(2 * math.pi * s**2) - math.log(beta)) for s in scales)
    left = -beta * kl()(step_of(posterior, prior))
    right = -kl()(step_of(posterior, annealed)) + (beta - 1) * entropy(posterior) + log_F
    assert_close(left, right, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("beta", [0.5, 3.0])
def test_the_same_of_a_student_t_by_quadrature(beta: float) -> None:
    prior = StudentT(StudentTSpec(name="student_t", df=5.0), context(1)).double()
    grid = torch.linspace(-400, 400, 800_001, dtype=torch.float64)
    log_p = prior().log_prob(grid[:, None])
    assert float(torch.trapezoid(log_p.exp(), grid)) == pytest.approx(1, abs=1e-6)
    log_F = torch.trapezoid((beta * log_p).exp(), grid).log()
    posterior = independent_normal(torch.tensor([[0.4]]).double(), torch.tensor([[0.9]]).double())
    q, log_q = posterior.log_prob(grid[:, None]).exp(), posterior.log_prob(grid[:, None])
    to_annealed = torch.trapezoid(q * (log_q - beta * log_p + log_F), grid)
    right = -to_annealed + (beta - 1) * entropy(posterior) + log_F
    # The term's own estimate, over as many draws as make it sure.
    many = independent_normal(torch.full((200_000, 1), 0.4).double(), torch.full((200_000, 1), 0.9).double())
    assert_close(-beta * kl()(step_of(many, prior)), right, rtol=0, atol=0.01 * beta)


@pytest.mark.parametrize("beta", [0.5, 4.0])
def test_the_change_of_the_prior_is_absorbed_by_scaling_the_networks(beta: float) -> None:
    # With z' = sqrt(beta) z, the beta-VAE is the VAE of the scaled networks, with (beta - 1) / 2 log |S| and a constant.
    prior, root = isotropic(3).double(), math.sqrt(beta)
    W_DF, x_BF, constants = torch.randn(3, 6).double(), torch.randn(5, 6).double(), []
    for _ in range(3):
        posterior = independent_normal(torch.randn(5, 3).double(), 0.3 + torch.rand(5, 3).double())
        scaled = independent_normal(root * posterior.mean, root * posterior.stddev)
        z_BD = posterior.rsample()
        left = objective(posterior, prior, z_BD, W_DF, x_BF, beta)
        right = objective(scaled, prior, root * z_BD, W_DF / root, x_BF, 1.0)
        bonus = (beta - 1) * posterior.stddev.log().sum(dim=1).mean()
        constants.append(right - bonus - left)
    assert_close(constants[1], constants[0])
    assert_close(constants[2], constants[0])
    assert beta == 1 or constants[0].abs() > 0.1


# Bad input.


def tables(name: str, **table: Any) -> dict[str, Any]:
    part = {"name": "mlp", "width": 8}
    return {
        "model": {
            "latent_dim": 2,
            "encoder": part,
            "decoder": part,
            "posterior": {"name": "gaussian"},
            "prior": {"name": "gaussian_mixture"},
            "likelihood": {"name": "gaussian"},
            "regularizers": [{"name": name, **table}],
        },
        "data": {"name": "rooms", "size": 16},
        "train": {"steps": 1, "batch_size": 8},
    }


def problems(**changes: Any) -> dict[str, str]:
    found = tables(changes.pop("term"), **changes.pop("settings", {}))
    found["model"] |= changes.pop("model", {})
    found["train"] |= changes
    info = DataInfo(DataShape.vector(5), train_size=60)
    return {problem.path: problem.message for problem in check(spec_from_tables(found), info).problems}


@pytest.mark.parametrize("name", ["aggregate_inclusive_kl", "mmd_dimwise"])
def test_alpha_of_one_code_is_refused_in_training_and_found_by_check(name: str) -> None:
    assert problems(term=name) == {}
    (message,) = problems(term=name, batch_size=1).values()
    assert (
        f"{name} compares the codes of a batch with the prior, and the batch has 1: set train.batch_size to 2"
        in message
    )
    component = REGISTRY.load("regularizer", name)
    module, step = component(component.Spec(name=name), context()), step_of(normals(1), mixture())
    with pytest.raises(ValueError, match="the batch has 1"):
        module(step)
    assert module.eval()(step).isfinite(), "what is left of a validation split may be one"


def test_an_analytic_kl_is_refused_where_there_is_none_and_told_where_there_is() -> None:
    settings = {"closed_form": True}
    for prior in ({"name": "gaussian_mixture"}, {"name": "student_t"}, {"name": "sparse_mixture"}):
        found = problems(term="kl", settings=settings, model={"prior": prior})["model.regularizers.kl"]
        assert f'KL from posterior "gaussian" to prior "{prior["name"]}" has none' in found
        listed = found.partition("priors with one: ")[2].partition(".")[0]
        assert {'"anisotropic_gaussian"', '"standard_normal"'} <= set(listed.split(", "))
        assert not {'"student_t"', '"gaussian_mixture"', '"sparse_mixture"'} & set(listed.split(", "))
    for prior in ({"name": "anisotropic_gaussian"}, {"name": "sparse_mixture", "gamma": 0.0}):
        assert problems(term="kl", settings=settings, model={"prior": prior}) == {}


def test_the_inclusive_kl_needs_a_density_and_the_mmd_none() -> None:
    dirac = {"posterior": {"name": "deterministic"}}
    assert (
        "needs the density"
        in problems(term="aggregate_inclusive_kl", model=dirac)["model.regularizers.aggregate_inclusive_kl"]
    )
    assert problems(term="mmd_dimwise", model=dirac) == {}
