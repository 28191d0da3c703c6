"""KL of each dimension of the aggregate posterior to the prior, summed, the third of beta-TCVAE's three terms:

    E[sum_d log q(z_d) - log p(z_d)],

with each q(z_d) estimated from the batch; `mutual_information` says what the three sum to.

Source: Chen et al. 2018, arXiv:1802.04942, equation 2; the estimators: `aerepr.layers.aggregate`.
Shape letters: B batch, D latent dimensions.
"""

from __future__ import annotations

from pydantic import Field
from torch import Tensor

from aerepr.kinds.part import BuildContext
from aerepr.kinds.regularizer import Regularizer
from aerepr.kinds.step import Step
from aerepr.layers.aggregate import Aggregate, Estimator
from aerepr.spec.model import RegularizerSpec


class DimensionWiseKLSpec(RegularizerSpec):
    """Table `[[model.regularizers]]` with `name = "dimension_wise_kl"`."""

    estimator: Estimator = Field(
        "mss", description="of log q(z): mss, minibatch-stratified, or mws, minibatch-weighted"
    )


class DimensionWiseKL(Regularizer):
    """Nats by which the single dimensions of the codes differ from the prior's."""

    Spec = DimensionWiseKLSpec
    needs_density = True
    needs_factorised = True

    def __init__(self, spec: DimensionWiseKLSpec, ctx: BuildContext) -> None:
        super().__init__()
        self.estimator = spec.estimator

    def forward(self, step: Step) -> Tensor:
        """The estimate on one batch.

        Args:
            step: uses `posterior`, factorised, `prior`, `z_BD` and `dataset_size`.

        Returns:
            0-dim, nats an example, unweighted.
        """
        q = step.once(Aggregate, step.posterior, step.z_BD, step.dataset_size, self.estimator)
        return (q.marginals_BD.sum(dim=1) - step.prior.log_prob(step.z_BD)).mean()

    def logged_name(self, name: str, step: Step) -> str:
        return f"{name}_{self.estimator}"
