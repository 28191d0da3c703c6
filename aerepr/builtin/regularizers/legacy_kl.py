"""The KL term as the runs of "Structure by Architecture" computed it: 1/2 sum_d (mu^2 + sigma - log sigma - 1).

It is not a KL. sigma, the standard deviation the codes are drawn with, stands where the variance belongs; the KL to N(0, I)
is 1/2 sum_d (mu^2 + sigma^2 - 2 log sigma - 1), which is the term `kl`. Both are least at the prior, but the pull on
log sigma is half that of `kl` where sigma is small and a quarter of it near 1, so a weight of 1 regularizes less than its
name says. Whatever the model's prior, it compares with N(0, I).

Source: Leeb et al. 2023, the authors' released code.
Shape letters: B batch, D latent dimensions.
"""

from __future__ import annotations

from torch import Tensor

from aerepr.kinds.part import BuildContext
from aerepr.kinds.regularizer import Regularizer
from aerepr.kinds.step import Step
from aerepr.spec.model import RegularizerSpec


class LegacyKLSpec(RegularizerSpec):
    """Table `[[model.regularizers]]` with `name = "legacy_kl"`."""


class LegacyKL(Regularizer):
    """The published runs' penalty of mean and standard deviation."""

    Spec = LegacyKLSpec
    needs_density = True

    def __init__(self, spec: LegacyKLSpec, ctx: BuildContext) -> None:
        super().__init__()

    def forward(self, step: Step) -> Tensor:
        """The penalty of one batch.

        Args:
            step: uses mean and standard deviation of `posterior`.

        Returns:
            0-dim, unweighted.
        """
        mean_BD, std_BD = step.posterior.mean, step.posterior.stddev
        return 0.5 * (mean_BD.square() + std_BD - std_BD.log() - 1).sum(dim=1).mean()
