"""beta-TCVAE's three terms as the runs of "Structure by Architecture" computed them: together a KL, whatever beta.

It is not a total-correlation penalty. Where the matrix of log q(z_i given x_j) belongs, the runs had log N(z_i; 0, I), the
same for every j. Write p for N(0, I), w_ij for the stratified weights and s_i for sum_j w_ij. Then

    log q(z_i)      became  log p(z_i) + log s_i
    sum_d log q(z_id)  became  log p(z_i) + D log s_i
    alpha MI   = alpha mean_i [log q(z_i given x_i) - log p(z_i) - log s_i]
    beta TC    = beta (1 - D) mean_i log s_i
    gamma dwKL = gamma D mean_i log s_i        (times its warm-up over 200 steps)

The weights of each example sum to one, so log s_i = 0: TC and dimension-wise KL are zero, with no gradient, and neither
beta nor the warm-up does anything. What is left is alpha times the one-sample Monte-Carlo KL from q(z given x) to N(0, I) at
the step's own code. That is this term; alpha is its weight. Whatever the model's prior, it compares with N(0, I). The three
terms as meant are `mutual_information`, `total_correlation` and `dimension_wise_kl`.

Source: Leeb et al. 2023, the authors' released code; Chen et al. 2018, arXiv:1802.04942.
Shape letters: B batch, D latent dimensions.
"""

from __future__ import annotations

from math import log, pi

from torch import Tensor

from aerepr.kinds.part import BuildContext
from aerepr.kinds.regularizer import Regularizer
from aerepr.kinds.step import Step
from aerepr.spec.model import RegularizerSpec


class LegacyTCVAESpec(RegularizerSpec):
    """Table `[[model.regularizers]]` with `name = "legacy_tcvae"`."""


class LegacyTCVAE(Regularizer):
    """log q(z given x) - log N(z; 0, I) at the step's code, averaged over the batch."""

    Spec = LegacyTCVAESpec
    needs_density = True

    def __init__(self, spec: LegacyTCVAESpec, ctx: BuildContext) -> None:
        super().__init__()

    def forward(self, step: Step) -> Tensor:
        """The estimate on one batch.

        Args:
            step: uses `posterior` and `z_BD`.

        Returns:
            0-dim, nats an example, unweighted.
        """
        log_normal_B = -0.5 * (step.z_BD.square() + log(2 * pi)).sum(dim=1)
        return (step.posterior.log_prob(step.z_BD) - log_normal_B).mean()
