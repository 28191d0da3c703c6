"""The metrics against closed forms and the paper's yardsticks, on encodings that are given, and what they refuse.

Shape letters: N rows, M codes, B batch, D latent dimensions, K posterior numbers a dimension, F values, S samples.
"""

from __future__ import annotations

import itertools
import json
import math
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from aerepr_decomposition import kernels
from aerepr_decomposition.aggregate import log_aggregate
from aerepr_decomposition.kernels import SCALES, mmd_dimwise
from aerepr_decomposition.metrics import iwae_log_likelihood, kim_mnih_2018
from aerepr_decomposition.metrics.hoyer_sparsity import HoyerSparsityMetric, HoyerSparsitySpec, hoyer_sparsity
from torch import Tensor
from torch.distributions import MultivariateNormal

from aerepr.errors import DataError, UsageError
from aerepr.kinds.batch import Batch
from aerepr.kinds.dataset import DataInfo
from aerepr.kinds.distributions import independent_normal
from aerepr.kinds.shape import DataShape
from aerepr.model.build import build_sampler, build_system
from aerepr.model.view import View
from aerepr.registry.registry import Registry
from aerepr.spec.read import spec_from_tables

FOUR_CLUSTERS = {"name": "gaussian_mixture"}


def normal(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def built(x_NF: Tensor, latent_dim: int, factors: Tensor | None = None, **model: Any) -> View:
    """A run with linear networks whose evaluated rows are given."""
    tables = {
        "name": "given",
        "model": {
            "latent_dim": latent_dim,
            "encoder": {"name": "mlp", "hidden": []},
            "decoder": {"name": "mlp", "hidden": []},
            "posterior": {"name": "gaussian"},
            "prior": {"name": "standard_normal"},
            "likelihood": {"name": "gaussian"},
            **model,
        },
        "data": {"name": "pinwheel"},
        "train": {"steps": 1, "batch_size": 8, "device": "cpu"},
        "sampler": {"name": "prior"},
    }
    spec = spec_from_tables(tables)
    info = DataInfo(DataShape.vector(x_NF.shape[1]), train_size=len(x_NF))
    system = build_system(spec, info).eval()
    view = View(spec, system, build_sampler(spec, system, info), info, torch.zeros(4, latent_dim), x_NF[:4])

    def batches(split: str) -> Iterator[Batch]:
        # Of unlike sizes: a mean of their means would be another number.
        for rows in torch.arange(len(x_NF)).split(max(1, 2 * len(x_NF) // 3)):
            yield Batch(x=x_NF[rows], rows=rows, factors=None if factors is None else factors[rows])

    view.set_source(batches)
    return view


def encoded(params_NDK: Tensor, factors: Tensor | None = None, **model: Any) -> View:
    """A run whose rows are the posterior's numbers themselves."""
    view = built(params_NDK.flatten(1), params_NDK.shape[1], factors, **model)
    with torch.no_grad():
        torch.nn.init.eye_(view.model.encoder.layers[0].weight)
        torch.nn.init.zeros_(view.model.encoder.layers[0].bias)
    return view


def gaussians(mean_ND: Tensor, deviation: Tensor | float, **more: Any) -> View:
    return encoded(torch.stack([mean_ND, torch.as_tensor(deviation).log().expand_as(mean_ND)], dim=-1), **more)


def compute(name: str, run: View, **settings: Any) -> dict[str, float]:
    component = Registry().load("metric", name)
    with torch.no_grad():
        found: dict[str, float] = component(component.Spec(name=name, **settings)).compute(run)
    return {key.removeprefix(f"{name}."): value for key, value in found.items()}


# The kernels.


def by_definition(x_ND: Tensor, y_MD: Tensor, scales: tuple[float, ...]) -> Tensor:
    """Pair by pair, as the paper writes it."""
    total = x_ND.new_zeros(())
    for d, scale in itertools.product(range(x_ND.shape[1]), scales):
        c = 2 * scale

        def k(a: Tensor, b: Tensor, c: float = c) -> Tensor:
            return c / (c + (a - b) ** 2)

        x, y = x_ND[:, d], y_MD[:, d]
        for points in (x, y):
            pairs = [k(points[i], points[j]) for i, j in itertools.permutations(range(len(points)), 2)]
            total = total + torch.stack(pairs).mean()
        total = total - 2 * torch.stack([k(a, b) for a in x for b in y]).mean()
    return total


@pytest.mark.parametrize("block", [1, 30, 1 << 20])
def test_the_dimension_wise_mmd_is_its_definition(block: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kernels, "_BLOCK", block)
    x_ND, y_MD = (normal(count, 3, seed=count).double().requires_grad_() for count in (7, 5))
    found, expected = mmd_dimwise(x_ND, y_MD, (0.1, 2.0)), by_definition(x_ND, y_MD, (0.1, 2.0))
    assert found.shape == ()
    torch.testing.assert_close(found, expected)
    # Both the codes and a prior that learns are given their gradients.
    torch.testing.assert_close(
        torch.autograd.grad(3 * found, (x_ND, y_MD)), torch.autograd.grad(3 * expected, (x_ND, y_MD))
    )


def test_its_gradient_needs_no_gradient_of_the_prior() -> None:
    x_ND, y_MD = normal(6, 2).double().requires_grad_(), normal(6, 2, seed=1).double()
    assert torch.autograd.gradcheck(lambda x: mmd_dimwise(x, y_MD), x_ND)
    (slope_ND,) = torch.autograd.grad(mmd_dimwise(y_MD, x_ND), x_ND)
    torch.testing.assert_close(slope_ND, torch.autograd.grad(mmd_dimwise(x_ND, y_MD), x_ND)[0])


def test_the_dimension_wise_mmd_is_unbiased_and_sees_marginals_alone() -> None:
    same = torch.stack([mmd_dimwise(normal(50, 2, seed=2 * i), normal(50, 2, seed=2 * i + 1)) for i in range(100)])
    assert abs(float(same.mean())) < 4 * float(same.std()) / 10
    assert same.min() < 0 < same.max()
    one = normal(400, 1)
    dependent = torch.cat([one, one], dim=1)
    assert mmd_dimwise(dependent, normal(400, 2, seed=9)) < 0.05
    assert mmd_dimwise(dependent + 0.5, normal(400, 2, seed=9)) > 0.3
    assert mmd_dimwise(normal(1, 3), normal(1, 3, seed=1)).isfinite()


def test_the_scales_are_those_of_the_paper() -> None:
    assert SCALES == (0.1, 0.2, 0.5, 1.0, 2.0, 5.0)


# Hoyer sparsity.


@pytest.mark.parametrize(("D", "expected"), [(50, 0.231), (10, 0.266)])
def test_gaussian_codes_are_at_the_yardstick(D: int, expected: float) -> None:
    assert hoyer_sparsity(normal(20_000, D)).score == pytest.approx(expected, abs=2e-3)


def test_exact_samples_of_the_sparse_prior_are_at_theirs() -> None:
    component = Registry().load("prior", "sparse_mixture")
    view = built(torch.zeros(4, 2), 50, prior={"name": "sparse_mixture", "gamma": 0.8})
    assert isinstance(view.model.prior, component)
    noise = torch.rand(20_000, view.model.prior.noise_dim, generator=torch.Generator().manual_seed(0))
    noise = noise.clamp(1e-6, 1 - 1e-6)
    codes_ND = view.model.prior.from_noise(noise)
    assert hoyer_sparsity(codes_ND).score == pytest.approx(0.649, abs=2e-3)


def test_sparsity_of_one_hot_and_of_equal_codes() -> None:
    assert hoyer_sparsity(torch.eye(8)).score == pytest.approx(1)
    equal = torch.ones(8, 3) * torch.tensor([1.0, -1.0] * 4)[:, None]
    assert hoyer_sparsity(equal * torch.tensor([1.0, 20.0, 0.3])).score == pytest.approx(0)


def test_dead_dimensions_are_told_and_do_not_count_as_silent() -> None:
    codes_ND = normal(20_000, 50)
    codes_ND[:, 10:] *= 1e-4
    found = hoyer_sparsity(codes_ND)
    assert found.score == pytest.approx(0.231, abs=2e-3)
    assert found.active == pytest.approx(0.266, abs=2e-3)
    metric = HoyerSparsityMetric(HoyerSparsitySpec(name="hoyer_sparsity"))
    numbers = metric.compute(codes_ND.numpy(), None)
    assert numbers["hoyer_sparsity.inactive"] == 40
    (said,) = metric.remarks(numbers)
    assert said.startswith("40 dimensions are inactive")
    # Codes are not centred: one dead dimension away from 0 drowns all others, and active does not see it.
    offset_ND = normal(20_000, 50)
    offset_ND[:, 0] = 1e-3 * (offset_ND[:, 0] + 10)
    found = hoyer_sparsity(offset_ND)
    assert found.score == pytest.approx(0.50, abs=5e-3)
    assert found.active == pytest.approx(0.232, abs=2e-3)
    # Those that do not vary at all have no deviation to be divided by.
    codes_ND[:, 10:] = 3.0
    assert hoyer_sparsity(codes_ND).score == pytest.approx(0.266, abs=2e-3)
    with pytest.raises(DataError, match="hoyer_sparsity: 1 of 50 dimensions varies, expected at least 2"):
        hoyer_sparsity(torch.cat([codes_ND[:, :1], torch.ones(20_000, 49)], dim=1))
    with pytest.raises(DataError, match="found 1 dimensions, expected at least 2"):
        hoyer_sparsity(codes_ND[:, :1])


# The match of the prior.


def test_prior_match_is_near_nothing_where_codes_follow_the_prior() -> None:
    deviation = 0.6
    matched = gaussians(math.sqrt(1 - deviation**2) * normal(1000, 3), deviation)
    shifted = gaussians(1.0 + math.sqrt(1 - deviation**2) * normal(1000, 3), deviation)
    near, far = compute("prior_match_mmd", matched), compute("prior_match_mmd", shifted)
    assert set(near) == {"score", "joint"}
    assert all(abs(near[key]) < 0.02 < 0.3 < far[key] for key in near)
    # It is the codes that are drawn, not their means.
    assert compute("prior_match_mmd", gaussians(math.sqrt(1 - deviation**2) * normal(1000, 3), 1e-3))["score"] > 0.02


def test_the_joint_discrepancy_sees_dependence() -> None:
    one = normal(1000, 1)
    found = compute("prior_match_mmd", gaussians(torch.cat([one, one], dim=1), 1e-3))
    assert abs(found["score"]) < 0.02 < found["joint"]


def test_the_match_is_the_regularizers_number_and_its_key_tells_of_settings() -> None:
    view = gaussians(normal(40, 2), 0.5)
    found = compute("prior_match_mmd", view, rows=10, scales=[1.0], seed=3)
    assert set(found) == {"score@rows=10,scales=1", "joint@rows=10,scales=1"}
    deterministic = encoded(normal(40, 2, 1), posterior={"name": "deterministic"})
    assert np.isfinite(list(compute("prior_match_mmd", deterministic).values())).all()


# Overlap.


def test_entropy_in_closed_form() -> None:
    deviation_ND = normal(30, 4, seed=1).abs() + 0.1
    expected = (0.5 * math.log(2 * math.pi * math.e) + deviation_ND.log()).sum(dim=1).mean()
    assert compute("encoder_entropy", gaussians(normal(30, 4), deviation_ND))["mean"] == pytest.approx(float(expected))


def test_entropy_without_a_closed_form_is_estimated_and_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    run = gaussians(normal(3000, 4), normal(3000, 4, seed=1).abs() + 0.1)
    exact = compute("encoder_entropy", run)["mean"]
    # As of a distribution whose entropy nobody wrote down.
    monkeypatch.setattr(torch.distributions.Normal, "entropy", torch.distributions.Distribution.entropy)
    found = compute("encoder_entropy", run)
    assert list(found) == ["mean@mc"]
    # -log q varies by D / 2 around it.
    assert found["mean@mc"] == pytest.approx(exact, abs=4 * math.sqrt(2 / 3000))
    assert found["mean@mc"] != exact


def test_information_of_encodings_apart_and_of_one() -> None:
    apart = compute("mutual_information", gaussians(100 * torch.arange(60.0)[:, None].expand(60, 2), 0.5))
    assert apart["score"] == pytest.approx(math.log(60), abs=1e-4)
    assert apart["limit"] == pytest.approx(math.log(60))
    one = compute("mutual_information", gaussians(torch.zeros(60, 2), 1.0))
    assert one["score"] == pytest.approx(0, abs=1e-5)
    assert one["aggregate_kl"] == pytest.approx(0, abs=1e-5)


def test_the_limit_is_told() -> None:
    component = Registry().load("metric", "mutual_information")
    metric = component(component.Spec(name="mutual_information"))
    with torch.no_grad():
        found = metric.compute(gaussians(100 * torch.arange(60.0)[:, None].expand(60, 2), 0.5))
        (said,) = metric.remarks(found)
        assert metric.remarks(metric.compute(gaussians(torch.zeros(60, 2), 1.0))) == []
    assert said.startswith("the score is at its limit, 4.09 nats")


def test_the_rate_falls_into_its_two_parts() -> None:
    view = gaussians(normal(300, 3), 0.7)
    found = compute("mutual_information", view)
    # The information of Gaussian means seen through Gaussian noise, with as many rows that it is far from its limit.
    assert found["score"] == pytest.approx(1.5 * math.log(1 + 1 / 0.49), abs=0.15)
    rate = compute("rate", view)["total"]
    assert found["score"] + found["aggregate_kl"] == pytest.approx(rate, abs=0.15)
    assert set(compute("mutual_information", view, rows=50)) == {
        "score@rows=50",
        "aggregate_kl@rows=50",
        "limit@rows=50",
    }


def test_the_aggregate_is_a_density() -> None:
    posterior = independent_normal(normal(9, 2), normal(9, 2, seed=1).abs() + 0.2)
    side = torch.linspace(-12, 12, 300)
    grid_MD = torch.cartesian_prod(side, side)
    mass = log_aggregate(posterior, grid_MD).exp().sum() * (side[1] - side[0]) ** 2
    assert float(mass) == pytest.approx(1, abs=1e-3)
    by_hand = torch.stack([posterior.log_prob(z).exp().mean().log() for z in grid_MD[:50]])
    torch.testing.assert_close(log_aggregate(posterior, grid_MD)[:50], by_hand, atol=1e-4, rtol=1e-4)


# Kim and Mnih's score.


def grid_factors(rows: int, sizes: tuple[int, ...], seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, sizes, (rows, len(sizes)))


def test_aligned_codes_score_1_and_rotated_ones_less() -> None:
    factors_NK = grid_factors(3000, (5, 4, 3))
    codes_ND = factors_NK + 0.05 * np.random.default_rng(1).standard_normal(factors_NK.shape)
    found = kim_mnih_2018.kim_mnih_2018(codes_ND * [1.0, 50.0, 0.02], factors_NK)
    assert found.score == 1
    assert (found.votes_DK.argmax(axis=1) == [0, 1, 2]).all()
    assert found.votes_DK.sum() == 20_000
    # Turned by an eighth, either dimension tells as much of the one factor as of the other.
    even_NK = grid_factors(6000, (4, 4))
    turned_ND = even_NK @ np.array([[1.0, 1.0], [1.0, -1.0]])
    assert kim_mnih_2018.kim_mnih_2018(even_NK, even_NK).score == 1
    assert kim_mnih_2018.kim_mnih_2018(turned_ND, even_NK).score < 0.9


def test_rows_beyond_the_points_are_drawn_anew_for_each_vote(monkeypatch: pytest.MonkeyPatch) -> None:
    factors_NK = grid_factors(300, (3, 2))
    noise_ND = np.random.default_rng(3).standard_normal((300, 4))
    whole = kim_mnih_2018.kim_mnih_2018(noise_ND, factors_NK)
    # Every vote of a value is the same where all its rows are in it.
    assert (whole.votes_DK > 0).sum() <= 5
    monkeypatch.setattr(kim_mnih_2018, "POINTS", 20)
    drawn = kim_mnih_2018.kim_mnih_2018(noise_ND, factors_NK)
    assert (drawn.votes_DK > 0).sum() == 8
    # Noise tells nothing of the factor, but votes that are scored by themselves flatter it.
    assert 0.5 < drawn.score < 0.8
    assert kim_mnih_2018.kim_mnih_2018(noise_ND, factors_NK).score == drawn.score


def vote_by_vote(codes_ND: np.ndarray, factors_NK: np.ndarray, points: int, votes: int) -> float:
    """The score as the paper's code goes about it: every vote draws its factor, value and rows anew."""
    generator = np.random.default_rng(7)
    scaled_ND = codes_ND / codes_ND.std(axis=0, ddof=1)
    table = np.zeros((codes_ND.shape[1], factors_NK.shape[1]))
    for _ in range(votes):
        factor = generator.integers(factors_NK.shape[1])
        value = generator.choice(np.unique(factors_NK[:, factor]))
        rows = np.flatnonzero(factors_NK[:, factor] == value)
        rows = generator.permutation(rows)[:points]
        table[scaled_ND[rows].var(axis=0, ddof=1).argmin(), factor] += 1
    return float(table.max(axis=1).sum() / votes)


@pytest.mark.parametrize("points", [1000, pytest.param(20, marks=pytest.mark.full)])
def test_the_score_is_that_of_votes_one_by_one(points: int, monkeypatch: pytest.MonkeyPatch) -> None:
    factors_NK = grid_factors(200, (5, 3, 2))
    codes_ND = factors_NK @ np.array([[1.0, 0.6, 0.0], [0.0, 1.0, 0.4], [0.3, 0.0, 1.0]])
    codes_ND += np.random.default_rng(2).standard_normal(codes_ND.shape)
    monkeypatch.setattr(kim_mnih_2018, "POINTS", points)
    found = kim_mnih_2018.kim_mnih_2018(codes_ND, factors_NK).score
    assert 0.5 < found < 0.95
    assert found == pytest.approx(vote_by_vote(codes_ND, factors_NK, points, 4000), abs=0.02)


def test_codes_without_variation() -> None:
    factors_NK = grid_factors(100, (3, 2))
    assert kim_mnih_2018.kim_mnih_2018(np.ones((100, 3)), factors_NK).score == 0
    codes_ND = np.ones((100, 2))
    codes_ND[:, 1] = factors_NK[:, 0]
    assert kim_mnih_2018.kim_mnih_2018(codes_ND, factors_NK).votes_DK[0].sum() == 0
    with pytest.raises(DataError, match="no two rows share a value of factor 0"):
        kim_mnih_2018.kim_mnih_2018(codes_ND, np.stack([np.arange(100), factors_NK[:, 1]], axis=1))


def test_both_scales_of_a_student_t_prior_are_scored() -> None:
    factors = torch.from_numpy(grid_factors(600, (4, 3, 2)))
    mean_ND = factors[:, :2] + 4.0 * normal(600, 2) ** 3
    run = gaussians(mean_ND, 0.5, factors=factors, prior={"name": "student_t", "df": 2.0})
    found = compute("kim_mnih_2018", run)
    assert set(found) == {"score", "score@raw"}
    on_scale = run.model.prior.to_metric_scale(mean_ND)
    assert found["score"] == kim_mnih_2018.kim_mnih_2018(on_scale, factors).score
    assert found["score@raw"] == kim_mnih_2018.kim_mnih_2018(mean_ND, factors).score
    assert found["score"] != found["score@raw"]
    plain = compute("kim_mnih_2018", gaussians(mean_ND, 0.5, factors=factors))
    assert plain == {"score": found["score@raw"]}


def test_factors_that_cannot_vote_are_left_out() -> None:
    factors = torch.from_numpy(grid_factors(90, (4, 3, 1, 2)))
    factors[:, 3] = -1
    component = Registry().load("metric", "kim_mnih_2018")
    metric = component(component.Spec(name="kim_mnih_2018"))
    with torch.no_grad():
        numbers = metric.compute(gaussians(normal(90, 2), 0.5, factors=factors))
    assert metric.remarks(numbers) == ["2 factors are left out, unknown or of one value in these rows"]
    with pytest.raises(DataError, match="compares factors: found 1 that is known and varies"):
        compute("kim_mnih_2018", gaussians(normal(90, 2), 0.5, factors=factors[:, 1:]))
    with pytest.raises(DataError, match="needs ground-truth factors, and this data set has none"):
        compute("kim_mnih_2018", gaussians(normal(90, 2), 0.5))


# Log-likelihood.


def linear_gaussian(widened: float) -> tuple[View, Tensor]:
    """A run with x = W z + b + noise and its exact posterior, but for its width; and log p(x) of each row."""
    W_FD, b_F, sigma = torch.tensor([[1.0, 0.5], [1.0, -0.5], [0.0, 1.0]]), torch.tensor([0.3, -1.0, 2.0]), 0.4
    x_NF = normal(20, 2) @ W_FD.T + b_F + sigma * normal(20, 3, seed=1)
    view = built(x_NF, 2, likelihood={"name": "gaussian", "scale": sigma})
    # Columns of W are orthogonal, so that the posterior's covariance is diagonal.
    variance_D = 1 / (1 + W_FD.square().sum(dim=0) / sigma**2)
    mean_DF = variance_D[:, None] * W_FD.T / sigma**2
    with torch.no_grad():
        (encoder,), (decoder,) = view.model.encoder.layers, view.model.decoder.layers
        decoder.weight.copy_(W_FD)
        decoder.bias.copy_(b_F)
        # Two numbers a dimension: the mean, and the logarithm of the deviation.
        encoder.weight.copy_(torch.stack([mean_DF, torch.zeros(2, 3)], dim=1).flatten(0, 1))
        log_deviation_D = 0.5 * variance_D.log() + math.log(widened)
        encoder.bias.copy_(torch.stack([-mean_DF @ b_F, log_deviation_D], dim=1).flatten())
    marginal = MultivariateNormal(b_F, W_FD @ W_FD.T + sigma**2 * torch.eye(3))
    return view, marginal.log_prob(x_NF)


def test_the_exact_posterior_needs_one_sample() -> None:
    view, exact_N = linear_gaussian(1.0)
    found = compute("iwae_log_likelihood", view, samples=1)
    assert set(found) == {"score@samples=1", "elbo@samples=1"}
    assert list(found.values()) == pytest.approx(2 * [float(exact_N.mean())], abs=1e-4)
    first = compute("iwae_log_likelihood", view, samples=1, rows=8)
    assert list(first.values()) == pytest.approx(2 * [float(exact_N[:8].mean())], abs=1e-4)


def test_a_thousand_samples_find_the_marginal_where_one_does_not() -> None:
    view, exact_N = linear_gaussian(1.6)
    exact = float(exact_N.mean())
    found = compute("iwae_log_likelihood", view)
    # KL of the widened normal to the posterior, of two dimensions.
    gap = 1.6**2 - 1 - 2 * math.log(1.6)
    assert found["elbo"] == pytest.approx(exact - gap, abs=0.05)
    assert found["score"] == pytest.approx(exact, abs=0.01)


def test_samples_are_decoded_some_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    view, _ = linear_gaussian(1.6)
    whole = compute("iwae_log_likelihood", view, rows=8)
    seen: list[int] = []
    view.model.decoder.register_forward_hook(lambda module, inputs, out: seen.append(len(out)))
    monkeypatch.setattr(iwae_log_likelihood, "_CODES", 64)
    cut = compute("iwae_log_likelihood", view, rows=8)
    assert max(seen) <= 64
    # The first 13 rows, a batch, hold the first 8.
    assert sum(seen) == 1000 * 13
    # Other pieces draw other samples.
    assert cut["score@rows=8"] == pytest.approx(whole["score@rows=8"], abs=0.05)


# An untrained model of full size, one batch of 64 rows, the thousand samples of the default; memory is the most that the process
# ever had, its libraries included (VmHWM; ru_maxrss would begin with that of the process that started it).
PROGRAM = """
import json
from pathlib import Path
import torch
torch.set_num_threads(1)
from aerepr.kinds.batch import Batch
from aerepr.kinds.dataset import DataInfo
from aerepr.kinds.shape import DataShape
from aerepr.model.build import build_sampler, build_system
from aerepr.model.view import View
from aerepr.registry.registry import Registry
from aerepr.spec.read import spec_from_tables

spec = spec_from_tables({"model": {"recipe": "DD-isotropic"}, "data": {"name": "sprites"}})
info = DataInfo(DataShape.image(1, 64, 64), train_size=64)
system = build_system(spec, info).eval()
x = torch.rand(64, 1, 64, 64, generator=torch.Generator().manual_seed(0))
view = View(spec, system, build_sampler(spec, system, info), info, torch.zeros(4, 10), x[:4])
view.set_source(lambda split: iter([Batch(x=x, rows=torch.arange(64))]))
component = Registry().load("metric", "iwae_log_likelihood")
with torch.no_grad():
    found = component(component.Spec(name="iwae_log_likelihood", rows=64)).compute(view)
status = dict(line.split(":") for line in Path("/proc/self/status").read_text().splitlines())
print(json.dumps(found | {"peak": int(status["VmHWM"].split()[0]) * 1024}))
"""


@pytest.mark.full
@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="memory is read off /proc")
def test_a_thousand_samples_of_images_stay_within_2_gb() -> None:
    done = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=True)
    found = json.loads(done.stdout)
    assert found["iwae_log_likelihood.score@rows=64"] > found["iwae_log_likelihood.elbo@rows=64"]
    assert found["peak"] < 2 * 10**9, found
    # One thousand decoded images of each row at once would be these alone.
    assert found["peak"] < 64 * 1000 * 64 * 64 * 4


# Clusters.


def test_clusters_in_use() -> None:
    centres = torch.tensor([[0.0, -1.0], [0.0, 1.0], [1.0, 0.0], [-1.0, 0.0]])
    on = centres.repeat_interleave(100, dim=0)
    full = compute("clusters_used", gaussians(on, math.sqrt(0.03), prior=FOUR_CLUSTERS))
    assert full["fraction"] == 1
    assert full["inside"] == pytest.approx(0.95, abs=0.04)
    assert full["least"] == pytest.approx(1, abs=0.1)
    half = compute("clusters_used", gaussians(on[:200], math.sqrt(0.03), prior=FOUR_CLUSTERS))
    assert half["fraction"] == 0.5
    assert half["least"] == 0
    # A blob has codes of all four, and few inside.
    blob = compute("clusters_used", gaussians(torch.zeros(400, 2), 1.0, prior=FOUR_CLUSTERS))
    assert blob["fraction"] == 0
    assert blob["inside"] < 0.4


@pytest.mark.parametrize("width", [0.05, 0.17])
def test_a_ring_through_the_means_is_no_clusters(width: float) -> None:
    angle_N = torch.linspace(0, 2 * math.pi, 4001)[:-1]
    ring = torch.stack([angle_N.cos(), angle_N.sin()], dim=1)
    found = compute("clusters_used", gaussians(ring, width, prior=FOUR_CLUSTERS))
    assert found["fraction"] == 0
    # A narrow one has half of its codes inside all the same, alike in all four.
    assert found["least"] == pytest.approx(found["inside"] / 0.95, abs=0.05)
    assert found["inside"] == pytest.approx(0.55, abs=0.03) if width == 0.05 else found["inside"] < 0.5


# What is refused, in one line.


@pytest.mark.parametrize("name", ["encoder_entropy", "mutual_information", "iwae_log_likelihood"])
def test_codes_without_noise_are_refused(name: str) -> None:
    run = encoded(normal(9, 3, 1), posterior={"name": "deterministic"})
    text = f'metric "{name}" needs a posterior with a density, such as "gaussian", and "deterministic" has none'
    with pytest.raises(UsageError, match=f"^{text}$"):
        compute(name, run)


@pytest.mark.parametrize("prior", ["standard_normal", "sparse_mixture"])
def test_a_prior_that_is_no_mixture_of_codes_is_refused(prior: str) -> None:
    run = gaussians(normal(9, 3), 0.5, prior={"name": prior})
    with pytest.raises(UsageError, match=f'needs a prior that is a mixture of components, .* has "{prior}"$'):
        compute("clusters_used", run)


def test_one_row_has_no_pairs() -> None:
    with pytest.raises(DataError, match="prior_match_mmd: found 1 row, expected at least 2"):
        compute("prior_match_mmd", gaussians(normal(1, 3), 0.5))
