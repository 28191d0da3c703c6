"""Total correlation of the aggregate posterior, the second of beta-TCVAE's three terms:

    E[log q(z) - sum_d log q(z_d)],

with q(z) and each q(z_d) estimated from the batch; `mutual_information` says what the three sum to.

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


class TotalCorrelationSpec(RegularizerSpec):
    """Table `[[model.regularizers]]` with `name = "total_correlation"`."""

    estimator: Estimator = Field(
        "mss", description="of log q(z): mss, minibatch-stratified, or mws, minibatch-weighted"
    )


class TotalCorrelation(Regularizer):
    """Nats by which the dimensions of the codes depend on each other."""

    Spec = TotalCorrelationSpec
    needs_density = True
    needs_factorised = True

    def __init__(self, spec: TotalCorrelationSpec, ctx: BuildContext) -> None:
        super().__init__()
        self.estimator = spec.estimator

    def forward(self, step: Step) -> Tensor:
        """The estimate on one batch.

        Args:
            step: uses `posterior`, factorised, `z_BD` and `dataset_size`.

        Returns:
            0-dim, nats an example, unweighted.
        """
        q = step.once(Aggregate, step.posterior, step.z_BD, step.dataset_size, self.estimator)
        return (q.joint_B - q.marginals_BD.sum(dim=1)).mean()

    def logged_name(self, name: str, step: Step) -> str:
        return f"{name}_{self.estimator}"
