"""Inclusive KL from the prior to the aggregate posterior of the batch: the term of weight alpha for clusters.

    D = mean_j [log p(z_j) - log mean_b q(z_j given x_b)],    z_j drawn from p(z), as many as codes in the batch

estimates KL(p || q), which is large wherever the prior has mass and no encoding is: every cluster of the prior wants codes.
The aggregate is that of the batch, so a small one overestimates; the paper's batch is the whole data set. D is one number a
batch, which every example carries with the full weight, as in the paper, where the loss is summed over the batch and D
subtracted from every example. The gradient goes through q, and through p and z_j where the prior learns.

Source: Mathieu et al. 2019, "Disentangling Disentanglement in Variational Autoencoders", as in the authors' code (`kld_inc`).
Shape letters: B batch, D latent dimensions.
"""

from __future__ import annotations

from torch import Tensor

from aerepr.kinds.part import BuildContext
from aerepr.kinds.regularizer import Regularizer
from aerepr.kinds.step import Step
from aerepr.spec.model import RegularizerSpec
from aerepr_decomposition.aggregate import log_aggregate
from aerepr_decomposition.batch import require_several


class AggregateInclusiveKLSpec(RegularizerSpec):
    """Table `[[model.regularizers]]` with `name = "aggregate_inclusive_kl"`; the weight is alpha."""


class AggregateInclusiveKL(Regularizer):
    """Nats that coding the prior's samples by the batch's encodings would waste."""

    Spec = AggregateInclusiveKLSpec
    needs_density = True

    def __init__(self, spec: AggregateInclusiveKLSpec, ctx: BuildContext) -> None:
        super().__init__()

    def forward(self, step: Step) -> Tensor:
        """The estimate on one batch.

        Args:
            step: uses `posterior`, `prior` and draws of the prior.

        Returns:
            0-dim, nats, unweighted; an estimate below zero is no error.

        Raises:
            ValueError: a training batch of one code.
        """
        require_several(len(step.z_BD), self.training, "aggregate_inclusive_kl")
        z_BD = step.draw_prior("aggregate_inclusive_kl")
        return (step.prior.log_prob(z_BD) - log_aggregate(step.posterior, z_BD)).mean()
