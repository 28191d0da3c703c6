"""Log-likelihood by importance sampling: how probable the model, decoder and prior together, finds the data.

    score = mean over x of log 1/S sum_s p(x | z_s) p(z_s) / q(z_s | x),    z_s drawn from q(z given x)
    elbo  = mean over x and s of log p(x | z_s) p(z_s) / q(z_s | x)

score is a lower bound in the mean, which S, 1,000 by default, brings close to log p(x); elbo is the same with S = 1. Samples
are decoded some at a time and summed as they come, so that memory does not grow with S.

Source: Burda et al. 2016, arXiv:1509.00519; 1,000 samples as in Mathieu et al. 2019, arXiv:1812.02833.
Shape letters: B batch, S samples, D latent dimensions, K posterior numbers a dimension.
"""

from __future__ import annotations

import math

import torch
from pydantic import Field, PositiveInt
from torch import Tensor
from torch.distributions import Distribution

from aerepr.kinds.metric import Metric
from aerepr.kinds.run import RunView
from aerepr.kinds.step import Step
from aerepr.spec.base import ComponentSpec
from aerepr_decomposition.aggregate import first, require_density, require_prior_density

# What a key without a suffix stands for.
ROWS, SAMPLES = 500, 1000

# Values decoded at once, and the most codes: what is in work stays near the caches of a CPU, and far below 2 GB.
_VALUES, _CODES = 1 << 20, 4096


class IWAELogLikelihoodSpec(ComponentSpec):
    """Metric `iwae_log_likelihood`."""

    samples: PositiveInt = Field(SAMPLES, description="S, samples of each row")
    rows: PositiveInt = Field(ROWS, description="rows, as many as there are if these are fewer")


class IWAELogLikelihood(Metric):
    """`iwae_log_likelihood.score`, `.elbo`; keys tell of other samples or rows than the default."""

    Spec = IWAELogLikelihoodSpec
    needs = "run"
    modes = ("sample",)
    on_request = "each row is decoded 1,000 times: seconds for points, many minutes for images"
    protocol = (
        "nats an example, data and likelihood as the model is trained on them; 1,000 samples of each of the first 500 rows' "
        "posteriors, where the key does not say otherwise; a lower bound"
    )

    def __init__(self, spec: IWAELogLikelihoodSpec) -> None:
        self.samples = spec.samples
        self.rows = spec.rows

    def compute(self, run: RunView) -> dict[str, float]:
        """Both bounds of one run on the rows asked about.

        Raises:
            UsageError: posterior or prior has no density.
        """
        total, elbo, left = 0.0, 0.0, self.rows
        for step in first(run, self.rows):
            require_density(run, step.posterior, "iwae_log_likelihood")
            require_prior_density(run, step.prior, "iwae_log_likelihood")
            log_sum_B, sum_B = self._weighed(run, step)
            total += float(log_sum_B[:left].sum())
            elbo += float(sum_B[:left].sum())
            left -= min(left, len(step.batch))
        rows = self.rows - left
        found = {"score": total / rows - math.log(self.samples), "elbo": elbo / rows / self.samples}
        parts = [f"samples={self.samples}"] if self.samples != SAMPLES else []
        parts += [f"rows={self.rows}"] if self.rows != ROWS else []
        end = f"@{','.join(parts)}" if parts else ""
        return {f"iwae_log_likelihood.{field}{end}": value for field, value in found.items()}

    def _weighed(self, run: RunView, step: Step) -> tuple[Tensor, Tensor]:
        """log sum and sum over the samples of p(x | z) p(z) / q(z | x) and of its logarithm, each (B,), float64."""
        posterior, x = run.model.posterior, step.batch.first
        size = max(1, min(_CODES, _VALUES // x[0].numel()) // len(x))
        log_sum_B = torch.full((len(x),), -math.inf, dtype=torch.float64, device=x.device)
        sum_B = torch.zeros_like(log_sum_B)
        for start in range(0, self.samples, size):
            count = min(size, self.samples - start)
            # The first `count` samples of a row, then the same of the next.
            noise = step.noise(f"iwae_log_likelihood/{start}", posterior.noise, (count, *posterior.noise_shape))
            params_SDK = step.params_BDK.repeat_interleave(count, dim=0)
            z_SD = posterior.draw(params_SDK, noise.flatten(0, 1), "sample")
            weight_BS = self._log_weight(run, step.prior, params_SDK, z_SD, x).view(len(x), count)
            log_sum_B = torch.logaddexp(log_sum_B, weight_BS.logsumexp(dim=1))
            sum_B += weight_BS.sum(dim=1)
        return log_sum_B, sum_B

    def _log_weight(self, run: RunView, prior: Distribution, params_SDK: Tensor, z_SD: Tensor, x: Tensor) -> Tensor:
        """log p(x | z) p(z) / q(z | x) of each code, float64: sums over thousands of values lose digits that count here."""
        model = run.model
        likelihood = model.likelihood(model.decoder(z_SD))
        log_x_S = likelihood.log_prob(x.repeat_interleave(len(z_SD) // len(x), dim=0))
        log_q_S: Tensor = model.posterior(params_SDK).log_prob(z_SD)
        return log_x_S.double() + prior.log_prob(z_SD).double() - log_q_S.double()
