"""Mutual information of data and code under the model, the first of beta-TCVAE's three terms:

    E[log q(z given x) - log q(z)],

with log q(z) estimated from the batch. With `total_correlation` and `dimension_wise_kl` of the same estimator it sums to
the one-sample Monte-Carlo KL from posterior to prior, whatever the estimator's error.

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


class MutualInformationSpec(RegularizerSpec):
    """Table `[[model.regularizers]]` with `name = "mutual_information"`."""

    estimator: Estimator = Field(
        "mss", description="of log q(z): mss, minibatch-stratified, or mws, minibatch-weighted"
    )


class MutualInformation(Regularizer):
    """Nats that a code tells of the example it came from."""

    Spec = MutualInformationSpec
    needs_density = True

    def __init__(self, spec: MutualInformationSpec, ctx: BuildContext) -> None:
        super().__init__()
        self.estimator = spec.estimator

    def forward(self, step: Step) -> Tensor:
        """The estimate on one batch.

        Args:
            step: uses `posterior`, `z_BD` and `dataset_size`.

        Returns:
            0-dim, nats an example, unweighted.
        """
        q = step.once(Aggregate, step.posterior, step.z_BD, step.dataset_size, self.estimator)
        return (q.own_B - q.joint_B).mean()

    def logged_name(self, name: str, step: Step) -> str:
        return f"{name}_{self.estimator}"
