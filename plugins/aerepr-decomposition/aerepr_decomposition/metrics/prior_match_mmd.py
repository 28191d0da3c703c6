"""How far the aggregate posterior is from the prior, by maximum mean discrepancy of drawn codes; whatever was trained.

    score  sum over dimensions of the MMD^2 of one-dimensional marginals, six Cauchy kernels each, as the regularizer
           mmd_dimwise has it: 0 in the mean where all marginals are the prior's
    joint  MMD^2 of whole codes, with the same kernels of squared distances, each 2 D times as wide: it also sees how
           dimensions depend on each other

Both estimates are unbiased, and may come out a little below 0. They are numbers between kernels, not nats; the size of
neither is comparable between latents of other widths.

Source: Mathieu et al. 2019, arXiv:1812.02833, where the reported value is 0 for models trained without the term; here it
is computed for every model.
Shape letters: N codes, D latent dimensions.
"""

from __future__ import annotations

from pydantic import Field, PositiveFloat, PositiveInt
from torch import Tensor

from aerepr.errors import DataError
from aerepr.kinds.metric import Metric
from aerepr.kinds.run import RunView
from aerepr.layers.kernels import cauchy, unbiased_mmd
from aerepr.layers.noise import sample_noise
from aerepr.spec.base import ComponentSpec
from aerepr.spec.metric import MetricSeed
from aerepr_decomposition.aggregate import drawn
from aerepr_decomposition.kernels import SCALES, mmd_dimwise

# What a key without a suffix stands for.
ROWS = 1000


class PriorMatchMMDSpec(ComponentSpec):
    """Metric `prior_match_mmd`."""

    rows: PositiveInt = Field(
        ROWS, ge=2, description="rows, as many as there are if these are fewer, and as many codes of the prior"
    )
    scales: list[PositiveFloat] = Field(list(SCALES), min_length=1, description="widths of the kernels")
    seed: MetricSeed = 0


class PriorMatchMMD(Metric):
    """`prior_match_mmd.score`, `.joint`; keys tell of other rows or scales than the default."""

    Spec = PriorMatchMMDSpec
    needs = "run"
    modes = ("sample",)
    protocol = (
        "one code drawn from each of the first 1,000 rows' posteriors, where the key does not say otherwise, against as many "
        "of the prior; unbiased MMD^2 with kernels c / (c + distance^2), c = 2 scale (joint: 2 D scale)"
    )

    def __init__(self, spec: PriorMatchMMDSpec) -> None:
        self.rows = spec.rows
        self.scales = spec.scales
        self.seed = spec.seed

    def compute(self, run: RunView) -> dict[str, float]:
        """Both discrepancies of one run on the rows asked about.

        Raises:
            DataError: one row alone.
        """
        _, z_ND = drawn(run, self.rows)
        if len(z_ND) < 2:
            raise DataError("prior_match_mmd: found 1 row, expected at least 2: it compares pairs of codes")
        prior = run.model.prior
        noise_NU = sample_noise(len(z_ND), prior.noise_dim, self.seed, prior.noise).to(z_ND.device)
        drawn_ND = prior.from_noise(noise_NU).to(z_ND)
        widths = [2 * z_ND.shape[1] * scale for scale in self.scales]
        found = {
            "score": mmd_dimwise(z_ND, drawn_ND, self.scales),
            "joint": unbiased_mmd(z_ND, drawn_ND, lambda x, y: cauchy(_squared_distances(x, y), widths)),
        }
        return {f"prior_match_mmd.{field}{self._suffix}": float(value) for field, value in found.items()}

    @property
    def _suffix(self) -> str:
        """What sets these numbers apart from those of the default protocol."""
        parts = [f"rows={self.rows}"] if self.rows != ROWS else []
        parts += [f"scales={','.join(f'{scale:g}' for scale in self.scales)}"] if tuple(self.scales) != SCALES else []
        return f"@{','.join(parts)}" if parts else ""


def _squared_distances(x_ND: Tensor, y_MD: Tensor) -> Tensor:
    """||x - y||^2 of every pair, (N, M), a dimension at a time: never N x M x D numbers."""
    found = x_ND.new_zeros(len(x_ND), len(y_MD))
    for x_N, y_M in zip(x_ND.T, y_MD.T, strict=True):
        found += (x_N[:, None] - y_M[None]).square()
    return found
