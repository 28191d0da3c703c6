"""Priors and the Laplace posterior: their samples against their densities, the spectrum, the metric scale, and bad input.

Shape letters: B batch, N noise or samples, D latent dimensions, F values of an example.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import mpmath
import numpy as np
import pytest
import torch
from aerepr_decomposition.posteriors.laplace import Laplace, LaplaceSpec
from aerepr_decomposition.priors.anisotropic_gaussian import AnisotropicGaussian, AnisotropicGaussianSpec
from aerepr_decomposition.priors.gaussian_mixture import GaussianMixture, GaussianMixtureSpec
from aerepr_decomposition.priors.sparse_mixture import SparseMixture, SparseMixtureSpec
from aerepr_decomposition.priors.student_t import StudentT, StudentTSpec, normal_score
from aerepr_decomposition.scales import spectrum
from pydantic import ValidationError
from scipy import stats
from torch import Tensor
from torch.distributions.kl import kl_divergence
from torch.testing import assert_close

from aerepr.errors import ShapeError, SpecError
from aerepr.kinds.batch import Batch
from aerepr.kinds.dataset import DataInfo
from aerepr.kinds.distributions import has_closed_form, independent_normal, is_comparable, is_factorised
from aerepr.kinds.layout import LatentLayout
from aerepr.kinds.part import BuildContext
from aerepr.kinds.prior import Prior
from aerepr.kinds.shape import DataShape
from aerepr.layers.noise import sample_noise
from aerepr.model.check import check
from aerepr.registry.registry import Registry
from aerepr.spec.read import spec_from_tables

SAMPLES = 20_000

# Seeds are fixed, so a law is met always or never; a true one falls below once in thousands of tests.
LEAST = 1e-3


@pytest.fixture(autouse=True)
def _own_generator() -> Iterator[None]:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        yield


def context(latent_dim: int = 3, values: int = 40, train_size: int = 60) -> BuildContext:
    info = DataInfo(DataShape.vector(values), train_size=train_size)
    return BuildContext(info, latent_dim, Registry().load, K=2, P=1, _layout=LatentLayout.unstructured(latent_dim))


def anisotropic(latent_dim: int = 3, **table: Any) -> AnisotropicGaussian:
    return AnisotropicGaussian(AnisotropicGaussianSpec(name="anisotropic_gaussian", **table), context(latent_dim))


def student(latent_dim: int = 3, **table: Any) -> StudentT:
    return StudentT(StudentTSpec(name="student_t", **table), context(latent_dim))


def mixture(latent_dim: int = 2, **table: Any) -> GaussianMixture:
    return GaussianMixture(GaussianMixtureSpec(name="gaussian_mixture", **table), context(latent_dim))


def sparse(latent_dim: int = 3, **table: Any) -> SparseMixture:
    return SparseMixture(SparseMixtureSpec(name="sparse_mixture", **table), context(latent_dim))


def drawn(prior: Prior, count: int = SAMPLES, seed: int = 5) -> Tensor:
    with torch.no_grad():
        return prior.from_noise(sample_noise(count, prior.noise_dim, seed, prior.noise))


# The marginals, written with SciPy: a prior and the distribution function of each of its dimensions.

MEANS = [[0.0, -1.0], [2.0, 1.0], [-1.0, 0.5]]
WEIGHTS = [0.5, 0.3, 0.2]
CDF = Callable[[Any], Any]


def mixed(weights: list[float], parts: list[Any]) -> CDF:
    return lambda x: sum(w * part.cdf(x) for w, part in zip(weights, parts, strict=True))


def scaled(scales: list[float]) -> list[CDF]:
    return [stats.norm(0, scale).cdf for scale in scales]


MARGINALS: dict[str, tuple[Callable[[], Prior], list[CDF]]] = {
    "given scales": (lambda: anisotropic(scales=[2.0, 1.0, 0.5]), scaled([2.0, 1.0, 0.5])),
    "equal scales": (lambda: anisotropic(spectrum="equal", variance=4.0), scaled([2.0, 2.0, 2.0])),
    **{
        f"t of {df}": (lambda df=df: student(df=df, scale=1.5), [stats.t(df, 0, 1.5).cdf] * 3)  # type: ignore[misc]
        for df in (0.5, 1.0, 2.0, 9.0, 3000.0)
    },
    "clusters": (
        lambda: mixture(means=MEANS, weights=WEIGHTS, variance=0.3),
        [mixed(WEIGHTS, [stats.norm(mean[d], math.sqrt(0.3)) for mean in MEANS]) for d in (0, 1)],
    ),
    "one cluster": (lambda: mixture(means=[[1.0, 2.0]], variance=0.3), [stats.norm(m, 0.3**0.5).cdf for m in (1, 2)]),
    **{
        f"sparse {gamma}": (
            lambda gamma=gamma: sparse(gamma=gamma),  # type: ignore[misc]
            [mixed([gamma, 1 - gamma], [stats.norm(0, 0.05), stats.norm(0, 1)])] * 3,
        )
        for gamma in (0.0, 0.3, 0.8, 1.0)
    },
}


@pytest.mark.parametrize("name", MARGINALS)
def test_samples_follow_the_marginals(name: str) -> None:
    make, cdfs = MARGINALS[name]
    z_ND = drawn(make()).double().numpy()
    assert z_ND.shape == (SAMPLES, len(cdfs))
    for z_N, cdf in zip(z_ND.T, cdfs, strict=True):
        assert stats.kstest(z_N, cdf).pvalue > LEAST


@pytest.mark.parametrize("name", MARGINALS)
def test_the_density_is_that_of_the_samples(name: str) -> None:
    # The mean of log p over samples is minus the entropy, whichever of the two ways drew them.
    prior = MARGINALS[name][0]()
    distribution = prior()
    z_ND, others_ND = drawn(prior), distribution.sample((SAMPLES,))
    ours_N, theirs_N = distribution.log_prob(z_ND), distribution.log_prob(others_ND)
    assert ours_N.shape == (SAMPLES,)
    error = ((ours_N.var() + theirs_N.var()) / SAMPLES).sqrt()
    assert abs(ours_N.mean() - theirs_N.mean()) < 4 * error + 1e-4


@pytest.mark.parametrize("name", MARGINALS)
def test_the_density_is_joint_and_the_derivative_of_the_marginals(name: str) -> None:
    make, cdfs = MARGINALS[name]
    prior = make().double()
    distribution = prior()
    assert (distribution.batch_shape, distribution.event_shape) == ((), (len(cdfs),))
    assert is_factorised(distribution) == (not isinstance(prior, GaussianMixture))
    if not is_factorised(distribution):
        return
    # Where the prior has its mass: elsewhere a difference of distribution functions has no digits.
    z_ND, step = drawn(make(), 50).double().clamp(-20, 20), 1e-6
    slopes = [(cdf(z.numpy() + step) - cdf(z.numpy() - step)) / (2 * step) for z, cdf in zip(z_ND.T, cdfs, strict=True)]
    # gamma and the weights are float32.
    assert_close(distribution.log_prob(z_ND), torch.tensor(np.log(np.prod(slopes, axis=0))), rtol=0, atol=1e-4)


@pytest.mark.parametrize("name", ["given scales", "t of 9.0", "clusters", "sparse 0.8"])
def test_moments_are_those_of_the_distribution(name: str) -> None:
    prior = MARGINALS[name][0]()
    distribution, z_ND = prior(), drawn(prior)
    errors_D = z_ND.std(dim=0) / SAMPLES**0.5
    assert ((z_ND.mean(dim=0) - distribution.mean).abs() < 4 * errors_D).all()
    assert_close(z_ND.var(dim=0), distribution.variance, rtol=0.06, atol=0)


def test_a_t_of_few_degrees_of_freedom_has_no_moments() -> None:
    assert student(df=1.0)().mean.isnan().all()
    assert student(df=2.0)().mean.eq(0).all()
    assert student(df=2.0)().variance.isinf().all()


@pytest.mark.parametrize("name", ["t of 2.0", "sparse 0.8"])
def test_dimensions_are_drawn_apart(name: str) -> None:
    # Of a common radius, or a common choice, the sizes would go together.
    sizes_ND = drawn(MARGINALS[name][0]()).abs().log()
    correlation_DD = torch.corrcoef(sizes_ND.T) - torch.eye(sizes_ND.shape[1])
    assert correlation_DD.abs().max() < 4 / SAMPLES**0.5


def test_clusters_are_drawn_as_often_as_they_weigh() -> None:
    prior = mixture(means=MEANS, weights=WEIGHTS, variance=1e-4)
    nearest_N = torch.cdist(drawn(prior), prior.means_CD).argmin(dim=1)
    shares = torch.bincount(nearest_N, minlength=3) / SAMPLES
    for share, weight in zip(shares.tolist(), WEIGHTS, strict=True):
        assert share == pytest.approx(weight, abs=4 * math.sqrt(weight * (1 - weight) / SAMPLES))


def test_the_defaults_of_the_mixture_are_the_pinwheel_s_four_clusters() -> None:
    distribution = mixture()()
    means = [(0, -1), (0, 1), (1, 0), (-1, 0)]
    z_ND = torch.randn(40, 2)
    densities = [stats.multivariate_normal(mean, 0.03 * np.eye(2)).pdf(z_ND.numpy()) for mean in means]
    assert_close(
        distribution.log_prob(z_ND).double(), torch.tensor(np.log(np.mean(densities, axis=0))), rtol=1e-4, atol=1e-4
    )


# Gradients and closed forms.


@pytest.mark.parametrize("gamma", [0.0, 0.8, 1.0])
def test_the_gradient_of_the_sparse_density_is_finite_everywhere(gamma: float) -> None:
    z_ND = torch.tensor([[0.0, 1e-8, 0.05], [3.0, -30.0, 300.0]], requires_grad=True)
    sparse(gamma=gamma)().log_prob(z_ND).sum().backward()
    assert z_ND.grad is not None
    assert z_ND.grad.isfinite().all()
    if gamma in (0.0, 1.0):
        scale = 0.05 if gamma else 1.0
        assert_close(z_ND.grad, -z_ND.detach() / scale**2)


def test_which_pairs_have_a_closed_form() -> None:
    normal = independent_normal(torch.zeros(4, 3), torch.ones(4, 3))
    laplace = Laplace(LaplaceSpec(name="laplace"), context())(torch.zeros(4, 3, 2))
    closed = [anisotropic(scales=[2.0, 1.0, 0.5]), sparse(gamma=0.0), sparse(gamma=1.0)]
    open_ = [student(), mixture(3, means=[[0.0] * 3]), sparse(gamma=0.5)]
    for posterior in (normal, laplace):
        assert all(has_closed_form(posterior, prior()) for prior in closed)
        assert not any(has_closed_form(posterior, prior()) for prior in open_)
        assert all(is_comparable(posterior, prior()) for prior in [*closed, *open_])


def test_the_scales_learn_their_proportions_and_keep_their_mean_variance() -> None:
    prior = anisotropic(5, scales=[2.0, 1.0, 0.5, 0.3, 0.1], learned=True)
    expected = torch.tensor([2.0, 1.0, 0.5, 0.3, 0.1]).square().mean()
    (w,) = prior.parameters()
    for _ in range(3):
        assert_close(prior.scales().square().mean(), expected)
        (gradient,) = torch.autograd.grad(prior().log_prob(torch.randn(7, 5)).sum(), w)
        assert gradient.abs().max() > 0.01
        with torch.no_grad():
            w += torch.randn(5)
    assert not list(anisotropic(spectrum="equal").parameters())
    assert not list(mixture().parameters())
    assert [p.shape for p in mixture(learned=True).parameters()] == [(2,)]


# The spectrum.


@dataclass
class Data:
    """Training data as `setup` sees it."""

    x_NF: Tensor

    @property
    def info(self) -> DataInfo:
        return DataInfo(DataShape.vector(self.x_NF.shape[1]), train_size=len(self.x_NF))

    def examples(self, count: int) -> Tensor:
        return self.x_NF[:count]

    def batches(self, size: int) -> Iterator[Batch]:
        raise AssertionError("not needed")


def with_values(values: list[float], N: int, F: int) -> Tensor:
    """A matrix (N, F) with these singular values."""
    left, right = (torch.linalg.qr(torch.randn(size, len(values)).double())[0] for size in (N, F))
    return (left * torch.tensor(values).double()) @ right.T


def set_up(x_NF: Tensor, latent_dim: int, **table: Any) -> Tensor:
    """Scales (D,) after `setup`."""
    spec = AnisotropicGaussianSpec(name="anisotropic_gaussian", **table)
    prior = AnisotropicGaussian(spec, context(latent_dim, x_NF.shape[1], len(x_NF)))
    prior.setup(Data(x_NF.float()))
    return prior.scales().double()


@pytest.mark.parametrize(("N", "F"), [(60, 12), (12, 60), (30, 5000)])
def test_the_spectrum_is_that_of_the_matrix(N: int, F: int) -> None:
    values = [9.0, 5.0, 3.0, 2.0, 1.0, 0.5]
    assert_close(spectrum(with_values(values, N, F), 6).sqrt(), torch.tensor(values).double())


@pytest.mark.parametrize("variance", [None, 2.5])
def test_scales_are_the_largest_singular_values_first_with_mean_variance_v(variance: float | None) -> None:
    values = [9.0, 5.0, 3.0, 2.0, 1.0, 0.5]
    scale_D = set_up(with_values(values, 50, 30), 4, variance=variance)
    squares = torch.tensor(values[:4]).double().square()
    assert_close(scale_D.square(), (variance or 1.0) * 4 * squares / squares.sum(), rtol=1e-4, atol=1e-5)


def test_the_mean_image_is_in_the_spectrum_unless_it_is_centred() -> None:
    x_NF = torch.randn(50, 30) * torch.linspace(3, 1, 30) + 20
    first = []
    for centred in (False, True):
        values = torch.linalg.svdvals((x_NF - x_NF.mean(dim=0) if centred else x_NF).double())[:4].square()
        scale_D = set_up(x_NF, 4, centred=centred)
        assert_close(scale_D.square(), 4 * values / values.sum(), rtol=1e-3, atol=1e-5)
        first.append(float(scale_D[0]))
    assert first[0] > 1.9, "the mean image takes nearly all of the four dimensions' variance"
    assert first[1] < 1.5


def test_the_legacy_order_takes_the_least_of_twenty() -> None:
    values = [float(value) for value in range(40, 15, -1)]
    scale_D = set_up(with_values(values, 50, 30), 10, spectrum="legacy_ascending")
    squares = torch.tensor(values[10:20]).double().square().flip(0)
    assert_close(scale_D.square(), 10 * squares / squares.sum(), rtol=1e-3, atol=1e-5)


def test_only_examples_that_are_asked_for_are_looked_at() -> None:
    x_NF = torch.cat([with_values([3.0, 2.0, 1.0], 20, 30), 100 * torch.randn(20, 30).double()])
    assert_close(set_up(x_NF, 2, examples=20).square(), torch.tensor([18 / 13, 8 / 13]).double(), rtol=1e-4, atol=1e-5)


def test_given_and_equal_scales_do_not_look_at_the_data() -> None:
    x_NF = with_values([9.0, 5.0, 3.0], 20, 30)
    assert_close(set_up(x_NF, 3, scales=[2.0, 1.0, 0.5]), torch.tensor([2.0, 1.0, 0.5]).double())
    assert_close(set_up(x_NF, 3, spectrum="equal"), torch.ones(3).double())


# The metric scale.


def test_the_metric_scale_maps_the_prior_to_a_normal() -> None:
    for df in (0.5, 2.0, 9.0):
        prior = student(df=df, scale=1.5)
        mapped_ND = prior.to_metric_scale(drawn(prior))
        assert mapped_ND.dtype == torch.float32
        for mapped_N in mapped_ND.double().numpy().T:
            assert stats.kstest(mapped_N, "norm").pvalue > LEAST


def test_other_priors_leave_codes_as_they_are() -> None:
    z_BD = torch.randn(5, 3)
    assert torch.equal(sparse().to_metric_scale(z_BD), z_BD)


@pytest.mark.parametrize("df", [0.5, 1.0, 9.0, 1000.0])
def test_the_metric_scale_is_exact_far_out(df: float) -> None:
    with mpmath.workdps(50):
        for t in (0.0, 1e-3, 1.0, 8.0, 60.0, 1e4, 1e15, 1e30):
            nu = mpmath.mpf(df)
            tail = mpmath.betainc(nu / 2, 0.5, 0, nu / (nu + mpmath.mpf(t) ** 2), regularized=True) / 2
            score = normal_score(np.array([t, -t]), df)
            assert score[0] == -score[1]
            # The normal that is as far out has the same tail, to the digits that float64 gives its place.
            log_tail = mpmath.log(mpmath.erfc(mpmath.mpf(float(score[0])) / mpmath.sqrt(2)) / 2)
            assert float(log_tail) == pytest.approx(float(mpmath.log(tail)), rel=1e-9, abs=1e-9)


def test_the_metric_scale_keeps_the_order_and_is_finite() -> None:
    t = np.concatenate([np.linspace(-80, 80, 4001), np.geomspace(90, 1e38, 200)])
    for df in (0.3, 9.0, 1000.0, 1e6):
        score = normal_score(t, df)
        assert np.isfinite(score).all()
        assert (np.diff(score) > 0).all()


def test_codes_stay_finite_at_the_ends_of_the_noise() -> None:
    ends = torch.tensor([[2.0**-24] * 6, [1 - 2.0**-24] * 6, [0.5] * 6])
    for df in (0.05, 0.4, 9.0, 1e6):
        assert student(df=df).from_noise(ends).isfinite().all()


@pytest.mark.parametrize("df", [0.5, 9.0, 1e4, 1e7])
def test_codes_have_all_digits_where_nu_is_large_or_a_radius_small(df: float) -> None:
    u_N = torch.tensor([2.0**-24, 1e-3, 0.5, 0.999, 1 - 2.0**-20, 1 - 2.0**-24])
    exact_N = np.sqrt(df * np.expm1(-2 / df * np.log(u_N.double().numpy()))) * math.cos(2 * math.pi * 0.125)
    noise_BN = torch.stack([u_N, torch.full_like(u_N, 0.125)], dim=1)
    np.testing.assert_allclose(student(1, df=df).from_noise(noise_BN)[:, 0].numpy(), exact_N, rtol=1e-5)


def test_many_degrees_of_freedom_are_a_normal() -> None:
    z_ND = 3 * torch.randn(50, 3)
    assert_close(
        student(df=1e7)().log_prob(z_ND),
        independent_normal(torch.zeros(3), torch.ones(3)).log_prob(z_ND),
        rtol=1e-4,
        atol=1e-4,
    )


# The Laplace posterior.


def laplace(latent_dim: int = 2, **table: Any) -> Laplace:
    return Laplace(LaplaceSpec(name="laplace", **table), context(latent_dim))


def test_laplace_codes_follow_the_density() -> None:
    params_BDK = torch.tensor([[0.5, -0.7], [2.0, 0.4]]).expand(SAMPLES, 2, 2)
    z_BD = laplace().draw(params_BDK, sample_noise(SAMPLES, 2, 5, "uniform"), "sample")
    distribution = laplace()(params_BDK[:1])
    assert is_factorised(distribution)
    for d, (loc, log_scale) in enumerate([(0.5, -0.7), (2.0, 0.4)]):
        assert stats.kstest(z_BD[:, d].double().numpy(), stats.laplace(loc, math.exp(log_scale)).cdf).pvalue > LEAST
    z = np.array([0.1, 1.7])
    expected = sum(stats.laplace(m, math.exp(s)).logpdf(x) for x, m, s in zip(z, (0.5, 2.0), (-0.7, 0.4), strict=True))
    assert distribution.log_prob(torch.tensor(z)[None].float()).item() == pytest.approx(expected, rel=1e-5)


def test_laplace_is_represented_by_its_mean() -> None:
    params_BDK = torch.randn(5, 2, 2)
    assert torch.equal(laplace().draw(params_BDK, torch.rand(5, 2), "represent"), params_BDK[..., 0])


@pytest.mark.parametrize(
    ("scale", "expected"), [("exp", math.e), ("half_exp", math.exp(0.5)), ("softplus", math.log1p(math.e))]
)
def test_how_the_second_number_becomes_a_scale(scale: str, expected: float) -> None:
    posterior = laplace(scale=scale, floor=0.5)(torch.ones(1, 2, 2))
    assert_close(posterior.variance, torch.full((1, 2), 2 * (expected + 0.5) ** 2))


def test_the_rate_of_laplace_to_a_normal_is_the_integral() -> None:
    loc, scale, prior_scale = 0.7, 0.6, 1.5
    grid = torch.linspace(-25, 25, 400_001, dtype=torch.float64)
    log_q = torch.distributions.Laplace(loc, scale).log_prob(grid)
    log_p = torch.distributions.Normal(0, prior_scale).log_prob(grid)
    expected = torch.trapezoid(log_q.exp() * (log_q - log_p), grid)
    posterior = laplace(1)(torch.tensor([[[loc, math.log(scale)]]]))
    found = kl_divergence(posterior, anisotropic(1, scales=[prior_scale])())
    assert found.item() == pytest.approx(float(expected), rel=1e-4)


# Bad input, as a spec gives it.


def report(prior: dict[str, Any], latent_dim: int = 2, values: int = 12, train_size: int = 60) -> dict[str, str]:
    """Problems by their place."""
    part = {"name": "mlp", "width": 8}
    tables = {
        "model": {
            "latent_dim": latent_dim,
            "encoder": part,
            "decoder": part,
            "posterior": {"name": "gaussian"},
            "prior": prior,
        },
        "data": {"name": "rooms", "size": 16},
        "train": {"steps": 1, "batch_size": 8},
    }
    info = DataInfo(DataShape.vector(values), train_size=train_size)
    return {problem.path: problem.message for problem in check(spec_from_tables(tables), info).problems}


@pytest.mark.parametrize(
    ("prior", "text"),
    [
        (
            {"name": "gaussian_mixture", "weights": [0.3, 0.3, 0.3, 0.3]},
            r"model\.prior .*weights sum to 1\.2, expected 1",
        ),
        ({"name": "gaussian_mixture", "weights": [0.5, 0.5]}, r"model\.prior .*2 weights for 4 means"),
        ({"name": "gaussian_mixture", "weights": [1.2, -0.2, 0.0, 0.0]}, r"model\.prior\.weights\.1 .*greater than 0"),
        ({"name": "gaussian_mixture", "variance": 0.0}, r"model\.prior\.variance .*greater than 0"),
        ({"name": "gaussian_mixture", "means": []}, r"model\.prior\.means .*at least 1"),
        ({"name": "student_t", "df": 0.0}, r"model\.prior\.df .*greater than 0, got 0\.0"),
        ({"name": "student_t", "df": -3.0}, r"model\.prior\.df .*greater than 0, got -3\.0"),
        ({"name": "sparse_mixture", "gamma": 1.5}, r"model\.prior\.gamma .*less than or equal to 1"),
        ({"name": "anisotropic_gaussian", "scales": [1.0, 0.0]}, r"model\.prior\.scales\.1 .*greater than 0"),
        ({"name": "anisotropic_gaussian", "spectrum": "pac"}, r"model\.prior\.spectrum +must be 'pca'"),
        (
            {"name": "anisotropic_gaussian", "scales": [1.0, 2.0], "variance": 1.0},
            r"model\.prior .*leave variance and spectrum out",
        ),
    ],
)
def test_a_prior_s_numbers_are_refused_by_the_spec(prior: dict[str, Any], text: str) -> None:
    with pytest.raises(SpecError, match=text):
        report(prior)


@pytest.mark.parametrize(
    ("prior", "settings", "text"),
    [
        ({"name": "gaussian_mixture", "means": [[0.0, 1.0, 2.0]]}, {}, "3 numbers and the latent 2.*latent_dim = 3"),
        ({"name": "anisotropic_gaussian", "scales": [1.0]}, {}, "1 numbers and the latent 2 dimensions"),
        ({"name": "anisotropic_gaussian"}, {"train_size": 1}, "of 1 examples of 12 values are 1, expected 2"),
        ({"name": "anisotropic_gaussian", "examples": 1}, {}, "of 1 examples of 12 values are 1, expected 2"),
        ({"name": "anisotropic_gaussian", "centred": True}, {"train_size": 2}, "of 2 examples of 12 values are 1"),
        ({"name": "anisotropic_gaussian"}, {"latent_dim": 20}, "of 60 examples of 12 values are 12, expected 20"),
        ({"name": "anisotropic_gaussian", "spectrum": "legacy_ascending"}, {}, "are 12, expected 21"),
        (
            {"name": "anisotropic_gaussian", "spectrum": "legacy_ascending"},
            {"latent_dim": 21, "values": 99},
            "lower model.lat",
        ),
    ],
)
def test_sizes_that_do_not_fit_are_found_by_check(prior: dict[str, Any], settings: dict[str, int], text: str) -> None:
    found = report(prior, **settings)
    assert list(found) == ["model.prior"]
    with pytest.raises(ShapeError, match=text):
        raise ShapeError(found["model.prior"])


def test_examples_that_span_too_little_are_refused() -> None:
    with pytest.raises(ShapeError, match="span 2 of the 3 dimensions"):
        set_up(with_values([3.0, 1.0], 20, 30), 3)


def test_weights_are_as_many_as_means() -> None:
    with pytest.raises(ValidationError, match="3 weights for 2 means"):
        mixture(means=[[0.0], [1.0]], weights=WEIGHTS)
