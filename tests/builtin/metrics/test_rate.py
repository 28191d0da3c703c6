"""Rates against closed forms, for posteriors that are known and priors with and without one."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from types import SimpleNamespace

import pytest
import torch
from torch import Tensor
from torch.distributions import Bernoulli, Distribution, Independent, MultivariateNormal, Normal, StudentT
from torch.distributions.kl import kl_divergence

from aerepr.builtin.metrics.rate import Rate
from aerepr.errors import UsageError
from aerepr.kinds.batch import Batch
from aerepr.kinds.step import Step
from aerepr.layers.noise import StepNoise
from aerepr.spec.base import ComponentSpec

from ..building import build, context


@dataclass
class Encoded:
    """A run whose data are the posterior's numbers (N, D, K) themselves."""

    params: Tensor
    prior: Distribution
    posterior: str = "gaussian"
    seed: int = 0

    def __post_init__(self) -> None:
        _, D, K = self.params.shape
        self.spec = SimpleNamespace(
            model=SimpleNamespace(posterior=SimpleNamespace(name=self.posterior), prior=SimpleNamespace(name="given"))
        )
        self.model = SimpleNamespace(
            posterior=build("posterior", context(latent_dim=D, K=K), name=self.posterior),
        )

    def encoded(self) -> Iterator[Step]:
        number = torch.zeros((), dtype=torch.int64)
        # Batches of unlike sizes: a mean of their means would be another number.
        for rows in torch.arange(len(self.params)).tensor_split([3, 4]):
            yield Step(
                Batch(x=self.params[rows], rows=rows),
                StepNoise(self.seed, number, rows, "view"),
                number,
                dataset_size=100,
                params_BDK=self.params[rows],
                posterior=self.model.posterior(self.params[rows]),
                prior=self.prior,
            )


def metric() -> Rate:
    return Rate(ComponentSpec(name="rate"))


def standard(D: int) -> Distribution:
    return Independent(Normal(torch.zeros(D), torch.ones(D)), 1)


def params(mean: Tensor, deviation: Tensor) -> Tensor:
    return torch.stack([mean, deviation.log()], dim=-1)


def test_rates_are_those_of_the_closed_form() -> None:
    generator = torch.Generator().manual_seed(0)
    mean, deviation = torch.randn(9, 3, generator=generator), torch.rand(9, 3, generator=generator) + 0.1
    found = metric().compute(Encoded(params(mean, deviation), standard(3)))
    expected = (0.5 * (mean**2 + deviation**2 - 2 * deviation.log() - 1)).mean(dim=0)
    assert list(found) == ["rate.total", "rate.collapsed", "rate.kl_0", "rate.kl_1", "rate.kl_2"]
    assert [found[f"rate.kl_{d}"] for d in range(3)] == pytest.approx(expected.tolist(), rel=1e-5)
    assert found["rate.total"] == pytest.approx(float(expected.sum()), rel=1e-5)
    assert found["rate.collapsed"] == 0
    assert metric().remarks(found) == []


def test_collapsed_dimensions_are_counted_and_named() -> None:
    mean, deviation = torch.zeros(8, 4), torch.ones(8, 4)
    mean[:, 2] = torch.arange(8.0)
    mean[:, 0] = 0.14  # KL 0.0098
    mean[:, 1] = 0.145  # KL 0.0105
    found = metric().compute(Encoded(params(mean, deviation), standard(4)))
    assert found["rate.collapsed"] == 2
    (said,) = metric().remarks(found)
    assert said.startswith("2 of 4 dimensions have collapsed")
    assert said.endswith("counted from 0: 0, 3")


def test_a_model_that_collapsed_as_a_whole_says_so() -> None:
    found = metric().compute(Encoded(params(torch.zeros(8, 2), torch.ones(8, 2)), standard(2)))
    assert found["rate.total"] == 0
    assert metric().remarks(found)[0].startswith("all 2 dimensions have collapsed")


def test_a_prior_without_a_closed_form_is_sampled_and_says_so() -> None:
    heavy = Independent(StudentT(torch.full((2,), 5.0), validate_args=False), 1)
    mean, deviation = torch.tensor([0.5, -1.0]), torch.tensor([0.8, 0.5])
    run = Encoded(params(mean, deviation).expand(40_000, 2, 2), heavy)
    found = metric().compute(run)
    assert list(found) == ["rate.total@mc", "rate.collapsed@mc", "rate.kl_0@mc", "rate.kl_1@mc"]
    # The integral on a grid of the posterior's deviations.
    t = torch.linspace(-8, 8, 20_001, dtype=torch.float64)[:, None]
    z, own = mean + deviation * t, Normal(0.0, 1.0).log_prob(t)
    expected = (own.exp() * (own - deviation.log() - heavy.base_dist.log_prob(z))).sum(dim=0) * (16 / 20_000)
    assert [found[f"rate.kl_{d}@mc"] for d in range(2)] == pytest.approx(expected.tolist(), abs=0.02)
    assert metric().compute(run) == found
    assert metric().compute(Encoded(run.params, heavy, seed=1)) != found
    assert metric().remarks(found) == []


def test_a_prior_whose_dimensions_depend_has_a_total_alone() -> None:
    covariance = torch.tensor([[1.0, 0.6], [0.6, 1.0]])
    prior = MultivariateNormal(torch.zeros(2), covariance)
    mean, deviation = torch.tensor([0.5, -0.2]), torch.tensor([0.8, 0.5])
    found = metric().compute(Encoded(params(mean, deviation).expand(40_000, 2, 2), prior))
    expected = kl_divergence(MultivariateNormal(mean, torch.diag(deviation**2)), prior)
    assert found == {"rate.total@mc": pytest.approx(float(expected), abs=0.02)}
    assert metric().remarks(found) == []
    assert metric().remarks({"rate.total@mc": 0.001}) != []


def test_what_has_no_rate_is_refused() -> None:
    with pytest.raises(UsageError, match='needs a posterior with a density, and "deterministic" has none'):
        metric().compute(Encoded(torch.zeros(5, 2, 1), standard(2), posterior="deterministic"))
    mass = Independent(Bernoulli(torch.full((2,), 0.5)), 1)
    with pytest.raises(UsageError, match='posterior "gaussian" cannot be held against prior "given"'):
        metric().compute(Encoded(torch.zeros(5, 2, 2), mass))
