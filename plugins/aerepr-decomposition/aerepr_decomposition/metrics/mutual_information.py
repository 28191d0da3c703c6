"""Mutual information of examples and codes, and how far the aggregate posterior is from the prior: the rate in two parts.

With q(z) = mean over the N rows of q(z given x), and z_i drawn from q(z given x_i):

    score         I(x; z)          = mean of log q(z_i given x_i) - log q(z_i)
    aggregate_kl  KL(q(z) || p(z)) = mean of log q(z_i) - log p(z_i)
    limit         ln N, which I of N rows cannot exceed

and score + aggregate_kl is the Monte-Carlo KL from posterior to prior. Little information is much overlap: encodings that
cannot be told from each other. Near its limit, every row is known from its code, and I of the data may be any greater.

Source: Hoffman and Johnson 2016, "ELBO surgery"; Mathieu et al. 2019, arXiv:1812.02833, section 3.
Shape letters: N rows, D latent dimensions, K posterior numbers a dimension.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

import torch
from pydantic import Field, PositiveInt

from aerepr.kinds.metric import Metric
from aerepr.kinds.run import RunView
from aerepr.spec.base import ComponentSpec
from aerepr_decomposition.aggregate import drawn, log_aggregate, require_density, require_prior_density

# What a key without a suffix stands for.
ROWS = 2000

# Nats from its limit at which the estimate says little about the data.
_NEAR = 0.5


class MutualInformationSpec(ComponentSpec):
    """Metric `mutual_information`."""

    rows: PositiveInt = Field(
        ROWS, ge=2, description="rows whose mean q(z) is; as many as there are, if these are fewer"
    )


class MutualInformation(Metric):
    """`mutual_information.score`, `.aggregate_kl`, `.limit`; keys tell of other rows than the default."""

    Spec = MutualInformationSpec
    needs = "run"
    modes = ("sample",)
    protocol = (
        "nats; q(z) is the mean over the first 2,000 rows, where the key does not say otherwise, with one seeded sample of "
        "each; at most `limit`, the logarithm of the rows"
    )

    def __init__(self, spec: MutualInformationSpec) -> None:
        self.rows = spec.rows

    def compute(self, run: RunView) -> dict[str, float]:
        """The estimates of one run on the rows asked about.

        Raises:
            UsageError: posterior or prior has no density.
        """
        params_NDK, z_ND = drawn(run, self.rows)
        posterior, prior = run.model.posterior(params_NDK), run.model.prior()
        require_density(run, posterior, "mutual_information")
        require_prior_density(run, prior, "mutual_information")
        own_N, aggregate_N, prior_N = posterior.log_prob(z_ND), log_aggregate(posterior, z_ND), prior.log_prob(z_ND)
        found = {
            "score": float((own_N - aggregate_N).mean(dtype=torch.float64)),
            "aggregate_kl": float((aggregate_N - prior_N).mean(dtype=torch.float64)),
            "limit": math.log(len(z_ND)),
        }
        end = f"@rows={self.rows}" if self.rows != ROWS else ""
        return {f"mutual_information.{field}{end}": value for field, value in found.items()}

    def remarks(self, numbers: Mapping[str, float]) -> list[str]:
        """That the estimate has come up to its limit."""
        score, limit = (
            next(value for key, value in numbers.items() if key.partition("@")[0] == f"mutual_information.{field}")
            for field in ("score", "limit")
        )
        if score < limit - _NEAR:
            return []
        return [f"the score is at its limit, {limit:.2f} nats: a lower bound; ask for more rows to learn more"]
